"""A circuit breaker: when too large a share of answers are errors, ask the upstream no more for a while.

::

    CLOSED ── requests ≥ volume and errors / requests ≥ threshold ──▶ OPEN
      ▲                                                                │ after ``tripped`` seconds
      └── a probe succeeds ── HALF OPEN ◀───────────────────────────────┘
                                 └── a probe fails ──▶ OPEN

What is counted lies in BUCKETS slices of a rolling window, and only answers that came count: who asks says
so with ``record`` and the round in which it was let in, so that an answer from before a trip changes nothing
after it. In HALF OPEN one probe is out at a time; a probe of which nothing was heard for ``tripped`` seconds
is given up, so a lost one does no harm.
"""

from enum import StrEnum
from typing import Final, NamedTuple

BUCKETS: Final = 10
"""Slices of the window."""


class State(StrEnum):
    """What a breaker does."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


class Rule(NamedTuple):
    """When a breaker opens and for how long. Shares are 0 to 1, times are seconds."""

    threshold: float
    volume: int
    window: float
    tripped: float


class Entry(NamedTuple):
    """The answer to one request: may it go on, and in which round it was asked."""

    allowed: bool
    round: int
    retry_after: float = 0.0


class Breaker:
    """One breaker. ``now`` never runs backwards."""

    __slots__ = ("_errors", "_first", "_requests", "_round", "_rule", "_since", "state")

    def __init__(self, rule: Rule) -> None:
        """Be closed."""
        self._rule = rule
        self._requests = [0] * BUCKETS
        self._errors = [0] * BUCKETS
        self._first = 0  # number of the newest slice, counted from time zero
        self._round = 0
        self._since = 0.0  # when it opened, or let its probe go
        self.state = State.CLOSED

    def __repr__(self) -> str:
        """Show state and counts."""
        return f"<Breaker {self.state} errors={sum(self._errors)}/{sum(self._requests)}>"

    def enter(self, now: float) -> Entry:
        """Ask whether a request may go to the upstream."""
        if self.state is State.CLOSED:
            return Entry(allowed=True, round=self._round)
        wait = self._since + self._rule.tripped - now
        if wait > 0:
            return Entry(allowed=False, round=self._round, retry_after=wait)
        self.state = State.HALF_OPEN
        self._since = now
        self._round += 1
        return Entry(allowed=True, round=self._round)

    def record(self, entry: Entry, now: float, *, failed: bool) -> None:
        """Count the answer to a request that was let in."""
        if entry.round != self._round:
            return
        if self.state is State.HALF_OPEN:
            if failed:
                self._open(now)
            else:
                self._close()
        elif self.state is State.CLOSED:
            self._count(now, failed=failed)

    def _count(self, now: float, *, failed: bool) -> None:
        self._roll(int(now * BUCKETS / self._rule.window))
        self._requests[self._first % BUCKETS] += 1
        self._errors[self._first % BUCKETS] += failed
        requests = sum(self._requests)
        if requests >= self._rule.volume and sum(self._errors) >= self._rule.threshold * requests:
            self._open(now)

    def _roll(self, slice_: int) -> None:
        """Empty the slices that have left the window."""
        for number in range(max(self._first + 1, slice_ - BUCKETS + 1), slice_ + 1):
            self._requests[number % BUCKETS] = self._errors[number % BUCKETS] = 0
        self._first = max(self._first, slice_)

    def _open(self, now: float) -> None:
        self.state = State.OPEN
        self._since = now
        self._round += 1

    def _close(self) -> None:
        self.state = State.CLOSED
        self._round += 1
        self._requests = [0] * BUCKETS
        self._errors = [0] * BUCKETS
