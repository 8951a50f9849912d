"""Two live sessions joined in memory or over loopback, and one end of a session played by hand."""

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, cast

from portway.errors import PortwayError
from portway.net.tls import TlsPump
from portway.pipe import Sink
from portway.session import Role, Session, Stream
from portway.wire.messages import ProxyHeader
from tests.kit.certs import Certs
from tests.kit.pipes import ENDING, Bell

HEADER = ProxyHeader("bind1", "10.1.2.3:4567", "tcp", "0", False)


class MemoryTransport(asyncio.Transport):
    """One end of a connection in memory, for a BufferedProtocol. Order and events as on a socket."""

    def __init__(self, protocol: asyncio.BufferedProtocol) -> None:
        """Belong to a protocol; `join` follows."""
        self.extra: dict[str, Any] = {"peername": ("10.9.8.7", 6543)}
        """What `get_extra_info` tells."""
        super().__init__(self.extra)
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._incoming: deque[bytes] = deque()
        self._peer: MemoryTransport | None = None
        self._reading = True
        self._eof_sent = self._eof_got = self._eof_told = False
        self._closing = self._lost = False
        self._scheduled = False
        self.full = False
        """Set by a test: the peer's socket takes nothing."""
        self.written = 0

    def join(self, peer: "MemoryTransport") -> None:
        """Connect with the other end and begin."""
        self._peer = peer
        self._protocol.connection_made(self)

    def join_silently(self, peer: "MemoryTransport") -> None:
        """Connect with the other end without telling the protocol: the test writes by hand."""
        self._peer = peer

    def get_write_buffer_size(self) -> int:
        """Return 0: writing never waits unless the test says so."""
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Take no notice."""

    def fill(self) -> None:
        """Pretend that the socket takes nothing more."""
        self.full = True
        self._protocol.pause_writing()

    def empty(self) -> None:
        """Pretend that the socket has taken everything."""
        self.full = False
        self._protocol.resume_writing()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Deliver to the other end, later."""
        assert not self._eof_sent, "written after the end"
        if self._closing or self._peer is None:
            return
        self.written += len(data)
        self._peer.arrive(bytes(data))

    def arrive(self, data: bytes) -> None:
        """Take bytes from the other end."""
        if not self._lost:
            self._incoming.append(data)
            self._schedule()

    def can_write_eof(self) -> bool:
        """Return True, as a socket does."""
        return True

    def write_eof(self) -> None:
        """End our direction."""
        if self._eof_sent:
            return
        self._eof_sent = True
        if self._peer is not None:
            self._peer.end()

    def end(self) -> None:
        """Hear that the other end writes no more."""
        self._eof_got = True
        self._schedule()

    def pause_reading(self) -> None:
        """Deliver nothing."""
        self._reading = False

    def resume_reading(self) -> None:
        """Deliver again."""
        self._reading = True
        self._schedule()

    def is_reading(self) -> bool:
        """Whether it delivers."""
        return self._reading

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self._closing

    def close(self) -> None:
        """End both directions."""
        if not self._closing:
            self.write_eof()
            self._closing = True
            self._loop.call_soon(self._lose)

    def abort(self) -> None:
        """End both directions."""
        self.close()

    def _lose(self) -> None:
        if not self._lost:
            self._lost = True
            self._incoming.clear()
            self._protocol.connection_lost(None)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False
        if not self._reading or self._closing:
            return
        if self._incoming:
            data = self._incoming.popleft()
            view = cast("memoryview", self._protocol.get_buffer(-1))
            n = min(len(view), len(data))
            view[:n] = data[:n]
            if n < len(data):
                self._incoming.appendleft(data[n:])
            self._protocol.buffer_updated(n)
            self._schedule()
        elif self._eof_got and not self._eof_told:
            self._eof_told = True
            if not self._protocol.eof_received():
                self.close()


class Owner:
    """A session's handler that writes down what it hears, and does what the test gave it to do."""

    def __init__(self, bell: Bell | None = None) -> None:
        """Make a handler; unless told otherwise it answers requests with ``{}``."""
        self.bell = bell or Bell()
        self.heard: list[str] = []
        self.requests: list[tuple[int, bytes]] = []
        self.latencies: list[float] = []
        self.closed: list[PortwayError | None] = []
        self.streams: list[Stream] = []
        self.headers: list[ProxyHeader] = []
        self.answer: Callable[[Session, int, bytes], Awaitable[bytes | None]] = _empty_object
        self.take: Callable[[Stream], Sink | None] = _nobody

    def on_ready(self, session: Session, /) -> None:
        """Record."""
        self._record("ready")

    async def on_request(self, session: Session, kind: int, body: bytes, /) -> bytes | None:
        """Record and answer."""
        self.requests.append((kind, body))
        self._record("request")
        return await self.answer(session, kind, body)

    def on_proxy(self, session: Session, header: ProxyHeader, stream: Stream, /) -> Sink | None:
        """Record and take."""
        self.headers.append(header)
        self.streams.append(stream)
        self._record("proxy")
        return self.take(stream)

    def on_heartbeat(self, session: Session, latency: float, /) -> None:
        """Record."""
        self.latencies.append(latency)
        self._record("heartbeat")

    def on_closed(self, session: Session, cause: PortwayError | None, /) -> None:
        """Record."""
        self.closed.append(cause)
        self._record("closed")

    def _record(self, what: str) -> None:
        assert "closed" not in self.heard, f"{what} after the last call"
        self.heard.append(what)
        self.bell.ring()


async def _empty_object(session: Session, kind: int, body: bytes) -> bytes | None:
    return b"{}"


