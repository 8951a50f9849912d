"""The SDK against the real data plane, in one process: every byte goes through both."""

import asyncio
import hashlib
import random
import ssl
from collections.abc import AsyncIterator
from dataclasses import fields as dataclass_fields
from pathlib import Path

import pytest
from tests.kit.certs import make_certs
from tests.kit.pipes import Bell
from tests.kit.service import FakeControl, Running, running_worker, settings
from tests.kit.traffic import parted
from tests.kit.upstreams import answer_after_end, echo, upstream, web

import portway
from portway import (
    Agent,
    AgentConnectSucceeded,
    AgentDisconnected,
    AgentHeartbeatReceived,
    ConnectionClosed,
    EndpointListener,
    Error,
    Event,
    EventType,
    HTTPRequestComplete,
    SessionClosed,
    Upstream,
)
from portway.agent import default
from portway.agent.default import agent_for
from portway.codec.proxy_protocol import decode
from portway.edge.ports import Revoked
from portway.model.event import AgentSessionStarted, EndpointOnline, EndpointUpdated
from portway.server.parsers import Address

PATIENCE = 20.0


class Heard:
    """An event handler that can be waited for."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.bell = Bell()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self.bell.ring()

    def count(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events)

    async def until(self, kind: type[Event], count: int = 1) -> Event:
        """Wait for so many events of this kind; return the last of them."""
        await self.bell.until(lambda: self.count(kind) >= count)
        return next(event for event in reversed(self.events) if isinstance(event, kind))


@pytest.fixture
async def edge() -> AsyncIterator[Running]:
    async with running_worker() as running:
        yield running


@pytest.fixture
def heard() -> Heard:
    return Heard()


def agent_of(edge: Running, *heard: Heard, token: str = "good") -> Agent:
    return Agent(
        authtoken=token,
        connect_url=f"127.0.0.1:{edge.agent_port}",
        connect_cas=edge.certs.ca,
        event_handlers=heard,
    )


@pytest.fixture
async def agent(edge: Running, heard: Heard) -> AsyncIterator[Agent]:
    async with agent_of(edge, heard) as agent:
        yield agent


class Visitor:
    """A public client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def at(
        cls, port: int | None, tls: ssl.SSLContext | None = None, name: str | None = None
    ) -> "Visitor":
        """Connect to a port of the edge."""
        async with asyncio.timeout(PATIENCE):
            return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name))

    async def ask(self, host: str, path: str = "/", body: bytes = b"") -> tuple[int, bytes]:
        """Send a request; return status and body of the answer."""
        method, length = ("POST", f"Content-Length: {len(body)}\r\n") if body else ("GET", "")
        head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{length}\r\n"
        self.writer.write(head.encode() + body)
        async with asyncio.timeout(PATIENCE):
            answer = await self.reader.readuntil(b"\r\n\r\n")
            size = int(answer.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            return int(answer.split()[1]), await self.reader.readexactly(size)

    async def rest(self) -> bytes:
        """Read to the end."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def close(self) -> None:
        """Close."""
        await parted(self.writer)


@pytest.mark.row("G-002", "G-006", "G-125", "G-158", "G-118")
async def test_http_through_a_random_url(edge: Running, agent: Agent, heard: Heard) -> None:
    async with upstream(web) as up:
        forwarder = await agent.forward(up.port, url="http://")
        assert forwarder.url.port == edge.http_port
        visitor = await Visitor.at(edge.http_port)
        for path in ("/a?b=c", "/d"):
            status, body = await visitor.ask(forwarder.url.host, path)
            assert status == 200
            assert f"GET {path} HTTP/1.1".encode() in body
            assert f"Host: {forwarder.url.host}".lower().encode() in body.lower()
        await visitor.close()
        done = await heard.until(HTTPRequestComplete, 2)
        assert isinstance(done, HTTPRequestComplete)
        assert (done.method, done.path, done.status_code) == ("GET", "/d", 200)


@pytest.mark.row("G-102", "G-045")
async def test_https_delivered_to_the_application(edge: Running, agent: Agent) -> None:
    listener = await agent.listen()
    assert listener.url.scheme == "https"
    context = ssl.create_default_context(cadata=edge.certs.ca.decode())
    visitor = await Visitor.at(edge.https_port, context, listener.url.hostname)
    asking = asyncio.ensure_future(visitor.ask(listener.url.host, "/x"))
    async with await listener.accept() as connection:
        head = await connection.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"GET /x HTTP/1.1\r\n")
        assert b"x-forwarded-proto: https" in head.lower()
        connection.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        assert await asking == (200, b"ok")
    await visitor.close()


@pytest.mark.row("G-126", "G-157")
async def test_a_dead_upstream_gives_a_502_and_comes_back(edge: Running, agent: Agent, heard: Heard) -> None:
    async with upstream(web) as up:
        port = up.port
    forwarder = await agent.forward(port, url="http://")
    visitor = await Visitor.at(edge.http_port)
    status, body = await visitor.ask(forwarder.url.host, "/", b"x" * 100_000)
    assert status == 502
    assert b"ERR_NGROK_8012" in body
    await visitor.close()
    await heard.until(ConnectionClosed)
    server = await asyncio.start_server(_answer, "127.0.0.1", port)
    visitor = await Visitor.at(edge.http_port)
    assert await visitor.ask(forwarder.url.host) == (200, b"ok")
    await visitor.close()
    server.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    writer.close()


@pytest.mark.row("G-126", "T-057", "T-094")
async def test_tcp_to_a_dead_upstream_is_closed_without_a_byte(
    edge: Running, agent: Agent, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    async with upstream(echo) as up:
        port = up.port
    forwarder = await agent.forward(port, url="tcp://")
    visitor = await Visitor.at(forwarder.url.port)
    assert await visitor.rest() == b""
    await visitor.close()
    closed = await heard.until(ConnectionClosed)
    assert isinstance(closed, ConnectionClosed)
    assert (closed.bytes_in, closed.bytes_out) == (0, 0)
    assert f"localhost:{port}" in caplog.text
    assert not forwarder.done()


@pytest.mark.row("T-001", "A14", "G-104")
async def test_half_close_through_everything(edge: Running, agent: Agent) -> None:
    async with upstream(answer_after_end) as up:
        forwarder = await agent.forward(up.port, url="tcp://")
        visitor = await Visitor.at(forwarder.url.port)
        visitor.writer.write(b"x" * 3_000_000)
        visitor.writer.write_eof()
        assert await visitor.rest() == b"3000000 bytes"
        await visitor.close()


@pytest.mark.row("T-001", "A7", "A8")
async def test_bulk_both_ways_at_once_arrives_whole(edge: Running, agent: Agent, heard: Heard) -> None:
    block = random.Random(1).randbytes(1 << 20)
    size = 32 * len(block)

    async def send() -> None:
        for _ in range(32):
            visitor.writer.write(block)
            await visitor.writer.drain()
        visitor.writer.write_eof()

    async with upstream(echo) as up:
        forwarder = await agent.forward(up.port, url="tcp://")
        visitor = await Visitor.at(forwarder.url.port)
        got, count = hashlib.sha256(), 0
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(send())
            while data := await visitor.reader.read(1 << 20):
                got.update(data)
                count += len(data)
        await visitor.close()
    assert count == size
    assert got.digest() == hashlib.sha256(block * 32).digest()
    closed = await heard.until(ConnectionClosed)
    assert isinstance(closed, ConnectionClosed)
    assert (closed.bytes_in, closed.bytes_out) == (size, size)


@pytest.mark.row("G-103")
async def test_tls_passes_untouched_to_the_upstream(edge: Running, agent: Agent) -> None:
    own = make_certs("db.portway.localhost")
    async with upstream(echo, tls=own.server) as up:
        forwarder = await agent.forward(up.port, url="tls://db.portway.localhost")
        assert forwarder.url.hostname == "db.portway.localhost"
        visitor = await Visitor.at(edge.https_port, own.client, "db.portway.localhost")
        visitor.writer.write(b"secret")
        assert await visitor.reader.readexactly(6) == b"secret"
        await visitor.close()


@pytest.mark.row("T-060", "T-068", "G-133", "G-123")
@pytest.mark.parametrize("version", [1, 2])
async def test_the_upstream_learns_the_visitors_address(edge: Running, agent: Agent, version: int) -> None:
    async with upstream(echo) as up:
        to = Upstream(f"tcp://localhost:{up.port}", proxy_protocol=version)
        forwarder = await agent.forward(to, url="tcp://")
        visitor = await Visitor.at(forwarder.url.port)
        visitor.writer.write(b"hello")
        visitor.writer.write_eof()
        back = await visitor.rest()
        header = decode(back)
        assert header is not None
        host, port = visitor.writer.get_extra_info("sockname")
        assert (header.version, header.source) == (version, f"{host}:{port}")
        assert back[header.size :] == b"hello"
        await visitor.close()


@pytest.mark.row("T-064")
@pytest.mark.parametrize("version", [1, 2])
async def test_a_listener_sees_the_header_first(edge: Running, agent: Agent, version: int) -> None:
    listener = await agent.listen("tcp://", proxy_protocol=version)
    visitor = await Visitor.at(listener.url.port)
    async with await listener.accept() as connection:
        first = await connection.reader.read(200)
        header = decode(first)
        assert header is not None
        assert (header.version, header.source) == (version, connection.remote_addr)
    await visitor.close()


@pytest.mark.row("T-023", "T-024", "T-054")
async def test_the_older_forms_carry_bytes(
    edge: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_bytes(edge.certs.ca)
    monkeypatch.setenv("PORTWAY_CONNECT_URL", f"127.0.0.1:{edge.agent_port}")
    monkeypatch.setenv("PORTWAY_CONNECT_CAS", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("NGROK_AUTHTOKEN", "good")
    monkeypatch.setattr(default, "default_agent", Agent())
    async with upstream(echo, host="127.0.0.2") as up:
        address = f"127.0.0.2:{up.port}"
        for pending in (
            portway.forward(addr=address, authtoken_from_env=True, proto="tcp"),
            portway.forward(address, authtoken_from_env=True, proto="tcp"),
        ):
            forwarder = await pending
            assert forwarder.url() == str(forwarder.url)
            visitor = await Visitor.at(forwarder.url.port)
            visitor.writer.write(b"hello")
            visitor.writer.write_eof()
            assert await visitor.rest() == b"hello"
            await visitor.close()
            await forwarder.close()
        await agent_for("good").disconnect()
    for listener in (
        await portway.listen(proto="tcp", authtoken_from_env=True),
        await portway.listen("tcp://"),
    ):
        assert listener.url.scheme == "tcp"
        visitor = await Visitor.at(listener.url.port)
        visitor.writer.write(b"hello")
        async with await listener.accept() as connection:
            assert await connection.reader.readexactly(5) == b"hello"
            connection.writer.write(b"goodbye")
        assert await visitor.rest() == b"goodbye"
        await visitor.close()
        await listener.agent.disconnect()


@pytest.mark.row("G-047", "T-029", "A9", "A17", "G-153", "G-154")
async def test_a_lost_session_comes_back_with_its_addresses(
    edge: Running, agent: Agent, heard: Heard
) -> None:
    listener = await agent.listen("tcp://")
    async with upstream(web) as up:
        forwarder = await agent.forward(up.port, url="http://")
        urls = (listener.url, forwarder.url)
        _cut(edge)
        await heard.until(AgentConnectSucceeded, 2)
        assert agent.endpoints == [listener, forwarder]
        assert (listener.url, forwarder.url) == urls
        visitor = await Visitor.at(listener.url.port)
        async with await listener.accept() as connection:
            assert connection.remote_addr.startswith("127.0.0.1:")
        await visitor.close()
        visitor = await Visitor.at(edge.http_port)
        status, _ = await visitor.ask(forwarder.url.host)
        assert status == 200
        await visitor.close()
    kinds = [type(event).__name__ for event in heard.events]
    assert [kind for kind in kinds if kind.startswith(("AgentC", "AgentD"))] == [
        "AgentConnectSucceeded",
        "AgentDisconnected",
        "AgentConnectSucceeded",
    ]


def _cut(edge: Running) -> None:
    """Lose every agent's connection, as a network does."""
    gateway = edge.worker.gateway
    assert gateway is not None
    for leg in list(gateway.legs.values()):
        assert leg.session is not None
        leg.session.abort(SessionClosed("cut by the test"))


@pytest.mark.row("G-047", "T-029", "S30")
async def test_a_restarted_service_gives_the_addresses_back(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    control, config = FakeControl(), settings()
    agent: Agent | None = None
    listener: EndpointListener | None = None
    names: set[str] = set()
    for number in (1, 2):
        async with running_worker(control, config=config) as edge:
            monkeypatch.setenv("PORTWAY_CONNECT_URL", f"127.0.0.1:{edge.agent_port}")
            if agent is None or listener is None:
                agent = Agent(authtoken="good", connect_cas=edge.certs.ca, event_handlers=[heard])
                listener = await agent.listen("tcp://")
                await edge.settled()
                names = set(control.names)
                assert len(names) == 1
            await heard.until(AgentConnectSucceeded, number)
            if number == 2:
                assert set(control.names) == names
                visitor = await Visitor.at(listener.url.port)
                (await listener.accept()).abort()
                await visitor.close()
                await agent.disconnect()


@pytest.mark.row("G-048", "G-054", "G-086")
async def test_a_revoked_token_ends_the_agent(edge: Running, agent: Agent, heard: Heard) -> None:
    listener, forwarder = await agent.listen("tcp://"), await agent.forward(80)
    del edge.control.grants["good"]
    edge.control.revoke(Revoked(credential_id="cr_good"))
    await asyncio.wait_for(asyncio.gather(listener.wait(), forwarder.wait()), PATIENCE)
    with pytest.raises(Error):
        await listener.accept()
    last = await heard.until(AgentDisconnected, 2)
    assert isinstance(last, AgentDisconnected)
    assert isinstance(last.error, Error)
    assert last.error.code == "ERR_NGROK_107"


@pytest.mark.row("G-054", "G-008", "G-182")
@pytest.mark.parametrize(("token", "code"), [("bad", 107), ("with blanks", 105), ("", 4018)])
async def test_tokens_that_are_refused(edge: Running, token: str, code: int) -> None:
    with pytest.raises(Error) as caught:
        await agent_of(edge, token=token).listen()
    assert caught.value.code == f"ERR_NGROK_{code}"


@pytest.mark.row("G-049", "T-038")
async def test_two_agents_and_one_url(edge: Running, agent: Agent) -> None:
    async with agent_of(edge) as other:
        first = await agent.listen("http://shared.portway.localhost", pooling_enabled=True)
        await other.listen("http://shared.portway.localhost", pooling_enabled=True)
        alone = await agent.listen("http://alone.portway.localhost")
        with pytest.raises(Error) as caught:
            await other.listen(str(alone.url))
        assert caught.value.code == "ERR_NGROK_334"
        assert first.pooling_enabled


@pytest.mark.row("T-028", "G-083")
async def test_random_ports_differ_and_are_free_after_a_close(edge: Running, agent: Agent) -> None:
    listeners = await asyncio.gather(*(agent.listen("tcp://") for _ in range(20)))
    ports = [listener.url.port for listener in listeners]
    assert len(set(ports)) == 20
    assert ports != sorted(ports, key=lambda port: port or 0)
    await asyncio.gather(*(listener.close() for listener in listeners))
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


@pytest.mark.row("G-076", "G-117")
@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://invalid@domain.com", 9037),
        ("https://a.portway.localhost/path", 9037),
        ("https://a.portway.localhost/", 9038),
    ],
)
async def test_urls_that_the_service_refuses(agent: Agent, url: str, code: int) -> None:
    with pytest.raises(Error) as caught:
        await agent.listen(url)
    assert caught.value.code == f"ERR_NGROK_{code}"


