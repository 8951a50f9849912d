"""The builder style, with ``await`` and without."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.kit.fake_service import FakeService, refusing
from tests.kit.service import Running, running_worker
from tests.kit.threads import ServiceThread
from tests.kit.upstreams import echo, upstream

from portway import ConfigError, Error, ProxyProtocol, Session, SessionBuilder
from portway.agent.sync import farewell


@pytest.fixture
async def edge() -> AsyncIterator[Running]:
    async with running_worker() as running:
        yield running


@pytest.fixture
def thread() -> Iterator[ServiceThread]:
    with ServiceThread(running_worker) as service:
        yield service
        farewell()


def to(service: FakeService) -> SessionBuilder:
    return Session.builder().server_addr(service.connect_url).ca_cert(service.certs.ca)


@pytest.mark.row("T-026", "T-036", "T-066")
async def test_the_whole_chain(service: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NGROK_AUTHTOKEN", "of-env")
    session = await (
        to(service)
        .authtoken_from_env()
        .metadata("of the session")
        .heartbeat_interval(3)
        .heartbeat_tolerance(4)
        .client_info("library", "1")
        .client_info("program", "2", "comment")
        .connect()
    )
    extra = service.last.auth.extra
    assert (extra.authtoken, extra.metadata) == ("of-env", "of the session")
    assert (extra.heartbeat_interval, extra.heartbeat_tolerance) == (3_000_000_000, 4_000_000_000)
    assert extra.user_agent.startswith("program/2 (comment) library/1 portway/")
    assert session.id == session.info.id == "ts_1"
    listener = await (
        session.tcp_endpoint()
        .remote_addr("localhost:20123")
        .proxy_proto(ProxyProtocol.V2)
        .metadata("m")
        .name("n")
        .description("d")
        .pooling_enabled(True)
        .binding("public")
        .traffic_policy("{}")
        .listen()
    )
    bind = service.last.binds[0]
    assert listener.url() == "tcp://localhost:20123"
    assert (bind.opts["URL"], bind.opts["ProxyProto"]) == ("tcp://localhost:20123", 2)
    assert (bind.extra.metadata, bind.extra.name, bind.extra.description) == ("m", "n", "d")
    assert (bind.extra.bindings, bind.extra.pooling_enabled) == (("public",), True)
    assert bind.opts["TrafficPolicy"] == "{}"
    assert "Session" in repr(session)
    await session.close()
    assert listener.done()


async def test_each_kind_of_endpoint(service: FakeService) -> None:
    session = await to(service).authtoken("t").connect(timeout=20)
    made = [
        await session.http_endpoint().listen(),
        await session.http_endpoint().scheme("HTTP").domain("a.example").listen(),
        await session.tls_endpoint().domain("b.example").listen(),
        await session.tcp_endpoint().listen(),
    ]
    assert [listener.protocol for listener in made] == ["https", "http", "tls", "tcp"]
    asked = [bind.opts["URL"] for bind in service.last.binds]
    assert asked == ["https://", "http://a.example", "tls://b.example", "tcp://"]
    await session.close()


@pytest.mark.row("T-055")
async def test_listen_and_forward(edge: Running) -> None:
    builder = Session.builder().server_addr(f"127.0.0.1:{edge.agent_port}").ca_cert(edge.certs.ca)
    session = await builder.authtoken("good").connect()
    async with upstream(echo, host="127.0.0.2") as other:
        forwarder = await session.tcp_endpoint().listen_and_forward(f"tcp://127.0.0.2:{other.port}")
        assert await asked(forwarder.url.port or 0) == b"hello"
        with pytest.raises(Error) as caught:
            await session.tcp_endpoint().remote_addr("localhost:9").listen_and_forward("tcp://127.0.0.2:1")
        assert caught.value.code.startswith("ERR_NGROK_")
        with pytest.raises(ConfigError):
            await session.tcp_endpoint().listen_and_forward("ftp://127.0.0.2:1")
    await session.close()


async def asked(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello")
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.row("T-026")
async def test_a_refused_session(service: FakeService) -> None:
    service.on_auth = refusing(4018)
    with pytest.raises(Error) as caught:
        await to(service).authtoken_from_env().connect()
    assert caught.value.code == "ERR_NGROK_4018"
    assert service.last.auth.extra.authtoken == ""


async def test_an_option_that_makes_no_sense(service: FakeService) -> None:
    with pytest.raises(ConfigError, match="heartbeat_interval"):
        to(service).heartbeat_interval(-1).connect()
    heard: list[object] = []
    session = await to(service).event_handler(heard.append).rpc_handler(print).region("eu").connect()
    assert heard
    assert session.agent.options.rpc_handler is print
    await session.close()
    said = to(service).proxy_url("http://p:1")
    assert said._options == {  # pyright: ignore[reportPrivateUsage]
        "connect_url": service.connect_url,
        "connect_cas": service.certs.ca,
        "proxy_url": "http://p:1",
    }


@pytest.mark.row("T-026", "T-055")
def test_without_await_in_a_plain_script(thread: ServiceThread) -> None:
    session = Session.builder().server_addr(thread.connect_url).ca_cert(thread.ca).authtoken("good").connect()
    listener = session.tcp_endpoint().listen()
    url = listener.url()
    assert url.startswith("tcp://")
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as visitor:
        visitor.sendall(b"ping")
        with listener.accept(timeout=20) as connection:
            assert connection.recv(10) == b"ping"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        forwarder = session.tcp_endpoint().listen_and_forward(f"tcp://127.0.0.1:{listening.getsockname()[1]}")
        answering = threading.Thread(target=_answer, args=(listening,), daemon=True)
        answering.start()
        with socket.create_connection(("127.0.0.1", forwarder.url.port or 0)) as visitor:
            assert visitor.recv(10) == b"hello"
        answering.join(20)
    session.close()
    assert forwarder.done()


def _answer(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    with connection:
        connection.sendall(b"hello")


async def test_a_session_belongs_to_its_world(service: FakeService) -> None:
    session = await to(service).connect()
    with pytest.raises(RuntimeError, match="inside an event loop"):
        _ = session.tcp_endpoint()._plain  # pyright: ignore[reportPrivateUsage]
    await session.close()
