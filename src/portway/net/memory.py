"""A Pipe joined to a Pipe in memory: no socket, no session.

For tests, and for what runs inside our own process. It keeps the whole contract: credit (a window per
direction, refilled by `consume`), parking, ends, resets; and `lend` and `filled` call no Sink, since
everything is delivered later, by the loop or by whatever `schedule` is.
"""

import asyncio
from collections.abc import Callable

from portway.errors import LocalProtocolError
from portway.pipe import Sink

#: Bytes that may be under way in one direction.
WINDOW = 262_144
#: Largest lend, and largest piece delivered at once.
FRAME = 65_536

Schedule = Callable[[Callable[[], None]], object]


class MemoryPipe:
    """One end. Give it its Sink with `attach` before anything can arrive."""

    __slots__ = (
        "_aborted", "_credit", "_ended", "_frame", "_lent", "_other", "_queue", "_schedule",
        "_scheduled", "_sink", "_space", "_starved", "consumed", "received",
    )  # fmt: skip

    def __init__(self, schedule: Schedule, window: int = WINDOW, frame: int = FRAME) -> None:
        """Make an end without partner: see `memory_pair`."""
        self._schedule = schedule
        self._other: MemoryPipe = self
        self._sink: Sink | None = None
        self._credit = window  # what we may still send
        self._frame = frame
        self._space: memoryview | None = None  # what is lent, again and again: `filled` copies
        self._lent = 0
        self._queue: list[bytes | int | None] = []  # for our Sink: data, None = end, int = reset
        self._scheduled = False
        self._starved = False  # our writer was told "parked", and waits for on_room
        self._ended = False
        self._aborted = False
        self.received = 0  # bytes given to our Sink
        self.consumed = 0  # ... and consumed by it

    def attach(self, sink: Sink) -> None:
        """Deliver to `sink` from now on."""
        self._sink = sink
        self._wake()

    # -- the Pipe

    def lend(self) -> memoryview | None:
        """Lend space, None when out of credit or ended."""
        if self._ended or self._aborted:
            return None
        if not self._credit:
            self._starved = True
            return None
        if self._space is None:
            self._space = memoryview(bytearray(self._frame))
        self._lent = min(self._credit, self._frame)
        return self._space[: self._lent]

    def filled(self, n: int) -> bool:
        """Send the first `n` bytes of the last lend."""
        lent, self._lent = self._lent, 0
        if self._space is None or not 0 < n <= lent:
            raise LocalProtocolError(f"filled({n}) without a lend of that size")
        self._put(bytes(self._space[:n]))
        self._starved = not self._credit
        return not self._starved

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Send as much as credit allows."""
        if self._ended or self._aborted:
            return 0
        self._lent = 0
        n = min(len(data), self._credit)
        if n < len(data):
            self._starved = True
        if n:
            self._put(bytes(memoryview(data)[:n]))
        return n

    def end(self) -> None:
        """Finish writing."""
        if not (self._ended or self._aborted):
            self._ended = True
            self._other.deliver(None)

    def abort(self, code: int = 6) -> None:
        """Cut both directions: the other Sink gets `on_reset(code)`, ours nothing."""
        if self._aborted:
            return
        self._aborted = True
        self._queue.clear()
        if not (self._ended and self._other.ended):
            self._other.cut(code)

    def consume(self, n: int) -> None:
        """Give credit for `n` bytes back to the other end."""
        if self.consumed + n > self.received:
            raise LocalProtocolError(f"consume({n}), yet {self.outstanding} bytes are outstanding")
        self.consumed += n
        if n:
            self._other.credit(n)

    # -- between the two ends

    @property
    def ended(self) -> bool:
        """Whether this end has finished writing."""
        return self._ended

    @property
    def outstanding(self) -> int:
        """Bytes delivered to our Sink that it has not consumed."""
        return self.received - self.consumed

    def join(self, other: "MemoryPipe") -> None:
        """Take `other` as the far end; it must be told likewise."""
        self._other = other

    def deliver(self, item: "bytes | int | None") -> None:
        """Queue something for our Sink."""
        if not self._aborted:
            self._queue.append(item)
            self._wake()

    def cut(self, code: int) -> None:
        """Be aborted by the other end: what was queued is dropped."""
        if not self._aborted:
            self._queue.clear()
            self.deliver(code)
            self._aborted = True

    def credit(self, n: int) -> None:
        """Be given credit by the other end."""
        self._credit += n
        if self._starved:
            self._wake()

    def _put(self, data: bytes) -> None:
        self._credit -= len(data)
        self._other.deliver(data)

    def _wake(self) -> None:
        if not self._scheduled and self._sink is not None:
            self._scheduled = True
            self._schedule(self._run)

    def _run(self) -> None:
        """Deliver what is queued, then room."""
        self._scheduled = False
        sink = self._sink
        assert sink is not None
        while self._queue:
            item = self._queue.pop(0)
            if item is None:
                sink.on_end()
            elif isinstance(item, int):
                self._sink = None
                sink.on_reset(item)
                return
            else:
                self.received += len(item)
                sink.on_data(memoryview(item))
        if self._starved and self._credit and not (self._aborted or self._ended):
            self._starved = False
            sink.on_room()

    def __repr__(self) -> str:
        """Show credit and ends."""
        state = "aborted" if self._aborted else "ended" if self._ended else "open"
        return f"<MemoryPipe {state} credit={self._credit} outstanding={self.outstanding}>"


def memory_pair(
    window: int = WINDOW, frame: int = FRAME, schedule: Schedule | None = None
) -> tuple[MemoryPipe, MemoryPipe]:
    """Make two joined ends. `schedule` runs a delivery later: the running loop's call_soon if None."""
    later = asyncio.get_running_loop().call_soon if schedule is None else schedule
    one, two = MemoryPipe(later, window, frame), MemoryPipe(later, window, frame)
    one.join(two)
    two.join(one)
    return one, two