@pytest.mark.row("G-053", "G-085", "G-089")
async def test_texts_that_are_too_long(edge: Running, agent: Agent) -> None:
    with pytest.raises(Error):
        await agent.listen(metadata="m" * 4097)
    with pytest.raises(Error):
        await agent.listen(description="d" * 256)
    async with Agent(
        authtoken="good",
        connect_url=f"127.0.0.1:{edge.agent_port}",
        connect_cas=edge.certs.ca,
        metadata="m" * 4097,
    ) as wordy:
        with pytest.raises(Error) as caught:
            await wordy.connect()
    assert caught.value.code == "ERR_NGROK_100"


# -- diagnosis -------------------------------------------------------------------------------------


@pytest.mark.row("G-141", "G-142", "G-143", "G-144", "G-145")
async def test_a_diagnosis_asks_without_a_token(edge: Running) -> None:
    where = f"127.0.0.1:{edge.agent_port}"
    agent = Agent(connect_url=where, connect_cas=edge.certs.ca, authtoken="is never told")
    result = await agent.diagnose()
    assert (result.addr, result.region) == (where, "test")
    assert 0 < result.latency < 30
    leaf = edge.certs.chain.decode().partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----"
    assert result.peer_certificates[0] == ssl.PEM_cert_to_DER_cert(leaf)
    assert edge.control.asked == []
    assert not agent.connected


