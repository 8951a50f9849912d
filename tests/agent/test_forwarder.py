"""From a visitor's stream to the upstream and back."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.kit.certs import Certs, make_certs
from tests.kit.fake_service import VISITOR, FakeService, agent_of
from tests.kit.pipes import Recorder
from tests.kit.upstreams import Upstream as Served
from tests.kit.upstreams import answer_after_end, echo, upstream, web

from portway import (
    Agent,
    ConfigError,
    ConnectionClosed,
    ConnectionOpened,
    EndpointForwarder,
    Event,
    HTTPRequestComplete,
    Upstream,
)
from portway.agent import dialer as dialer_module
from portway.agent import forwarder as forwarder_module
from portway.codec.http1 import find_head, parse_response
from portway.codec.proxy_protocol import encode_v1, encode_v2
from portway.errors import ConnectError
from portway.net.dial import dial
from portway.net.leg import Leg
from portway.net.tls import TlsPump
from portway.wire.messages import AuthRespExtra

REQUEST = b"GET /a?b HTTP/1.1\r\nHost: public.example\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n"
FOREIGN = AuthRespExtra(version="3.0", region="test")
"""A service that is no portway: the agent must write the page itself."""


class Visit:
    """A visitor at an endpoint of the fake service."""

    def __init__(self, service: FakeService, endpoint: EndpointForwarder, first: bytes = b"") -> None:
        self.service = service
        self.recorder = Recorder(service.bell)
        self.stream = service.last.visit(endpoint.id, self.recorder, first, proto=endpoint.protocol)
        self.recorder.pipe = self.stream

    async def send_all(self, data: bytes) -> None:
        """Send, waiting for room."""
        view = memoryview(data)
        while view:
            rooms = self.recorder.rooms
            view = view[self.stream.send(view) :]
            if view:
                await self.service.until(lambda rooms=rooms: self.recorder.rooms > rooms)

    async def data(self, size: int) -> bytes:
        """Wait for so many bytes."""
        await self.service.until(lambda: len(self.recorder.data) >= size)
        return bytes(self.recorder.data)

    async def rest(self) -> bytes:
        """Wait for the end."""
        await self.service.until(lambda: bool(self.recorder.ends))
        return bytes(self.recorder.data)


class Heard:
    """The forwarder's events."""

    def __init__(self, service: FakeService) -> None:
        self.service = service
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, ConnectionOpened | ConnectionClosed | HTTPRequestComplete):
            self.events.append(event)
            self.service.bell.ring()

    async def closed(self) -> ConnectionClosed:
        """Wait for the end of a connection."""
        await self.service.until(lambda: bool(self.events) and isinstance(self.events[-1], ConnectionClosed))
        last = self.events[-1]
        assert isinstance(last, ConnectionClosed)
        return last


@pytest.fixture
async def heard(service: FakeService) -> Heard:
    return Heard(service)


@pytest.fixture
async def agent(service: FakeService, heard: Heard) -> AsyncIterator[Agent]:
    async with agent_of(service, event_handlers=[heard]) as agent:
        yield agent


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@pytest.mark.row("G-121", "G-122", "G-123", "G-124", "G-120")
async def test_what_a_forwarder_tells_of_itself(service: FakeService, agent: Agent) -> None:
    context = ssl.create_default_context()
    forwarder = await agent.forward(
        Upstream("https://h.example:1", tls_context=context, proxy_protocol=1), url="https://", name="n"
    )
    assert forwarder.upstream_url == "https://h.example:1"
    assert forwarder.upstream_protocol == "https"
    assert forwarder.upstream_tls_context is context
    assert forwarder.proxy_protocol == "v1"
    assert forwarder.name == "n"
    assert forwarder.agent is agent
    assert service.last.binds[0].forwards_to == "https://h.example:1"
    assert service.last.binds[0].opts["ProxyProto"] == 1
    plain = await agent.forward(8080)
    assert (plain.upstream_tls_context, plain.proxy_protocol) == (None, None)
    assert plain.upstream_url == "http://localhost:8080"


