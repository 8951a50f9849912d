"""TLS that ends at the agent, on the real data plane: the service passes it through unread."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.kit import mutual
from tests.kit.certificates import Authority
from tests.kit.service import DOMAIN, Running, running_worker
from tests.kit.tls_visitor import TlsVisitor, close_visitors, tls_visitor
from tests.kit.upstreams import answer_after_end, upstream

from portway import Agent, ConfigError, ConnectionOpened, TLSTermination, Upstream
from portway.agent.events import Event
from portway.agent.termination import read_termination
from portway.codec.proxy_protocol import decode
from portway.net.tls import TlsPump, service_context

PATIENCE = 10.0
NAME = f"mine.{DOMAIN}"
URL = f"tls://{NAME}"
OWN = Authority()
CHAIN, KEY = OWN.issue(NAME, "localhost")


@pytest.fixture
async def edge() -> AsyncIterator[Running]:
    async with running_worker() as running:
        yield running
        await close_visitors()


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
async def agent(edge: Running, events: list[Event]) -> AsyncIterator[Agent]:
    async with Agent(
        authtoken="good",
        connect_url=f"127.0.0.1:{edge.agent_port}",
        connect_cas=edge.certs.ca,
        event_handlers=[events.append],
    ) as agent:
        yield agent


async def visit(edge: Running, shown: mutual.Signed | None = None, port: int = 0) -> TlsVisitor:
    """Come as a visitor that trusts the agent's authority, not the service's."""
    context = OWN.client_context()
    if shown is not None:
        shown.show(context)
    return await tls_visitor(port or edge.https_port, context, NAME)


def context() -> ssl.SSLContext:
    return service_context(CHAIN, KEY)


@pytest.mark.row("G-110", "G-092", "T-012")
@pytest.mark.parametrize("url", [URL, "tcp://"])
async def test_a_listener_gets_plain_bytes(edge: Running, agent: Agent, url: str) -> None:
    own = context()
    listener = await agent.listen(url, agent_tls_termination=own)
    assert listener.agent_tls_termination is own
    visitor = await visit(edge, port=0 if url == URL else listener.url.port or 0)
    async with asyncio.timeout(PATIENCE):
        connection = await listener.accept()
        connection.writer.write(b"220 ready\r\n")  # the server speaks first
        await visitor.until(lambda: visitor.plain == b"220 ready\r\n")
        visitor.say(b"in confidence")
        assert await connection.reader.readexactly(13) == b"in confidence"
        assert not connection.passthrough_tls
        assert connection.tls is not None
        assert connection.tls.version == "TLSv1.3"
        visitor.end()
        assert await connection.reader.read() == b""
        connection.writer.write(b"bye")
        connection.writer.write_eof()
        await visitor.until(lambda: visitor.pump.eof)
        assert visitor.plain.endswith(b"bye")
        await connection.close()
    [endpoint] = edge.worker.registry.all()
    assert endpoint.tls is None  # passed through


@pytest.mark.row("G-110", "T-001")
async def test_a_forwarder_hands_plain_bytes_to_its_upstream(
    edge: Running, agent: Agent, events: list[Event]
) -> None:
    data = bytes(range(256)) * 3000
    async with upstream(answer_after_end) as up:
        await agent.forward(f"tcp://127.0.0.1:{up.port}", url=URL, agent_tls_termination=context())
        visitor = await visit(edge)
        await visitor.until(lambda: visitor.pump.secure)
        visitor.say(data)
        visitor.end()
        await visitor.until(lambda: visitor.pump.eof)
        assert visitor.plain == b"%d bytes" % len(data)
    assert sum(isinstance(event, ConnectionOpened) for event in events) == 1


@pytest.mark.row("T-064", "T-066", "T-068")
@pytest.mark.parametrize("version", [1, 2])
async def test_the_proxy_header_comes_in_clear_and_is_the_first_thing_a_listener_reads(
    edge: Running, agent: Agent, version: int
) -> None:
    listener = await agent.listen(URL, agent_tls_termination=context(), proxy_protocol=version)
    visitor = await visit(edge)
    assert visitor.transport is not None
    async with asyncio.timeout(PATIENCE):
        connection = await listener.accept()
        got = b""
        while (header := decode(got) if got else None) is None:
            got += await connection.reader.read(1)
        assert header.source == "{}:{}".format(*visitor.transport.get_extra_info("sockname"))
        assert header.version == version
        visitor.say(b"then data")
        assert await connection.reader.readexactly(9) == b"then data"
    connection.abort()


class Talk:
    """An upstream's side of a connection, with TLS from here on if there is a context."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext | None
    ) -> None:
        self.reader, self.writer = reader, writer
        self.pump = TlsPump(context, server_side=True) if context is not None else None

    async def say(self, data: bytes) -> None:
        if self.pump is not None:
            await self._secured(self.pump)
            self.pump.write(data)
            data = self.pump.output()
        self.writer.write(data)

    async def hear(self, n: int) -> bytes:
        if self.pump is None:
            return await self.reader.readexactly(n)
        await self._secured(self.pump)
        view = memoryview(bytearray(n))
        while not (got := self.pump.read_into(view)):
            self.pump.received(await self.reader.read(65_536))
        return bytes(view[:got])

    async def _secured(self, pump: TlsPump) -> None:
        while not (pump.secure or pump.handshake()):
            self.writer.write(pump.output())
            pump.received(await self.reader.read(65_536))
        self.writer.write(pump.output())