# -- changes in place ------------------------------------------------------------------------------


@pytest.mark.row("G-096")
async def test_an_endpoint_is_changed_in_place(edge: Running, agent: Agent) -> None:
    listener = await agent.listen("tcp://", name="before", pooling_enabled=True)
    await listener.update(name="after", description="d", metadata="m")
    updated = await edge.events.next(EndpointUpdated)
    assert (updated.endpoint_id, updated.url) == (listener.id, listener.url)
    assert (updated.name, updated.description, updated.metadata) == ("after", "d", "m")
    assert updated.pooling_enabled
    with pytest.raises(Error) as caught:
        await listener.update(metadata="x" * 4097)
    assert caught.value.code
    assert listener.metadata == "m"


# -- several sessions ------------------------------------------------------------------------------


@pytest.mark.row("G-062")
async def test_one_agent_over_two_sessions(heard: Heard) -> None:
    config = settings(connect_addresses=(Address("localhost", 0),))
    async with running_worker(config=config) as edge:
        await over_two_sessions(edge, heard)


async def over_two_sessions(edge: Running, heard: Heard) -> None:
    gateway = edge.worker.gateway
    assert gateway is not None
    agent = Agent(
        authtoken="good",
        connect_url=f"127.0.0.1:{edge.agent_port}",
        connect_cas=edge.certs.ca,
        multi_leg=True,
        event_handlers=[heard],
    )
    async with agent, upstream(echo) as server:
        forwarder = await agent.forward(f"127.0.0.1:{server.port}", url="tcp://")
        assert sorted(number for _, _, number in gateway.legs) == [0, 1]
        for number in (1, 0):
            leg = next(leg for key, leg in gateway.legs.items() if key[2] == number)
            assert leg.session is not None
            leg.session.abort(SessionClosed("lost in the test"))
            visitor = await Visitor.at(forwarder.url.port)
            visitor.writer.write(b"over the other")
            visitor.writer.write_eof()
            assert await visitor.rest() == b"over the other"
            await visitor.close()
            await heard.until(AgentConnectSucceeded, 3 - number)
        assert not forwarder.done()
    assert gateway.legs == {}
    await edge.settled()
    assert edge.control.names == {}


