"""Who may try to become a session: counts of strangers, and patience with wrong tokens. Pure.

Agents that have not authenticated cost a descriptor and a TLS handshake, so they are counted, in all
and by source address. An address that keeps presenting wrong tokens is answered ever later: each of
its tries waits *before* its token is looked at, so guessing in parallel gains nothing.
"""

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from portway.edge.ports import Limits

WINDOW: Final = 60.0
"""Seconds over which wrong tokens are counted."""
REMEMBERED: Final = 4096
"""Addresses whose wrong tokens are remembered; beyond that the oldest are forgotten."""


class Admission:
    """Counts of one process."""

    def __init__(self, limits: "Limits") -> None:
        """Start with nobody."""
        self._limits = limits
        self._strangers: dict[str, int] = {}
        self._total = 0
        self._wrong: dict[str, deque[float]] = {}

    def __repr__(self) -> str:
        """Show the counts."""
        return f"<Admission strangers={self._total} from={len(self._strangers)} wrong={len(self._wrong)}>"

    @property
    def strangers(self) -> int:
        """Connections that have not authenticated."""
        return self._total

    def admit(self, address: str) -> bool:
        """Count a new connection, or say no."""
        here = self._strangers.get(address, 0)
        if self._total >= self._limits.unauthenticated or here >= self._limits.unauthenticated_per_address:
            return False
        self._strangers[address] = here + 1
        self._total += 1
        return True

    def leave(self, address: str) -> None:
        """One admitted connection from there is authenticated or gone."""
        self._total -= 1
        self._strangers[address] -= 1
        if not self._strangers[address]:
            del self._strangers[address]

    def wrong_token(self, address: str, now: float) -> None:
        """Remember a refused token."""
        times = self._wrong.pop(address, None) or deque(maxlen=max(self._limits.wrong_tokens, 1))
        times.append(now)
        self._wrong[address] = times  # as the newest
        if len(self._wrong) > REMEMBERED:
            del self._wrong[next(iter(self._wrong))]

    def delay(self, address: str, now: float) -> float:
        """Return how many seconds a try from there must wait."""
        if not self._limits.wrong_tokens:
            return self._limits.wrong_token_delay
        times = self._wrong.get(address)
        if times is None:
            return 0.0
        if times[-1] <= now - WINDOW:
            del self._wrong[address]
            return 0.0
        full = len(times) == times.maxlen and times[0] > now - WINDOW
        return self._limits.wrong_token_delay if full else 0.0
