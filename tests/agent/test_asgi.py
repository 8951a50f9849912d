"""ASGI applications on a listener."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.kit.fake_service import VISITOR, FakeService, agent_of
from tests.kit.visits import Visit

from portway import EndpointListener
from portway.agent.asgi import ASGIApp, LifespanFailed
from portway.net.tasks import Tasks

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


@asynccontextmanager
async def served(service: FakeService, app: ASGIApp, url: str = "") -> AsyncGenerator[EndpointListener]:
    """Serve a listener with an application; end it in order."""
    async with agent_of(service) as agent, Tasks() as tasks:
        listener = await agent.listen(url)
        serving = tasks.start(listener.serve(app), name="serve")
        yield listener
        await listener.close()
        await serving


async def answer(send: Send, body: bytes, status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"x-by", b"app")]})
    await send({"type": "http.response.body", "body": body})


async def describe(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer with the scope and the body."""
    if scope["type"] != "http":
        raise NotImplementedError
    body, more = b"", True
    while more:
        event = await receive()
        body += event["body"]
        more = event["more_body"]
    told = {name: repr(value) for name, value in scope.items()} | {"body": body.decode()}
    await answer(send, json.dumps(told).encode())


@pytest.mark.row("G-003", "G-102")
async def test_a_request_as_the_application_sees_it(service: FakeService) -> None:
    async with served(service, describe, "https://app.example:8443") as listener:
        async with Visit(service, listener) as visit:
            got = await visit.ask("POST /caf%C3%A9?q=1%202 HTTP/1.1\nX-Y: z\nContent-Length: 4", b"body")
        told = json.loads(got.body)
        host, port = VISITOR.split(":")
        assert (got.status, got.headers["x-by"], told["body"]) == (200, "app", "body")
        assert told["type"] == "'http'"
        assert told["http_version"] == "'1.1'"
        assert (told["method"], told["scheme"]) == ("'POST'", "'https'")
        assert (told["path"], told["raw_path"], told["query_string"]) == (
            "'/café'",
            "b'/caf%C3%A9'",
            "b'q=1%202'",
        )
        assert told["client"] == repr((host, int(port)))
        assert told["server"] == repr(("app.example", 8443))
        assert "(b'x-y', b'z')" in told["headers"]
        assert "(b'host', b'public.example')" in told["headers"]
        assert got.headers["content-length"] == str(len(got.body))


@pytest.mark.row("G-102")
async def test_an_answer_in_pieces_and_the_next_request(service: FakeService) -> None:
    async def stream(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await send({"type": "http.response.start", "status": 200})
        for n in range(3):
            await send({"type": "http.response.body", "body": b"%d" % n, "more_body": True})
        await send({"type": "http.response.body"})

    async with served(service, stream) as listener, Visit(service, listener) as visit:
        for _ in range(2):
            got = await visit.ask("GET / HTTP/1.1")
            assert (got.body, got.headers["transfer-encoding"]) == (b"012", "chunked")


async def test_the_lifespan_of_an_application(service: FakeService) -> None:
    seen: list[str] = []

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            while True:
                event = await receive()
                seen.append(event["type"])
                if event["type"] == "lifespan.startup":
                    scope["state"]["made"] = "at the start"
                await send({"type": f"{event['type']}.complete"})
                if event["type"] == "lifespan.shutdown":
                    return
        await answer(send, scope["state"]["made"].encode())

    async with served(service, app) as listener:
        async with Visit(service, listener) as visit:
            assert (await visit.ask("GET / HTTP/1.1")).body == b"at the start"
        assert seen == ["lifespan.startup"]
    assert seen == ["lifespan.startup", "lifespan.shutdown"]


async def test_an_application_that_cannot_start(service: FakeService) -> None:
    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    async with agent_of(service) as agent, await agent.listen() as listener:
        with pytest.raises(LifespanFailed, match="no database"):
            await listener.serve(app)


async def test_a_visitor_that_leaves_is_told(service: FakeService) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        heard.put_nowait((await receive())["type"])
        heard.put_nowait((await receive())["type"])
        await answer(send, b"nobody is here")
        heard.put_nowait("sent")

    async with served(service, app) as listener:
        visit = Visit(service, listener)
        visit.writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await heard.get() == "http.request"
        await visit.close()
        assert [await heard.get(), await heard.get()] == ["http.disconnect", "sent"]


@pytest.mark.parametrize(
    "events",
    [
        [{"type": "http.response.body"}],
        [{"type": "http.response.start", "status": 200}] * 2,
        [{"type": "nonsense"}],
        [],
    ],
)
async def test_an_application_that_breaks_the_rules(
    service: FakeService, events: list[dict[str, Any]]
) -> None:
    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        for event in events:
            await send(event)

    async with served(service, app) as listener, Visit(service, listener) as visit:
        assert (await visit.ask("GET / HTTP/1.1")).status == 500


async def test_a_request_under_way_is_finished(service: FakeService) -> None:
    began, go = asyncio.Event(), asyncio.Event()

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        began.set()
        await go.wait()
        await answer(send, b"late")

    async with agent_of(service) as agent, Tasks() as tasks:
        listener = await agent.listen()
        serving = tasks.start(listener.serve(app), name="serve")
        async with Visit(service, listener) as visit:
            visit.writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await began.wait()
            await listener.close()
            await asyncio.sleep(0)
            assert not serving.done()
            go.set()
            got = await visit.answer()
            assert (got.body, got.headers["connection"]) == (b"late", "close")
            await serving


@pytest.mark.row("G-003", "G-102")
async def test_fastapi(service: FakeService) -> None:
    from fastapi import FastAPI, WebSocket
    from websockets.asyncio.client import ClientConnection
    from websockets.client import ClientProtocol
    from websockets.uri import parse_uri

    app = FastAPI()

    async def hello(name: str) -> dict[str, str]:
        return {"hello": name}

    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text.upper())

    app.get("/hello/{name}")(hello)
    app.websocket("/echo")(echo)
    async with served(service, app) as listener:
        async with Visit(service, listener) as visit:
            assert (await visit.ask("GET /hello/you HTTP/1.1")).body == b'{"hello":"you"}'
        async with Visit(service, listener) as visit:
            client = ClientConnection(ClientProtocol(parse_uri("ws://public.example/echo")))
            visit.writer.transport.set_protocol(client)
            client.connection_made(visit.writer.transport)
            await client.handshake()
            await client.send("shout")
            assert await client.recv() == "SHOUT"
            await client.send("x" * 70_000)
            assert await client.recv() == "X" * 70_000
            await client.close()
            assert client.close_code == 1000