@pytest.mark.row("T-060", "T-068", "G-110")
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain upstream", "encrypted again"])
@pytest.mark.parametrize("server_first", [False, True])
@pytest.mark.parametrize("version", [0, 1, 2])
async def test_every_way_to_an_upstream(
    edge: Running, agent: Agent, version: int, server_first: bool, encrypted: bool
) -> None:
    """The PROXY header first and in clear, then TLS of the upstream's own, then the visitor's bytes."""
    inner = Authority()
    arrived: asyncio.Queue[tuple[bytes, bytes]] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got = b""
        while version and (not got or decode(got) is None):
            got += await reader.read(1)
        talk = Talk(reader, writer, inner.server_context("localhost") if encrypted else None)
        if server_first:
            await talk.say(b"220 ready\r\n")
        arrived.put_nowait((got, await talk.hear(5)))
        await talk.say(b"answer")
        writer.close()

    async with upstream(serve) as up:
        scheme = "tls" if encrypted else "tcp"
        to = Upstream(f"{scheme}://localhost:{up.port}", proxy_protocol=version or None, verify_cas=inner.pem)
        await agent.forward(to, url=URL, agent_tls_termination=context())
        visitor = await visit(edge)
        await visitor.until(lambda: visitor.pump.secure)
        if server_first:
            await visitor.until(lambda: visitor.plain == b"220 ready\r\n")
        visitor.say(b"hello")
        async with asyncio.timeout(PATIENCE):
            header, said = await arrived.get()
        assert said == b"hello"
        await visitor.until(lambda: visitor.plain.endswith(b"answer"))
        assert bool(header) == bool(version)
        if version:
            assert visitor.transport is not None
            found = decode(header)
            assert found is not None
            assert found.source == "{}:{}".format(*visitor.transport.get_extra_info("sockname"))


@pytest.mark.row("G-110", "G-183")
async def test_mutual_tls_at_the_agent(edge: Running, agent: Agent, events: list[Event]) -> None:
    ended = TLSTermination(CHAIN, KEY, client_cas=mutual.authority().pem)
    listener = await agent.listen(URL, agent_tls_termination=ended)
    late = mutual.sign("late", mutual.authority(), expired=True)
    for shown in (None, late, mutual.sign("nobody")):
        visitor = await visit(edge, shown)
        await visitor.gone()
        assert visitor.error is not None
        assert not visitor.plain
    visitor = await visit(edge, mutual.client())
    async with asyncio.timeout(PATIENCE):
        connection = await listener.accept()
    assert connection.tls is not None
    assert connection.tls.peer_certificate == ssl.PEM_cert_to_DER_cert(mutual.client().pem.decode())
    connection.writer.write(b"welcome")
    await visitor.until(lambda: visitor.plain == b"welcome")
    connection.abort()


async def test_an_upstream_that_is_not_there_ends_the_visitor(edge: Running, agent: Agent) -> None:
    async with upstream(answer_after_end) as up:
        port = up.port
    await agent.forward(port, url=URL, agent_tls_termination=context())
    visitor = await visit(edge)
    await visitor.gone()
    assert not visitor.plain


async def test_a_closed_endpoint_refuses_who_is_shaking_hands(edge: Running, agent: Agent) -> None:
    listener = await agent.listen(URL, agent_tls_termination=context())
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.https_port)
    hello = await _hello()
    writer.write(hello[:-1])
    await writer.drain()
    writer.write(hello[-1:])
    async with asyncio.timeout(PATIENCE):
        assert await reader.read(5)  # the agent's half of the handshake
        await listener.close()
        writer.write(b"\x15\x03\x03\x00\x02\x02\x28")  # the visitor gives up
        while await reader.read(65_536):
            pass
    writer.close()


async def _hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = OWN.client_context().wrap_bio(incoming, outgoing, server_hostname=NAME)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


# -- the option


def test_files_text_and_bytes_make_the_same(tmp_path: Path) -> None:
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(CHAIN)
    key.write_bytes(KEY)
    for given in (
        TLSTermination(chain, key),
        TLSTermination(str(chain), str(key)),
        TLSTermination(CHAIN, KEY),
        TLSTermination(CHAIN.decode(), KEY.decode()),
    ):
        assert read_termination(given, "tls") is not None
        assert "PRIVATE" not in repr(given)


@pytest.mark.row("G-110")
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_http_endpoints_have_no_tls_to_end(scheme: str) -> None:
    agent = Agent(authtoken="x", connect_url="127.0.0.1:1")
    for call in (
        agent.listen(f"{scheme}://a.test", agent_tls_termination=context()),
        agent.forward(80, url=f"{scheme}://a.test", agent_tls_termination=context()),
    ):
        with pytest.raises(ConfigError, match="use a tls:// URL"):
            await call


def test_what_cannot_end_tls_is_refused() -> None:
    with pytest.raises(ConfigError, match="server's context"):
        read_termination(ssl.create_default_context(), "tls")
    with pytest.raises(ConfigError, match="must be an"):
        read_termination("cert.pem", "tls")  # type: ignore[arg-type]
    for wrong in (
        TLSTermination(CHAIN, mutual.client().key_pem),
        TLSTermination("/nowhere/chain.pem", KEY),
        TLSTermination(b"", b""),
        TLSTermination(CHAIN, KEY, client_cas=b"none"),
    ):
        with pytest.raises(ConfigError):
            read_termination(wrong, "tcp")