def _nobody(stream: Stream) -> Sink | None:
    return None


class Pair:
    """An agent's and a service's session, joined in memory, each with an owner that records."""

    def __init__(
        self, certs: Certs, *, server_hostname: str = "localhost", agent_owner: Owner | None = None
    ) -> None:
        """Make both; `join` or `secure` follows."""
        self.agent_owner = agent_owner or Owner()
        self.bell = self.agent_owner.bell
        self.service_owner = Owner(self.bell)
        self.agent = Session(Role.AGENT, self.agent_owner, certs.client, server_hostname=server_hostname)
        self.service = Session(Role.SERVICE, self.service_owner, certs.server)
        self.agent_end = MemoryTransport(self.agent)
        self.service_end = MemoryTransport(self.service)

    def join(self) -> None:
        """Connect the ends; the handshake begins."""
        self.service_end.join(self.agent_end)
        self.agent_end.join(self.service_end)

    async def secure(self) -> None:
        """Connect the ends and wait for TLS."""
        self.join()
        await self.agent.ready()
        await self.service.ready()

    async def close(self) -> None:
        """Close both and wait until their sockets are gone."""
        self.agent.close()
        self.service.close()
        async with asyncio.timeout(ENDING):
            await self.agent.wait_closed()
            await self.service.wait_closed()


class Peer(asyncio.BufferedProtocol):
    """The other end of a session, played by hand: frames are written as bytes and read as tuples."""

    def __init__(self, context: ssl.SSLContext, *, server_side: bool, bell: Bell) -> None:
        """Make one end under TLS."""
        name = None if server_side else "localhost"
        self._pump = TlsPump(context, server_side=server_side, server_hostname=name)
        self._transport: MemoryTransport | None = None
        self._buffer = memoryview(bytearray(65_536))
        self._plain = bytearray()
        self._bell = bell
        self._begins = not server_side
        self.frames: list[tuple[int, int, int, bytes]] = []
        """Type, flags, stream id and body of every frame that came."""
        self.ended = False
        """Whether the session has closed its direction."""

    @property
    def secure(self) -> bool:
        """Whether TLS stands."""
        return self._pump.secure

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin TLS."""
        assert isinstance(transport, MemoryTransport)
        self._transport = transport
        if self._begins:
            self._pump.handshake()
            self._push()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the buffer."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Decrypt, and cut into frames."""
        self._pump.received(self._buffer[:nbytes])
        if self._pump.secure or self._pump.handshake():
            plain = memoryview(bytearray(262_144))
            while n := self._pump.read_into(plain):
                self._plain += plain[:n]
        self._push()
        self._cut()
        self._bell.ring()

    def eof_received(self) -> bool:
        """Note the end, and stay."""
        self.ended = True
        self._bell.ring()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone."""
        self.ended = True
        self._bell.ring()

    def send(self, *frames: bytes) -> None:
        """Send bytes as they are."""
        self._pump.write(b"".join(frames))
        self._push()

    def close(self) -> None:
        """Close the connection without a word."""
        assert self._transport is not None
        self._transport.close()

    def close_notify(self) -> None:
        """End TLS, and nothing else."""
        self._pump.close_notify()
        self._push()

    def of(self, stream: int) -> list[tuple[int, int, bytes]]:
        """Return type, flags and body of the frames of one stream."""
        return [(kind, flags, body) for kind, flags, number, body in self.frames if number == stream]

    def data(self, stream: int) -> bytes:
        """Return all bytes of one stream."""
        return b"".join(body for kind, _, body in self.of(stream) if kind == 1)

    def _push(self) -> None:
        assert self._transport is not None
        if self._pump.has_output:
            self._transport.write(self._pump.output())

    def _cut(self) -> None:
        while len(self._plain) >= 8:
            size = int.from_bytes(self._plain[:3], "big")
            if len(self._plain) < 8 + size:
                return
            kind, number = self._plain[3], int.from_bytes(self._plain[4:8], "big")
            self.frames.append((kind >> 4, kind & 15, number, bytes(self._plain[8 : 8 + size])))
            del self._plain[: 8 + size]


def frame(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
    """Return one frame."""
    return len(body).to_bytes(3, "big") + bytes([kind << 4 | flags]) + stream.to_bytes(4, "big") + body


def typed(kind: int, body: bytes = b"") -> bytes:
    """Return a stream type and what follows it."""
    return kind.to_bytes(4, "big") + body


class Played:
    """A real session, and a `Peer` that plays the other end."""

    def __init__(self, certs: Certs, role: Role) -> None:
        """Make both ends in memory; `role` is that of the real one."""
        self.bell = Bell()
        self.owner = Owner(self.bell)
        service = role is Role.SERVICE
        options: dict[str, Any] = {} if service else {"server_hostname": "localhost"}
        self.session = Session(role, self.owner, certs.server if service else certs.client, **options)
        context = certs.client if service else certs.server
        self.peer = Peer(context, server_side=not service, bell=self.bell)
        self.session_end = MemoryTransport(self.session)
        self.peer_end = MemoryTransport(self.peer)

    async def secure(self) -> None:
        """Connect the ends and wait for TLS."""
        self.peer_end.join(self.session_end)
        self.session_end.join(self.peer_end)
        await self.session.ready()
        await self.bell.until(lambda: self.peer.secure)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition on what either end has heard."""
        await self.bell.until(condition)

    async def close(self) -> None:
        """Close the session and wait until its socket is gone."""
        self.session.close()
        self.peer.close()
        async with asyncio.timeout(ENDING):
            await self.session.wait_closed()
