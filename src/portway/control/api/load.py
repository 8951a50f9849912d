"""How much one account may ask of the API: requests a minute, and requests at once. Pure; off by default."""

from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from portway.control.api.errors import Refusal

WINDOW: Final = 60.0
"""Seconds over which requests are counted."""


class Load:
    """The requests of every account. Zero is no limit."""

    def __init__(self, rate: int, parallel: int) -> None:
        """Take requests a rolling minute, and requests at once, of one account."""
        self._rate = rate
        self._parallel = parallel
        self._times: dict[str, deque[float]] = {}
        self._running: dict[str, int] = {}

    def __repr__(self) -> str:
        """Show what runs."""
        return f"<Load accounts={len(self._times)} running={sum(self._running.values())}>"

    @contextmanager
    def of(self, account_id: str, now: float) -> Generator[None]:
        """Count a request while it runs. Raises Refusal 429 with 226 (rate) or 225 (at once)."""
        running = self._running.get(account_id, 0)
        if self._parallel and running >= self._parallel:
            raise Refusal(
                429, f"At most {self._parallel} requests may run at once.", 225, {"retry-after": "1"}
            )
        if self._rate:
            self._count(account_id, now)
        self._running[account_id] = running + 1
        try:
            yield
        finally:
            self._running[account_id] -= 1
            if not self._running[account_id]:
                del self._running[account_id]

    def _count(self, account_id: str, now: float) -> None:
        times = self._times.setdefault(account_id, deque())
        while times and times[0] <= now - WINDOW:
            times.popleft()
        if len(times) >= self._rate:
            wait = max(1, round(times[0] + WINDOW - now + 0.5))
            raise Refusal(
                429, f"At most {self._rate} requests a minute are answered.", 226, {"retry-after": str(wait)}
            )
        times.append(now)
