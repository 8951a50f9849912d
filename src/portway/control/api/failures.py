"""Patience with wrong keys: an address that keeps presenting them is answered ever later. Pure.

Each further try from there waits *before* its key is looked at, so guessing in parallel gains nothing;
those that wait are counted, and beyond a number of them the answer is 429.
"""

from collections import deque
from typing import Final

WINDOW: Final = 60.0
"""Seconds over which wrong keys are counted."""
REMEMBERED: Final = 4096
"""Addresses whose wrong keys are remembered; beyond that the oldest are forgotten."""
WAITING_LIMIT: Final = 64
"""Requests that may wait at once."""


class Failures:
    """The wrong keys of one process. ``limit`` a minute and address are answered at once (0: none)."""

    def __init__(self, limit: int) -> None:
        """Start with none."""
        self._limit = limit
        self._wrong: dict[str, deque[float]] = {}
        self.waiting = 0

    def __repr__(self) -> str:
        """Show the counts."""
        return f"<Failures addresses={len(self._wrong)} waiting={self.waiting}>"

    def add(self, address: str, now: float) -> None:
        """Remember a wrong key."""
        times = self._wrong.pop(address, None) or deque(maxlen=max(self._limit, 1))
        times.append(now)
        self._wrong[address] = times  # as the newest
        if len(self._wrong) > REMEMBERED:
            del self._wrong[next(iter(self._wrong))]

    def too_many(self, address: str, now: float) -> bool:
        """Tell whether a try from there must wait."""
        if not self._limit:
            return True
        times = self._wrong.get(address)
        if times is None:
            return False
        if times[-1] <= now - WINDOW:
            del self._wrong[address]
            return False
        return len(times) == self._limit and times[0] > now - WINDOW