@pytest.mark.row("G-125", "G-156", "G-157")
async def test_bytes_go_both_ways_and_are_counted(service: FakeService, agent: Agent, heard: Heard) -> None:
    async with upstream(echo) as up:
        forwarder = await agent.forward(up.port, url="tcp://")
        visit = Visit(service, forwarder, b"hello ")
        await visit.send_all(b"world")
        assert await visit.data(11) == b"hello world"
        visit.stream.end()
        await visit.rest()
        closed = await heard.closed()
    opened = heard.events[0]
    assert isinstance(opened, ConnectionOpened)
    assert (opened.endpoint, opened.remote_addr) == (forwarder, VISITOR)
    assert (closed.endpoint, closed.remote_addr) == (forwarder, VISITOR)
    assert (closed.bytes_in, closed.bytes_out) == (11, 11)
    assert closed.duration > 0
    assert len(heard.events) == 2


@pytest.mark.row("A14", "G-104", "T-001")
async def test_half_close_is_kept(service: FakeService, agent: Agent) -> None:
    data = bytes(range(256)) * 8192  # 2 MiB: more than any window
    async with upstream(answer_after_end) as up:
        forwarder = await agent.forward(up.port, url="tcp://")
        visit = Visit(service, forwarder)
        await visit.send_all(data)
        visit.stream.end()
        assert await visit.rest() == f"{len(data)} bytes".encode()


@pytest.mark.row("T-003")
async def test_the_upstream_may_speak_first(service: FakeService, agent: Agent) -> None:
    async def banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"RFB 003.008\n")
        await reader.read()

    async with upstream(banner) as up:
        visit = Visit(service, await agent.forward(up.port, url="tcp://"))
        assert await visit.data(12) == b"RFB 003.008\n"
        visit.stream.end()
        await visit.rest()


@pytest.mark.row("G-125", "A14")
async def test_http_passes_untouched(service: FakeService, agent: Agent, heard: Heard) -> None:
    async with upstream(web) as up:
        forwarder = await agent.forward(up.port, url="http://a.example")
        visit = Visit(service, forwarder, REQUEST)
        expected = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(REQUEST), REQUEST)
        assert await visit.data(len(expected)) == expected
        await visit.send_all(REQUEST)
        assert await visit.data(2 * len(expected)) == 2 * expected
        visit.stream.end()
        await visit.rest()
        await heard.closed()
    assert [type(event).__name__ for event in heard.events] == [
        "ConnectionOpened",
        "HTTPRequestComplete",
        "HTTPRequestComplete",
        "ConnectionClosed",
    ]
    complete = heard.events[1]
    assert isinstance(complete, HTTPRequestComplete)
    assert (complete.method, complete.path, complete.status_code) == ("GET", "/a?b", 200)
    assert complete.endpoint is forwarder
    assert complete.duration > 0


@pytest.mark.row("G-126", "G-158")
async def test_a_portway_service_answers_for_a_dead_upstream(
    service: FakeService, agent: Agent, heard: Heard
) -> None:
    forwarder = await agent.forward(closed_port(), url="http://")
    visit = Visit(service, forwarder, REQUEST)
    assert await visit.rest() == b"", "the service has the better page, and a field that can be trusted"
    assert not visit.recorder.resets
    visit.stream.end()
    assert (await heard.closed()).bytes_out == 0
    complete = heard.events[1]
    assert isinstance(complete, HTTPRequestComplete)
    assert (complete.method, complete.status_code) == ("GET", 502)


