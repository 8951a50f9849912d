"""A sliding window over requests: never more than ``capacity`` within any ``window`` seconds, per bucket.

Theory of operation. A bucket is a row of slots, each the admissions of ten seconds: when it began, when the
last of them was, how many. A slot counts until its *last* admission is a window old, so the sum of slots is
never less than what a window that ends now really holds: what is admitted is too little by a slot at most,
and never too much. What is refused is not counted.

Buckets are made by visitors, who may invent keys, so the slots of a limiter are bounded. Once there are
SLOTS, keys that have no bucket yet share one, and a bucket that is made later begins with what the shared
one holds: the promise above is kept for every key, at the cost of refusing strangers during a flood.
"""

from collections import deque
from math import ceil
from typing import Final, NamedTuple

SLOT: Final = 10.0
"""Seconds of admissions that are remembered as one."""

SLOTS: Final = 100_000
"""Most slots of one limiter; a bucket has at least one. About 20 MB when all are in use."""

SWEEP: Final = 8
"""Old buckets that are looked at, and forgotten if they are empty, whenever one is made."""

_Slot = list[float]
"""When it began, when its last admission was, how many there were."""


class Admission(NamedTuple):
    """What a limiter says of one request."""

    admitted: bool
    retry_after: int
    """Whole seconds after which another try may be admitted; 0 for what was admitted."""


class _Bucket:
    """The slots of one key."""

    __slots__ = ("count", "slots")

    def __init__(self) -> None:
        self.slots: deque[_Slot] = deque()
        self.count = 0

    def expire(self, since: float) -> int:
        """Forget slots whose last admission was then or before; return how many."""
        gone = 0
        while self.slots and self.slots[0][1] <= since:
            self.count -= int(self.slots.popleft()[2])
            gone += 1
        return gone

    def add(self, now: float, *, room: bool) -> int:
        """Count an admission; return how many slots were made for it. Without room a slot grows longer."""
        self.count += 1
        if self.slots and (now - self.slots[-1][0] < SLOT or not room):
            self.slots[-1][1] = max(now, self.slots[-1][1])
            self.slots[-1][2] += 1
            return 0
        self.slots.append([now, now, 1])
        return 1


class Limiter:
    """All buckets of one rate limit."""

    __slots__ = ("_buckets", "_most", "_shared", "_slots", "capacity", "window")

    def __init__(self, capacity: int, window: float, most: int = SLOTS) -> None:
        """Admit ``capacity`` requests of a key in any ``window`` seconds; keep at most so many slots."""
        self.capacity = capacity
        self.window = window
        self._most = most
        self._slots = 0
        self._buckets: dict[str, _Bucket] = {}
        self._shared = _Bucket()

    def __len__(self) -> int:
        """Count the slots in use."""
        return self._slots

    def __repr__(self) -> str:
        """Show what is limited and how much is remembered."""
        return f"<Limiter {self.capacity}/{self.window}s buckets={len(self._buckets)} slots={self._slots}>"

    def admit(self, key: str, now: float) -> Admission:
        """Judge one request, and count it if it is admitted. ``now`` never runs backwards."""
        since = now - self.window
        bucket = self._buckets.get(key) or self._make(key, since)
        self._slots -= bucket.expire(since)
        if bucket.count >= self.capacity:
            return Admission(admitted=False, retry_after=max(1, ceil(bucket.slots[0][1] - since)))
        self._slots += bucket.add(now, room=self._slots < self._most)
        return Admission(admitted=True, retry_after=0)

    def _make(self, key: str, since: float) -> _Bucket:
        """Return a bucket for a new key: its own, or the shared one when there is no room."""
        self._sweep(since)
        self._slots -= self._shared.expire(since)
        if self._slots + len(self._shared.slots) >= self._most:
            return self._shared
        bucket = self._buckets[key] = _Bucket()
        bucket.slots.extend([*slot] for slot in self._shared.slots)
        bucket.count = self._shared.count
        self._slots += len(bucket.slots)
        return bucket

    def _sweep(self, since: float) -> None:
        """Look at some of the oldest buckets; those in use go to the end of the row."""
        for key in [key for key, _ in zip(self._buckets, range(SWEEP), strict=False)]:
            bucket = self._buckets.pop(key)
            self._slots -= bucket.expire(since)
            if bucket.slots:
                self._buckets[key] = bucket
