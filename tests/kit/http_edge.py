"""An HTTP edge with one endpoint, whose agent is played by hand or forwards to a real server.

``stand()`` opens a listener that makes HttpVisitors. Streams to the agent are memory pairs; the test
holds their far ends.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol, cast

from portway.codec.client_hello import ClientHelloError, parse
from portway.edge.counters import Counters
from portway.edge.http import HttpVisitor
from portway.edge.http_sides import RequestPolicy
from portway.edge.ip_policies import Restriction
from portway.edge.member import Visitor
from portway.edge.pool import Pool
from portway.edge.ports import EdgeConfig
from portway.edge.registry import Endpoint, Registry
from portway.edge.tls_facts import TlsFacts
from portway.edge.tracer import Tracer
from portway.edge.wishes import Wishes
from portway.errors import SessionClosed, StreamLimit
from portway.model.event import HttpRequestComplete, TcpConnectionClosed
from portway.model.url import Url
from portway.net.leg import hand_over
from portway.net.listen import listen
from portway.net.memory import MemoryPipe, memory_pair
from portway.net.tls import TlsPump
from portway.pipe import Pipe, Sink
from tests.kit.certs import Certs
from tests.kit.pipes import PATIENCE, Bell, End, Recorder, spin_until, turns
from tests.kit.traffic import parted

HOST = "app.example"


class AgentStream(End):
    """The agent's end of a stream."""

    def __init__(self, pipe: MemoryPipe, bell: Bell, visitor: Visitor) -> None:
        super().__init__(pipe, Recorder(bell))
        pipe.attach(self.sink)
        self.visitor = visitor

    @property
    def data(self) -> bytes:
        """All that came."""
        return bytes(self.sink.data)

    async def until(self, text: bytes, count: int = 1) -> bytes:
        """Wait until ``text`` has come ``count`` times; return all that came."""
        await self.sink.bell.until(lambda: self.data.count(text) >= count)
        return self.data

    async def heads(self, count: int = 1) -> bytes:
        """Wait for so many heads."""
        return await self.until(b"\r\n\r\n", count)

    def say(self, data: bytes) -> None:
        """Answer; fits the window."""
        assert self.pipe.send(data) == len(data)

    def ok(self, body: bytes = b"hello", *lines: bytes) -> None:
        """Answer 200 with a body of stated length."""
        head = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *lines, b"", b""]
        self.say(b"\r\n".join(head) + body)

    async def ended(self) -> None:
        """Wait for the end of writing."""
        await self.sink.bell.until(lambda: self.sink.ends > 0)

    async def cut(self) -> int:
        """Wait for the reset; return its code."""
        await self.sink.bell.until(lambda: bool(self.sink.resets))
        return self.sink.resets[0]


class HandAgent:
    """A member that is played by the test. ``serve`` takes every new stream if given."""

    forwards_proto = ""

    def __init__(self, bell: Bell, serve: Callable[[AgentStream], None] | None = None) -> None:
        self.id = "bind"
        self.usable = True
        self.full = False
        self.window = 262_144
        self.bell = bell
        self.counters = Counters()
        self.opened: list[AgentStream] = []
        self._serve = serve

    @property
    def streams(self) -> int:
        """Count all that were ever opened."""
        return len(self.opened)

    def open(self, visitor: Visitor, sink: Sink) -> Pipe:
        if self.full:
            raise StreamLimit("full")
        if not self.usable:
            raise SessionClosed("over")
        near, far = memory_pair(window=self.window)
        near.attach(sink)
        stream = AgentStream(far, self.bell, visitor)
        self.opened.append(stream)
        if self._serve is not None:
            self._serve(stream)
        self.bell.ring()
        return near

    async def stream(self, index: int = 0) -> AgentStream:
        """Wait for the stream of that number."""
        await self.bell.until(lambda: len(self.opened) > index)
        return self.opened[index]


@dataclass
class HandEdge:
    """The HttpEdge of a test: real registry, written-down events, a clock that is set."""

    config: EdgeConfig = field(default_factory=EdgeConfig)
    registry: Registry = field(default_factory=Registry)
    told: list[object] = field(default_factory=list[object])
    clock: float = 1000.0
    draining: bool = False
    restrictions: Mapping[str, Restriction] = field(default_factory=dict[str, Restriction])
    bell: Bell = field(default_factory=Bell)
    visitors: list[HttpVisitor] = field(default_factory=list[HttpVisitor])
    wishes: Wishes = field(default_factory=lambda: Wishes(every=True))
    tracer: Tracer | None = None

    @property
    def events(self) -> "HandEdge":
        return self

    def emit(self, event: object) -> None:
        self.told.append(event)
        self.bell.ring()

    def may_log(self, what: str, interval: float) -> bool:
        return True

    def now(self) -> float:
        return self.clock

    def wall(self) -> float:
        return self.clock

    @property
    def requests(self) -> list[HttpRequestComplete]:
        """Requests that were told of."""
        return [event for event in self.told if isinstance(event, HttpRequestComplete)]

    @property
    def connections(self) -> list[TcpConnectionClosed]:
        """Connections that were told of."""
        return [event for event in self.told if isinstance(event, TcpConnectionClosed)]