# -- what is said, and what is heard ---------------------------------------------------------------


@pytest.mark.row("G-052", "G-053", "G-111", "G-112", "G-113", "G-114", "G-115", "G-118")
async def test_everything_that_is_said_reaches_the_service(edge: Running) -> None:
    agent = Agent(
        authtoken="good",
        connect_url=f"127.0.0.1:{edge.agent_port}",
        connect_cas=edge.certs.ca,
        metadata="métadata",
        description="what runs here",
    )
    async with agent:
        listener = await agent.listen(
            "tcp://", name="n", description="d", metadata="m", bindings=["public"], pooling_enabled=True
        )
        plain = await agent.listen()
        started = await edge.events.next(AgentSessionStarted)
        assert (started.metadata, started.description) == ("métadata", "what runs here")
        assert started.session_id == agent.session.id
        online = await edge.events.next(EndpointOnline)
        assert (online.endpoint_id, online.url, online.session_id) == (
            listener.id,
            listener.url,
            agent.session.id,
        )
        assert (online.name, online.description, online.metadata) == ("n", "d", "m")
        assert (online.binding, online.pooling_enabled, online.proto) == ("public", True, "tcp")
        bare = await edge.events.next(EndpointOnline, 2)
        assert (bare.endpoint_id, bare.proto, bare.binding) == (plain.id, "https", "public")
        assert (bare.name, bare.description, bare.metadata, bare.pooling_enabled) == ("", "", "", False)
        for wrong in ({"metadata": "x" * 4097}, {"description": "x" * 256}, {"bindings": ["nobody"]}):
            with pytest.raises(Error):
                await agent.listen("tcp://", **wrong)  # pyright: ignore[reportArgumentType]


