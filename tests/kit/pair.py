"""Two real session machines back to back, with every byte between them under the test's control.

``Pair`` joins an agent's and a service's ``Connection``; ``settle()`` flushes and feeds until nothing
moves. ``Side`` is one machine with a handler that remembers, alone or in a pair. ``Ear`` is a Sink
that remembers. ``frames_of`` and the writers of frames know the layout by themselves, so that they
judge the machine.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from portway.errors import PortwayError, RemoteProtocolError
from portway.pipe import Sink
from portway.wire import (
    AREA_SIZE,
    PORTWAY,
    Connection,
    Opening,
    Profile,
    Role,
    Stream,
    StreamType,
    pack_opening,
)


@dataclass(frozen=True)
class Frame:
    """One decoded frame."""

    type: int
    flags: int
    stream: int
    body: bytes

    @property
    def value(self) -> int:
        """The u32 of an RST or WNDINC."""
        return int.from_bytes(self.body[:4], "big")


def frame(type: int, flags: int, stream: int, body: bytes = b"") -> bytes:  # noqa: A002 - the protocol's own word
    """Write a frame by hand."""
    return len(body).to_bytes(3, "big") + bytes([type << 4 | flags]) + stream.to_bytes(4, "big") + body


def data(stream: int, body: bytes = b"", *, syn: bool = False, fin: bool = False) -> bytes:
    """Write a DATA frame."""
    return frame(1, syn * 2 + fin, stream, body)


def rst(stream: int, code: int) -> bytes:
    """Write an RST frame."""
    return frame(0, 0, stream, code.to_bytes(4, "big"))


def wndinc(stream: int, increment: int) -> bytes:
    """Write a WNDINC frame."""
    return frame(2, 0, stream, increment.to_bytes(4, "big"))


def goaway(last: int, code: int, text: bytes = b"") -> bytes:
    """Write a GOAWAY frame."""
    return frame(3, 0, 0, last.to_bytes(4, "big") + code.to_bytes(4, "big") + text)


def frames_of(raw: bytes) -> list[Frame]:
    """Decode whole frames; AssertionError when bytes are left over."""
    found: list[Frame] = []
    while raw:
        length = int.from_bytes(raw[:3], "big")
        assert len(raw) >= 8 + length, "a frame is cut off"
        found.append(Frame(raw[3] >> 4, raw[3] & 15, int.from_bytes(raw[4:8], "big"), raw[8 : 8 + length]))
        raw = raw[8 + length :]
    return found


class Pool:
    """Bulk areas for one machine; knows how many are out, and spoils what comes back."""

    def __init__(self, size: int = AREA_SIZE) -> None:
        self.size = size
        self.out = 0
        self.free: list[bytearray] = []

    def borrow(self) -> bytearray:
        self.out += 1
        return self.free.pop() if self.free else bytearray(self.size)

    def give_back(self, area: bytearray) -> None:
        self.out -= 1
        area[:64] = b"\xee" * 64
        self.free.append(area)


@dataclass
class Ear:
    """A Sink that remembers all it heard. ``eager`` consumes at once."""

    eager: bool = True
    pipe: Stream | None = None
    received: bytearray = field(default_factory=bytearray)
    ended: bool = False
    resets: list[int] = field(default_factory=list[int])
    rooms: int = 0
    on_room_call: Callable[[], object] | None = None
    on_data_call: Callable[[bytes], object] | None = None
    on_end_call: Callable[[], object] | None = None
    on_reset_call: Callable[[], object] | None = None

    def on_data(self, view: memoryview) -> None:
        assert not self.ended
        assert not self.resets
        self.received += view
        if self.eager and self.pipe is not None:
            self.pipe.consume(len(view))
        if self.on_data_call is not None:
            self.on_data_call(bytes(view))

    def on_end(self) -> None:
        assert not self.ended
        assert not self.resets
        self.ended = True
        if self.on_end_call is not None:
            self.on_end_call()

    def on_reset(self, code: int) -> None:
        assert not self.resets
        self.resets.append(code)
        if self.on_reset_call is not None:
            self.on_reset_call()

    def on_room(self) -> None:
        self.rooms += 1
        if self.on_room_call is not None:
            self.on_room_call()


class Side:
    """One machine and its handler: a session without a socket."""

    def __init__(self, role: Role, profile: Profile) -> None:
        self.pool = Pool()
        self.asked = 0
        self.closed: list[PortwayError | None] = []
        self.faults: list[BaseException] = []
        self.openings: list[Opening] = []
        self.arrived: list[tuple[Stream, Ear]] = []
        self.answer: Callable[[Stream, Opening], Sink | None] = self.listen
        self.now = 0.0
        self.connection = Connection(role, self, self.pool, profile=profile)

    def on_open(self, stream: Stream, opening: Opening) -> Sink | None:
        self.openings.append(opening)
        return self.answer(stream, opening)

    def on_output(self) -> None:
        self.asked += 1

    def on_closed(self, cause: PortwayError | None) -> None:
        self.closed.append(cause)

    def on_fault(self, stream: Stream, error: BaseException) -> None:
        self.faults.append(error)

    def listen(self, stream: Stream, opening: Opening) -> Sink | None:
        """Give every arriving stream an Ear."""
        ear = Ear(pipe=stream)
        self.arrived.append((stream, ear))
        return ear

    def open(self, body: bytes = b"{}", first: bytes = b"", *, eager: bool = True) -> tuple[Stream, Ear]:
        """Open a proxied stream with an Ear."""
        ear = Ear(eager=eager)
        ear.pipe = self.connection.open_stream(pack_opening(StreamType.PROXY, body) + first, ear)
        return ear.pipe, ear

    def call(self, type: int, body: bytes = b"{}") -> tuple[Stream, Ear]:  # noqa: A002 - the protocol's own word
        """Open an urgent stream with an Ear."""
        ear = Ear()
        ear.pipe = self.connection.open_stream(pack_opening(type, body), ear, urgent=True)
        return ear.pipe, ear

    def flush(self) -> bytes:
        """Do what a session's flush does; return the bytes that went out."""
        self.asked = 0
        sent = bytearray()
        while (view := self.connection.take_output()) is not None:
            sent += view
        self.connection.wake()
        return bytes(sent)

    def flush_all(self) -> bytes:
        """Flush until no flush is asked for."""
        sent = self.flush()
        while self.asked:
            sent += self.flush()
        return sent

    def frames(self) -> list[Frame]:
        """Flush all and decode."""
        return frames_of(self.flush_all())

    def feed(self, *parts: bytes) -> None:
        """Feed bytes; each part in a call of its own, from a buffer that is spoilt afterwards."""
        for part in parts:
            buffer = bytearray(part)
            self.connection.feed(memoryview(buffer), self.now)
            buffer[:] = b"\xdd" * len(buffer)

    def feed_faulty(self, *parts: bytes) -> RemoteProtocolError:
        """Feed bytes that must end the session; return the fault after doing what a session does."""
        try:
            self.feed(*parts)
        except RemoteProtocolError as error:
            self.connection.goaway(error.code, str(error))
            return error
        raise AssertionError("no fault")


def agent(profile: Profile = PORTWAY) -> Side:
    """Return a lone agent machine."""
    return Side(Role.AGENT, profile)


def service(profile: Profile = PORTWAY) -> Side:
    """Return a lone service machine."""
    return Side(Role.SERVICE, profile)


class Pair:
    """An agent and a service machine, joined. ``agents`` is how the agent treats its service."""

    def __init__(self, agents: Profile = PORTWAY, services: Profile = PORTWAY) -> None:
        self.agent = agent(agents)
        self.service = service(services)
        self.to_agent = bytearray()
        self.to_service = bytearray()

    def sides(self) -> Iterator[tuple[Side, bytearray, bytearray]]:
        """Each side with the wire it writes to and the wire it reads from."""
        yield self.agent, self.to_service, self.to_agent
        yield self.service, self.to_agent, self.to_service

    def settle(self, piece: int = 1 << 30) -> None:
        """Flush and deliver, in pieces, until nothing moves."""
        moved = True
        while moved:
            moved = False
            for side, out, into in self.sides():
                if into:
                    taken = bytes(into[:piece])
                    del into[:piece]
                    side.feed(taken)
                    moved = True
                if side.asked:
                    out += side.flush()
                    moved = True