class Client:
    """A visitor that says exactly what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @property
    def transport(self) -> asyncio.Transport:
        """The socket's transport."""
        return cast("asyncio.Transport", self.writer.transport)

    def send(self, *lines: str, body: bytes = b"", host: str = HOST) -> None:
        """Send a request: its first line, further fields, a body. Host is added."""
        head = [lines[0], f"Host: {host}", *lines[1:], "", ""]
        self.writer.write("\r\n".join(head).encode("latin-1") + body)

    def get(self, path: str = "/", *lines: str) -> None:
        """Send a GET."""
        self.send(f"GET {path} HTTP/1.1", *lines)

    async def head(self) -> tuple[int, dict[str, str]]:
        """Read a head: status, and fields by lower-case name."""
        async with asyncio.timeout(PATIENCE):
            raw = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = raw[:-4].split("\r\n")
        pairs = (line.split(":", 1) for line in lines)
        return int(first.split(" ")[1]), {name.lower(): value.strip() for name, value in pairs}

    async def body(self, size: int) -> bytes:
        """Read so many bytes."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readexactly(size)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Read an answer of stated length."""
        status, fields = await self.head()
        return status, fields, await self.body(int(fields.get("content-length", "0")))

    async def rest(self) -> bytes:
        """Read to the clean end of the connection."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read(-1)

    async def is_cut(self) -> bytes:
        """Read until the connection is reset; return what came before. Fail at a clean end."""
        found = b""
        async with asyncio.timeout(PATIENCE):
            try:
                while piece := await self.reader.read(65_536):
                    found += piece
            except (ConnectionResetError, ssl.SSLError):
                return found
        raise AssertionError(f"a clean end after {found[:200]!r}")

    async def close(self) -> None:
        """Close, whatever state it is in."""
        await parted(self.writer)


class Closing(Protocol):
    """A client that can be closed."""

    async def close(self) -> None: ...


@dataclass
class Stand:
    """Everything of one test."""

    edge: HandEdge
    agent: HandAgent
    endpoint: Endpoint
    port: int
    certs: Certs | None = None
    clients: list[Client] = field(default_factory=list[Client])
    others: list[Closing] = field(default_factory=list[Closing])
    """Clients of other kinds."""

    async def visit(self, name: str = HOST) -> Client:
        """Connect, with TLS where the stand has it."""
        client = Client(
            *await asyncio.open_connection(
                "127.0.0.1",
                self.port,
                ssl=self.certs.client if self.certs else None,
                server_hostname=name if self.certs else None,
            )
        )
        self.clients.append(client)
        return client

    @property
    def visitor(self) -> HttpVisitor:
        """The newest connection, seen from inside."""
        return self.edge.visitors[-1]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Turn the loop until a condition holds."""
        await spin_until(condition)

    async def request_told(self, count: int = 1) -> HttpRequestComplete:
        """Wait for the event of a finished request."""
        await self.edge.bell.until(lambda: len(self.edge.requests) >= count)
        return self.edge.requests[count - 1]


def _facts(data: bytes) -> TlsFacts:
    try:
        return TlsFacts(parse(data))
    except ClientHelloError:
        return TlsFacts(None)


class _Arrival(asyncio.Protocol):
    """Hands a TLS connection over with its first bytes, as the real listener does."""

    def __init__(self, edge: HandEdge, certs: Certs) -> None:
        self._edge = edge
        self._certs = certs

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        pump = TlsPump(self._certs.server, server_side=True)
        visitor = HttpVisitor(self._edge, scheme="https", pump=pump, first=data, tls=_facts(data))
        self._edge.visitors.append(visitor)
        hand_over(self._transport, visitor)


@asynccontextmanager
async def stand(
    *,
    certs: Certs | None = None,
    config: EdgeConfig | None = None,
    serve: Callable[[AgentStream], None] | None = None,
    policy: RequestPolicy | None = None,
) -> AsyncGenerator[Stand]:
    """Open an edge with the endpoint http(s)://app.example."""
    edge = HandEdge(config or EdgeConfig())
    scheme = "https" if certs else "http"
    agent = HandAgent(Bell(), serve)
    pool = Pool(lambda n: n - 1)
    pool.add(agent)
    endpoint = Endpoint("ep_1", Url(scheme, HOST, 443 if certs else 80), scheme, "ac_1", pool)
    endpoint.policy = policy
    edge.registry.add(endpoint)

    def accept() -> asyncio.BaseProtocol:
        if certs is not None:
            return _Arrival(edge, certs)
        visitor = HttpVisitor(edge, scheme="http", pump=None, first=b"")
        edge.visitors.append(visitor)
        return visitor

    listener = await listen("127.0.0.1", 0, accept)
    made = Stand(edge, agent, endpoint, listener.port, certs)
    try:
        yield made
    finally:
        listener.close()
        for visitor in edge.visitors:
            visitor.cut()
        for client in (*made.clients, *made.others):
            await client.close()
        await turns(5)
