"""What waits for one destination, in memory: bounded, oldest first. Pure.

Traffic events live here alone, so they are what is dropped when there is no room. Audit events stand in the
journal too, and traffic events for a durable destination in its spool; only so many of these are here as are
being sent, and they are never dropped here.
"""

from collections import deque
from typing import Final

import msgspec

COUNT_LIMIT: Final = 10_000
"""Traffic events that wait for one destination; then the oldest are dropped."""
BYTES_LIMIT: Final = 16 << 20
"""Bytes of them, likewise."""
BATCH_COUNT: Final = 500
"""Events of one batch."""
BATCH_BYTES: Final = 1 << 20
"""Bytes of one batch; one larger event goes alone."""
TRAFFIC_AGE: Final = 300.0
"""Seconds after which a traffic event that could not be sent is given up."""


class Item(msgspec.Struct, frozen=True):
    """One event, written. ``at`` is Unix seconds; ``seq`` its number on disk, 0 if it is not there."""

    id: str
    kind: str
    account_id: str
    at: float
    body: bytes
    seq: int = 0
    spooled: bool = False
    """The number is one of the spool's, not of the journal's."""


class Outbox:
    """The queue of one destination."""

    def __init__(self, count: int = COUNT_LIMIT, size: int = BYTES_LIMIT) -> None:
        """Start empty, with these bounds."""
        self._limits = count, size
        self._kept: deque[Item] = deque()
        self._traffic: deque[Item] = deque()
        self._bytes = 0
        self.dropped = 0

    def __repr__(self) -> str:
        """Show how much waits."""
        return f"<Outbox kept={len(self._kept)} traffic={len(self._traffic)} dropped={self.dropped}>"

    def __len__(self) -> int:
        """Count what waits."""
        return len(self._kept) + len(self._traffic)

    @property
    def traffic(self) -> int:
        """Count the traffic events that wait."""
        return len(self._traffic)

    @property
    def has_kept(self) -> bool:
        """Tell whether events are here that stand on disk too."""
        return bool(self._kept)

    def put(self, item: Item) -> None:
        """Add an event; without room the oldest traffic events go."""
        if item.seq:
            self._kept.append(item)
            return
        self._traffic.append(item)
        self._bytes += len(item.body)
        count, size = self._limits
        while self._traffic and (len(self._traffic) > count or self._bytes > size):
            self._pop()
            self.dropped += 1

    def batch(self, now: float, count: int = BATCH_COUNT, size: int = BATCH_BYTES) -> list[Item]:
        """Return the next events without taking them away, at least one if there is any.

        What stands on disk comes first; traffic events that are too old are dropped.
        """
        while self._traffic and self._traffic[0].at < now - TRAFFIC_AGE:
            self._pop()
            self.dropped += 1
        chosen: list[Item] = []
        room = size
        for queue in (self._kept, self._traffic):
            for item in queue:
                room -= len(item.body)
                if chosen and (len(chosen) >= count or room < 0):
                    return chosen
                chosen.append(item)
        return chosen

    def done(self, items: list[Item]) -> None:
        """Take away what was sent or given up. What was dropped meanwhile is gone already."""
        gone = {item.id for item in items}
        for queue in (self._kept, self._traffic):
            while queue and queue[0].id in gone:
                self._kept.popleft() if queue is self._kept else self._pop()

    def take_traffic(self) -> list[Item]:
        """Take out the traffic events that are nowhere else."""
        taken = list(self._traffic)
        self._traffic.clear()
        self._bytes = 0
        return taken

    def forget_kept(self) -> None:
        """Take out all that stands on disk: it is read from there again."""
        self._kept.clear()

    def _pop(self) -> None:
        self._bytes -= len(self._traffic.popleft().body)