@pytest.mark.row("G-150", "G-151", "G-153", "G-154", "G-155", "G-156", "G-157", "G-158", "G-159", "G-162")
async def test_all_six_events_of_one_run(edge: Running, heard: Heard) -> None:
    records: list[dict[str, str]] = []

    def log(event: Event) -> None:
        """Take the fields as a structured log would."""
        fields = {field.name: str(getattr(event, field.name)) for field in dataclass_fields(event)}
        records.append({"event": str(event.event_type)} | fields)

    agent = Agent(
        authtoken="good",
        connect_url=f"127.0.0.1:{edge.agent_port}",
        connect_cas=edge.certs.ca,
        heartbeat_interval=0.1,
        event_handlers=[heard, log],
    )
    async with upstream(web) as up, agent:
        forwarder = await agent.forward(up.port, url="http://")
        session = agent.session
        visitor = await Visitor.at(edge.http_port)
        for path in ("/one?q", "/two"):
            assert (await visitor.ask(forwarder.url.host, path))[0] == 200
        await visitor.close()
        await heard.until(AgentHeartbeatReceived)
        await heard.until(HTTPRequestComplete, 2)
        closed = await heard.until(ConnectionClosed)
    assert isinstance(closed, ConnectionClosed)
    assert {event.event_type for event in heard.events} == set(EventType)
    assert [event.timestamp for event in heard.events] == sorted(event.timestamp for event in heard.events)
    requests = [event for event in heard.events if isinstance(event, HTTPRequestComplete)]
    assert [(event.method, event.path, event.status_code) for event in requests] == [
        ("GET", "/one?q", 200),
        ("GET", "/two", 200),
    ]
    assert all(event.endpoint is forwarder and event.duration > 0 for event in requests)
    assert closed.bytes_in > 0 < closed.bytes_out
    first, last = heard.events[0], heard.events[-1]
    assert isinstance(first, AgentConnectSucceeded)
    assert (first.agent, first.session) == (agent, session)
    assert isinstance(last, AgentDisconnected)
    assert last.error is None
    assert [record["event"] for record in records] == [str(event.event_type) for event in heard.events]
    assert session.id in records[0]["session"]
    beats = [record for record in records if record["event"] == "AgentHeartbeatReceived"]
    assert float(beats[0]["latency"]) > 0