@pytest.mark.row("G-126", "A14", "G-157")
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_an_http_visitor_of_a_dead_upstream_gets_a_page(
    service: FakeService,
    agent: Agent,
    heard: Heard,
    caplog: pytest.LogCaptureFixture,
    scheme: str,
) -> None:
    service.extra = FOREIGN
    port = closed_port()
    forwarder = await agent.forward(port, url=f"{scheme}://")
    post = b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n"
    visit = Visit(service, forwarder, post)
    await visit.send_all(b"x" * 500_000)  # the body is still coming while the page goes out
    page = await visit.rest()
    visit.stream.end()
    end = find_head(page)
    head = parse_response(page[:end], b"POST")
    assert (head.status, head.framing.length) == (502, len(page) - end)
    assert b"ERR_NGROK_8012" in page
    closed = await heard.closed()
    assert closed.bytes_out == len(page)
    complete = heard.events[1]
    assert isinstance(complete, HTTPRequestComplete)
    assert complete.status_code == 502
    assert not forwarder.done()
    warning = next(record for record in caplog.records if record.levelno == logging.WARNING)
    assert f"localhost:{port}" in warning.getMessage()


@pytest.mark.row("G-126", "A14", "G-157", "T-057")
@pytest.mark.parametrize("scheme", ["tcp", "tls"])
async def test_other_visitors_of_a_dead_upstream_are_ended(
    service: FakeService, agent: Agent, heard: Heard, caplog: pytest.LogCaptureFixture, scheme: str
) -> None:
    port = closed_port()
    forwarder = await agent.forward(port, url=f"{scheme}://")
    visit = Visit(service, forwarder, b"anybody?")
    assert await visit.rest() == b""
    assert not visit.recorder.resets
    visit.stream.end()
    closed = await heard.closed()
    assert (closed.bytes_in, closed.bytes_out) == (0, 0)
    assert len(heard.events) == 2
    assert f"localhost:{port}" in caplog.text
    assert not forwarder.done()


@pytest.mark.row("G-126")
async def test_an_upstream_that_comes_back_is_used_again(service: FakeService, agent: Agent) -> None:
    port = closed_port()
    forwarder = await agent.forward(port, url="tcp://")
    visit = Visit(service, forwarder)
    assert await visit.rest() == b""
    visit.stream.end()
    server = await asyncio.start_server(_greet, "127.0.0.1", port)
    async with server:
        visit = Visit(service, forwarder)
        assert await visit.data(5) == b"hello"
        visit.stream.end()


async def _greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello")
    await reader.read()
    writer.close()


@pytest.mark.row("T-056")
async def test_the_name_is_dialled_anew_at_each_connection(
    service: FakeService, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int, float | None]] = []

    async def elsewhere(
        host: str, port: int, factory: Callable[[], Leg], *, timeout: float | None
    ) -> tuple[asyncio.Transport, Leg]:
        asked.append((host, port, timeout))
        return await dial("127.0.0.1", ports[len(asked) - 1], factory)

    await agent.connect()
    monkeypatch.setattr(dialer_module, "dial", elsewhere)
    async with upstream(echo) as one, upstream(answer_after_end) as two:
        ports = [one.port, two.port]
        forwarder = await agent.forward("service.test:1", url="tcp://")
        answers: list[bytes] = []
        for _ in ports:
            visit = Visit(service, forwarder, b"abc")
            visit.stream.end()
            answers.append(await visit.rest())
    assert answers == [b"abc", b"3 bytes"]
    assert asked == [("service.test", 1, 3.0)] * 2


