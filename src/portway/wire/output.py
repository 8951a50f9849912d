"""The three output areas of a session, lending, and whose turn it is.

**Areas.** A flush hands out *first*, *bulk* and *last*, in this order. *first* holds openings,
WNDINC, answers to strays, and every frame of urgent streams (heartbeat, RPC). *bulk* holds the
DATA of all others; it is fixed in size, borrowed from a pool while in use, and the only one that
is lent. *last* holds FIN, RST and the closing GOAWAY. So control overtakes bulk, and yet each
stream keeps its order: opening, data, end.

**Room.** A writer fills the bulk area 8 bytes past its end, so that the frame header fits in the
hole and no byte is copied. While nobody waits a stream may take all the room. Who finds less than
``MIN_ROOM`` joins one queue. After each flush ``wake`` pops from its head while room lasts and
gives each a *turn*: room for one whole frame is reserved for it alone. ``SPARE`` bytes stay for
those who do not wait, so that small streams hardly ever park. A turn ends with one ``filled``; then
its stream joins the tail again if anyone waits. An unused turn lapses at the second flush after it
was given: at the first, some event loops have not yet read the socket that was resumed for it.

Nobody is stranded: joining the queue and giving a turn both ask for a flush.

**Bounds.** ``pos + reserved ≤ capacity``, which is asserted after each ``wake``. *first* and *last*
grow with the number of streams, and a slot is free again only when its stream's last frame was
flushed. What a peer can provoke without end (echoes, resets of strays, replies) is counted in
``answers``; above ``ANSWER_LIMIT`` the session stops reading, so that a flood punishes its sender.
"""

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from portway.wire.frames import HEADER

if TYPE_CHECKING:
    from collections.abc import Callable

    from portway.wire.stream import Stream

FILL: Final = 262_144
"""Bytes of the bulk area; one more frame fits behind it."""

AREA_SIZE: Final = 524_288
"""Bytes of an area; the longest frame loses its header's eight bytes to it when the area is half full."""

MIN_ROOM: Final = 4096
"""Bytes below which room is not worth a read."""

MIN_TURN: Final = 16_384
"""Bytes of the smallest turn."""

SPARE: Final = 32_768
"""Bytes that turns leave to streams that do not wait."""

ANSWER_LIMIT: Final = 65_536
"""Bytes of unflushed answers above which a session is overloaded."""

# What a stream waits for.
FREE: Final = 0
QUEUED: Final = 1
NO_CREDIT: Final = 2


class Areas(Protocol):
    """The pool of bulk areas, one per event loop."""

    def borrow(self) -> bytearray:
        """Return an area of at least AREA_SIZE bytes. Its content does not matter."""
        ...

    def give_back(self, area: bytearray, /) -> None:
        """Take an area back. No view of it is kept."""
        ...


