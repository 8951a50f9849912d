"""What type checkers must infer of the public names. Checked by basedpyright, which reads the tests.

The functions below are never called: they fail the type check when a signature changes. The test makes
sure that what type checkers see and what runs are the same names.
"""

import ast
import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, assert_type

import pytest

import portway
from portway import (
    URL,
    Agent,
    AgentConnectSucceeded,
    AgentDisconnected,
    AgentSession,
    Connection,
    ConnectionClosed,
    Diagnoser,
    Dialer,
    Endpoint,
    EndpointForwarder,
    EndpointListener,
    Error,
    Event,
    Forwarding,
    HTTPRequestComplete,
    Session,
    SessionBuilder,
    SyncAgent,
    SyncConnection,
    SyncForwarder,
    SyncListener,
    Upstream,
)


async def agent() -> None:
    async with Agent(authtoken="t", event_handlers=[print]) as made:
        assert_type(made, Agent)
        assert_type(made.session, AgentSession)
        assert_type(made.endpoints, list[Endpoint])
        assert_type(await made.listen("tcp://", bindings=["public"]), EndpointListener)
        assert_type(await made.forward(Upstream(80), url="tcp://"), EndpointForwarder)
        assert_type(await made.forward("localhost:80"), EndpointForwarder)
        assert_type(await made.connect(timeout=1), None)


async def listener(made: EndpointListener) -> None:
    assert_type(await made.accept(), Connection)
    assert_type(made.url, URL)
    assert_type(made.url(), str)
    assert_type(made.error, Exception | None)
    async for connection in made:
        assert_type(connection, Connection)
        assert_type(connection.remote_addr, str)
    iterator: AsyncIterator[Connection] = made
    assert iterator is made


async def default() -> None:
    assert_type(portway.default_agent, Agent)
    assert_type(await portway.listen("tcp://", authtoken_from_env=True), EndpointListener)
    work = portway.forward(Upstream(80))
    await assert_type(work, Coroutine[Any, Any, EndpointForwarder])
    assert_type(portway.forward("localhost:80", proto="tcp"), Forwarding)
    assert_type(portway.forward(addr=8080, authtoken_from_env=True, proto="tcp"), Forwarding)
    assert_type(await portway.forward(8080), EndpointForwarder)
    assert_type(portway.forward(8080).url(), str)
    assert_type(await portway.listen_and_forward("tcp://10.0.0.1:22", proxy_proto=2), EndpointForwarder)
    assert_type(portway.listen("tcp://").accept(), SyncConnection)
    assert_type(await portway.listen(labels={"edge": "e"}, proto="labeled"), EndpointListener)
    assert_type(portway.forward(80, proto="tls", crt="crt.pem", key="key.pem"), Forwarding)


async def builder() -> None:
    made = portway.Session.builder()
    assert_type(made, SessionBuilder)
    session = await made.authtoken_from_env().metadata("m").connect()
    assert_type(session, Session)
    assert_type(await session.tcp_endpoint().remote_addr("h:1").proxy_proto(2).listen(), EndpointListener)
    assert_type(await session.http_endpoint().domain("d").listen_and_forward(80), EndpointForwarder)
    tls = session.tls_endpoint().domain("d").termination(b"crt", Path("key.pem")).mutual_tlsca("cas.pem")
    assert_type(tls, portway.TlsEndpointBuilder)
    labelled = session.labeled_listener().label("edge", "e")
    assert_type(await labelled.app_protocol("http2").listen_and_forward(80), EndpointForwarder)
    assert_type(await session.close(), None)


async def everything_else(made: Agent, endpoint: EndpointForwarder, listening: EndpointListener) -> None:
    found = await made.diagnose(timeout=1)
    assert_type(found.peer_certificates, tuple[bytes, ...])
    assert_type(await endpoint.update(metadata="m"), None)
    assert_type(endpoint.update_upstream("localhost:1"), None)
    assert_type(await listening.serve(wsgi), None)
    assert_type(await listening.serve(asgi), None)
    assert_type(await listening.serve(streams), None)
    dialer: Dialer = Dials()
    assert_type(Upstream(80, dialer=dialer), Upstream)
    diagnoser: Diagnoser = made
    assert diagnoser is made


class Dials:
    async def dial(self, network: str, address: str) -> socket.socket:
        return socket.create_connection(("localhost", 1))


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    return [b""]


async def asgi(scope: Any, receive: Any, send: Any) -> None: ...


async def streams(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None: ...


def sync() -> None:
    with SyncAgent(authtoken="t") as made:
        assert_type(made, SyncAgent)
        assert_type(made.forward(80, url="tcp://"), SyncForwarder)
        with made.listen("tcp://") as listening:
            assert_type(listening, SyncListener)
            assert_type(listening.accept(timeout=1), SyncConnection)
            assert_type(listening.accept().recv(1), bytes)


def handler(event: Event) -> None:
    match event:
        case AgentConnectSucceeded():
            assert_type(event.session, AgentSession)
        case AgentDisconnected():
            assert_type(event.error, Exception | None)
        case ConnectionClosed():
            assert_type(event.endpoint, EndpointForwarder)
            assert_type(event.bytes_in, int)
        case HTTPRequestComplete(path=path, status_code=status):
            assert_type(path, str)
            assert_type(status, int)
        case _:
            pass


def error(raised: Error) -> None:
    assert_type(raised.code, str)


@pytest.mark.row("G-066")
async def test_options_of_another_kind_are_type_errors() -> None:
    with pytest.raises(TypeError):
        Agent(pooling_enabled=True)  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError):
        await Agent().listen(authtoken="t")  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError):
        Upstream(80, name="n")  # pyright: ignore[reportCallIssue]


def test_type_checkers_see_the_names_that_run() -> None:
    tree = ast.parse(Path(portway.__file__).read_text())
    guarded = next(
        node
        for node in tree.body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    )
    seen: set[str] = set()
    for node in guarded.body:
        if isinstance(node, ast.ImportFrom):
            seen |= {alias.asname or alias.name for alias in node.names}
            for alias in node.names:
                assert node.module is not None
                home = __import__(node.module, fromlist=[alias.name])
                assert getattr(home, alias.name) is getattr(portway, alias.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            seen.add(node.target.id)
    assert seen == set(portway.__all__)