@pytest.mark.row("G-127")
async def test_an_upstream_that_never_answers_costs_three_seconds(
    service: FakeService, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(
        host: str, port: int, factory: Callable[[], Leg], *, timeout: float | None
    ) -> tuple[asyncio.Transport, Leg]:
        assert timeout == 3.0
        raise ConnectError("tcp", f"cannot connect to {host}:{port}: no answer within 3 s")

    await agent.connect()
    monkeypatch.setattr(dialer_module, "dial", never)
    visit = Visit(service, await agent.forward("10.255.255.1:1", url="tcp://"))
    assert await visit.rest() == b""
    visit.stream.end()


@pytest.mark.row("G-134")
@pytest.mark.parametrize("how", ["cas", "unverified", "context"])
async def test_tls_to_the_upstream(service: FakeService, agent: Agent, certs: Certs, how: str) -> None:
    own = make_certs("127.0.0.1")
    async with upstream(echo, tls=own.server) as up:
        addr = f"tls://127.0.0.1:{up.port}"
        to = {
            "cas": lambda: Upstream(addr, verify_cas=own.ca),
            "unverified": lambda: Upstream(addr, verify=False),
            "context": lambda: Upstream(addr, tls_context=own.client),
        }[how]()
        visit = Visit(service, await agent.forward(to, url="tcp://"), b"secret")
        assert await visit.data(6) == b"secret"
        visit.stream.end()
        await visit.rest()


@pytest.mark.row("G-134")
async def test_the_upstreams_host_is_the_server_name(service: FakeService, agent: Agent) -> None:
    names: list[str] = []
    own = make_certs("localhost")
    own.server.sni_callback = lambda sock, name, context: names.append(name)
    async with upstream(echo, tls=own.server) as up:
        to = Upstream(f"tls://localhost:{up.port}", verify_cas=own.ca)
        visit = Visit(service, await agent.forward(to, url="tcp://"), b"x")
        await visit.data(1)
        visit.stream.end()
        await visit.rest()
    assert names == ["localhost"]


Failing = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)
    writer.write(b"this is not TLS, but it is quite long enough to be looked at")
    await writer.drain()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)


async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)
    writer.transport.abort()


@pytest.mark.row("G-126", "G-134")
@pytest.mark.parametrize("handle", [no_tls, hang_up, slam])
async def test_an_upstream_that_fails_tls_is_answered_for(
    service: FakeService, agent: Agent, heard: Heard, handle: Failing
) -> None:
    service.extra = FOREIGN
    async with upstream(handle) as up:
        forwarder = await agent.forward(f"https://localhost:{up.port}", url="http://")
        visit = Visit(service, forwarder, REQUEST)
        page = await visit.rest()
        assert page.startswith(b"HTTP/1.1 502 ")
        assert b"ERR_NGROK_8012" in page
        assert not visit.recorder.resets
        visit.stream.end()
        closed = await heard.closed()
        assert closed.bytes_out == len(page)