class Output:
    """What a connection has to send, and the order of its writers."""

    __slots__ = (
        "_areas",
        "_ask",
        "_granted",
        "_handed",
        "_round",
        "answers",
        "area",
        "asked",
        "capacity",
        "epoch",
        "first",
        "frame_limit",
        "last",
        "lender",
        "lent",
        "pos",
        "queue",
        "reserved",
        "view",
    )

    def __init__(self, areas: Areas, ask: "Callable[[], None]", frame_limit: int) -> None:
        """Start empty. ``ask`` is called when a flush becomes due."""
        self._areas = areas
        self._ask = ask
        self.frame_limit = frame_limit
        self.capacity = min(FILL + frame_limit + HEADER, AREA_SIZE)
        self.first = bytearray()
        self.last = bytearray()
        self.area: bytearray | None = None
        self.view: memoryview | None = None
        self.pos = 0
        """Bytes in the bulk area."""
        self.reserved = 0
        """Bytes of room promised to turns."""
        self.lender: Stream | None = None
        """Who holds the one valid lend,"""
        self.lent = 0
        """and how many bytes it has."""
        self.queue: deque[Stream] = deque()
        """Who waits for room, in order; may hold streams that no longer wait."""
        self.answers = 0
        self.asked = False
        self.epoch = 0
        """Counts flushes: a frame put in epoch n is out when this is larger."""
        self._granted: deque[tuple[int, Stream]] = deque()
        self._round = 0
        self._handed = False

    def limit(self, frame_limit: int) -> None:
        """Use another frame limit from now on."""
        self.frame_limit = frame_limit
        self.capacity = min(FILL + frame_limit + HEADER, AREA_SIZE)

    def ask(self) -> None:
        """Have a flush come, once."""
        if not self.asked:
            self.asked = True
            self._ask()

    def put_first(self, frame: bytes) -> None:
        """Add a frame that goes ahead of all data."""
        self.first += frame
        if not self.asked:
            self.ask()

    def put_last(self, frame: bytes) -> None:
        """Add a frame that goes behind all data."""
        self.last += frame
        if not self.asked:
            self.ask()

    def borrow(self) -> memoryview:
        """Return a view of the bulk area, fetched from the pool if need be."""
        view = self.view
        if view is None:
            self.area = area = self._areas.borrow()
            self.view = view = memoryview(area)
            assert len(area) >= self.capacity
        return view

    # -- whose turn

    def join(self, stream: "Stream") -> None:
        """Put a stream at the tail of those that wait for room. What it has left of a turn is over."""
        if stream.turn:
            self.end_turn(stream)
        stream.waiting = QUEUED
        self.queue.append(stream)
        if not self.asked:
            self.ask()

    def end_turn(self, stream: "Stream") -> None:
        """Take back what a stream has left of its turn."""
        self.reserved -= stream.turn
        stream.turn = 0

    def wake(self, call: "Callable[[Stream], None]") -> None:
        """Give turns after a flush; ``call`` tells a stream's Sink that it has room."""
        queue = self.queue
        granted = self._granted
        if not queue and not granted:
            return
        self._round = now = self._round + 1
        while granted and granted[0][0] <= now - 2:
            given, stream = granted.popleft()
            if stream.turn and stream.turn_round == given:
                self.end_turn(stream)
        for _ in range(len(queue)):
            if not queue:  # a Sink ended others meanwhile
                break
            stream = queue[0]
            if stream.waiting != QUEUED:
                queue.popleft()
                continue
            if not stream.urgent and not self._grant(stream, now):
                break
            queue.popleft()
            stream.waiting = FREE
            call(stream)
        assert 0 <= self.reserved <= AREA_SIZE - self.pos
        if queue or granted:
            self.ask()

    def _grant(self, stream: "Stream", now: int) -> bool:
        """Reserve a turn for a stream; False when the room does not bear one."""
        room = self.capacity - self.pos - self.reserved - SPARE
        # Never less than what a lend asks for: a stream of little credit would get turns that it cannot use.
        want = max(min(self.frame_limit, stream.credit), MIN_ROOM) + HEADER
        if want > room:
            if room < MIN_TURN:
                return False
            want = room
        self.reserved += want
        stream.turn = want
        stream.turn_round = now
        self._granted.append((now, stream))
        return True

    # -- flush

    def take(self) -> memoryview | None:
        """Return the next bytes to send, valid until the next call; None when all is out."""
        if self._handed:
            self._handed = False
            if not self.pos:
                self._release()
        if self.first:
            data = memoryview(self.first)
            self.first = bytearray()
            self.answers = 0
            self.epoch += 1
            return data
        if self.pos:
            assert self.view is not None
            self.lender = None
            data = self.view[: self.pos]
            self.pos = 0
            self._handed = True
            return data
        if self.last:
            data = memoryview(self.last)
            self.last = bytearray()
            return data
        self.epoch += 1
        self.asked = False
        if self.area is not None:
            self._release()  # borrowed for a lend that was never settled: a socket's end, mostly
        return None

    def _release(self) -> None:
        """Give the empty bulk area back to the pool."""
        area = self.area
        if area is not None:
            self.lender = None
            self.view = self.area = None
            self._areas.give_back(area)

    def forget_writers(self) -> None:
        """Every stream is over. What is buffered stays to be flushed."""
        assert not self.reserved
        self.queue.clear()
        self._granted.clear()

    def clear(self) -> None:
        """Drop what is buffered: nobody will flush it."""
        self.first = bytearray()
        self.last = bytearray()
        self.pos = 0
        self._release()