@pytest.mark.row("G-134")
async def test_a_certificate_that_is_not_trusted_is_answered_for(
    service: FakeService, agent: Agent, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    async with upstream(echo, tls=make_certs("localhost").server) as up:
        forwarder = await agent.forward(f"https://localhost:{up.port}", url="http://")
        visit = Visit(service, forwarder, REQUEST)
        assert await visit.rest() == b"", "not a byte of it, and the service says 502"
        visit.stream.end()
        await heard.closed()
    assert f"https://localhost:{up.port}: the certificate is not valid" in caplog.text


@pytest.mark.row("G-133", "T-068")
@pytest.mark.parametrize(("version", "encode"), [(1, encode_v1), (2, encode_v2)])
async def test_the_proxy_header_goes_ahead_of_tls(
    service: FakeService,
    agent: Agent,
    version: int,
    encode: Callable[[str, str], bytes],
) -> None:
    own = make_certs("localhost")
    header = encode("203.0.113.7:4321", "203.0.113.8:443")
    seen: list[bytes] = []

    async def behind(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readexactly(len(header)))
        pump = TlsPump(own.server, server_side=True)
        buffer = memoryview(bytearray(65_536))
        while data := await reader.read(65_536):
            pump.received(data)
            if pump.secure or pump.handshake():
                while n := pump.read_into(buffer):
                    pump.write(buffer[:n])
            writer.write(pump.output())

    async with upstream(behind) as up:
        to = Upstream(f"tls://localhost:{up.port}", verify_cas=own.ca, proxy_protocol=version)
        visit = Visit(service, await agent.forward(to, url="tcp://"), header[:9])
        await visit.send_all(header[9:] + b"data")
        assert await visit.data(4) == b"data"
        visit.stream.end()
        await visit.rest()
    assert seen == [header]


@pytest.mark.row("G-133", "G-158")
async def test_the_proxy_header_passes_to_a_plain_upstream(
    service: FakeService, agent: Agent, heard: Heard
) -> None:
    header = encode_v2("203.0.113.7:4321", "203.0.113.8:443")
    async with upstream(echo) as up:
        to = Upstream(f"http://localhost:{up.port}", proxy_protocol=2)
        visit = Visit(service, await agent.forward(to, url="http://"), header + REQUEST)
        assert await visit.data(len(header + REQUEST)) == header + REQUEST
        visit.stream.end()
        await visit.rest()
        await heard.closed()


async def test_a_visitor_who_resets_cuts_the_upstream(service: FakeService, agent: Agent) -> None:
    ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(5)
            writer.write(b"ready")
            await reader.read()
        except ConnectionResetError as error:
            ended.set_result(error)
        else:
            ended.set_result(None)

    async with upstream(watch) as up:
        visit = Visit(service, await agent.forward(up.port, url="tcp://"), b"hello")
        await visit.data(5)
        visit.stream.abort()
        assert isinstance(await ended, ConnectionResetError)


async def test_a_lost_session_cuts_the_upstream(service: FakeService, agent: Agent, heard: Heard) -> None:
    async with upstream(echo) as up:
        visit = Visit(service, await agent.forward(up.port, url="tcp://"), b"hello")
        await visit.data(5)
        service.last.drop()
        await heard.closed()


@pytest.mark.row("G-125", "A16")
async def test_a_closed_forwarder_takes_nobody_and_lets_the_others_finish(
    service: FakeService, agent: Agent
) -> None:
    async with upstream(echo) as up:
        forwarder = await agent.forward(up.port, url="tcp://")
        old = Visit(service, forwarder, b"old")
        await old.data(3)
        await forwarder.close()
        new = Visit(service, forwarder, b"new")
        assert await new.rest() == b""
        await old.send_all(b" friend")
        assert await old.data(10) == b"old friend"
        old.stream.end()
        await old.rest()
        assert up.accepted == 1


async def test_without_listeners_nothing_is_put_between(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarder_module, "Observer", None)
    async with agent_of(service) as agent, upstream(web) as up:
        visit = Visit(service, await agent.forward(up.port, url="http://"), REQUEST)
        assert (await visit.data(12)).startswith(b"HTTP/1.1 200")
        visit.stream.end()
        await visit.rest()


async def test_the_upstream_may_be_on_another_address(service: FakeService, agent: Agent) -> None:
    async with upstream(echo, host="127.0.0.2") as up:
        visit = Visit(service, await agent.forward(f"127.0.0.2:{up.port}", url="tcp://"), b"there")
        assert await visit.data(5) == b"there"
        visit.stream.end()
        await visit.rest()


async def test_a_unix_socket_is_an_upstream(service: FakeService, agent: Agent, tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    server = await asyncio.start_unix_server(Served(echo).serve, path)
    async with server:
        forwarder = await agent.forward(f"unix:{path}", url="tcp://")
        visit = Visit(service, forwarder, b"abc")
        visit.stream.end()
        assert await visit.rest() == b"abc"
    assert forwarder.upstream_url == f"unix:{path}"


async def test_new_connections_go_to_another_upstream(service: FakeService, agent: Agent) -> None:
    async with upstream(echo) as one, upstream(answer_after_end) as two:
        forwarder = await agent.forward(f"127.0.0.1:{one.port}", url="tcp://")
        early = Visit(service, forwarder, b"abc")
        assert await early.data(3) == b"abc"
        forwarder.update_upstream(f"127.0.0.1:{two.port}")
        assert forwarder.upstream_url == f"tcp://127.0.0.1:{two.port}"
        late = Visit(service, forwarder, b"abcd")
        late.stream.end()
        assert await late.rest() == b"4 bytes"
        early.stream.end()
        assert await early.rest() == b"abc"
        for wrong in (Upstream(two.port, proxy_protocol=1), "no-port-here"):
            with pytest.raises(ConfigError):
                forwarder.update_upstream(wrong)
        assert forwarder.upstream_url == f"tcp://127.0.0.1:{two.port}"
