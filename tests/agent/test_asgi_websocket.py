"""WebSockets of visitors in the hands of ASGI applications."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.kit.fake_service import FakeService, agent_of
from tests.kit.visits import Answer, Visit
from websockets.frames import Frame, Opcode

from portway import EndpointListener
from portway.net.tasks import Tasks

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

UPGRADE = (
    "GET /socket HTTP/1.1\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Protocol: one, two"
)


@asynccontextmanager
async def served(
    service: FakeService, talk: Callable[[dict[str, Any], Receive, Send], Awaitable[None]]
) -> AsyncGenerator[EndpointListener]:
    """Serve an application that knows WebSockets only."""

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            raise NotImplementedError
        assert (await receive())["type"] == "websocket.connect"
        await talk(scope, receive, send)

    async with agent_of(service) as agent, Tasks() as tasks:
        listener = await agent.listen()
        serving = tasks.start(listener.serve(app), name="serve")
        yield listener
        await listener.close()
        await serving


def said(opcode: Opcode, data: bytes = b"") -> bytes:
    return Frame(opcode, data).serialize(mask=True)


async def heard(visit: Visit) -> tuple[int, bytes]:
    first, size = await visit.reader.readexactly(2)
    return first, await visit.reader.readexactly(size)


async def accept_and_record(
    seen: list[dict[str, Any]], scope: dict[str, Any], receive: Receive, send: Send
) -> None:
    await send(
        {"type": "websocket.accept", "subprotocol": scope["subprotocols"][1], "headers": [(b"x", b"y")]}
    )
    while True:
        event = await receive()
        seen.append(event)
        if event["type"] == "websocket.disconnect":
            assert await receive() == event  # it stays so
            await send({"type": "websocket.send", "text": "nobody is here"})
            return


@pytest.mark.row("G-102")
async def test_messages_and_the_visitors_end(service: FakeService) -> None:
    seen: list[dict[str, Any]] = []

    async def talk(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        seen.append({"scheme": scope["scheme"], "path": scope["path"], "method": "method" in scope})
        await accept_and_record(seen, scope, receive, send)

    async with served(service, talk) as listener, Visit(service, listener) as visit:
        answer = await visit.ask(UPGRADE)
        assert answer.status == 101
        assert answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert answer.headers["sec-websocket-protocol"] == "two"
        assert (answer.headers["upgrade"], answer.headers["x"]) == ("websocket", "y")
        visit.writer.write(said(Opcode.PING, b"?") + said(Opcode.TEXT, b"text") + said(Opcode.BINARY, b"\0"))
        assert await heard(visit) == (0x8A, b"?")
        visit.writer.write(said(Opcode.CLOSE, b"\x0b\xb8bye"))
        assert await heard(visit) == (0x88, b"\x0b\xb8")
        assert await visit.ended()
    assert seen == [
        {"scheme": "wss", "path": "/socket", "method": False},
        {"type": "websocket.receive", "text": "text"},
        {"type": "websocket.receive", "bytes": b"\0"},
        {"type": "websocket.disconnect", "code": 3000, "reason": "bye"},
    ]


async def test_what_the_application_sends(service: FakeService) -> None:
    async def talk(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "é"})
        await send({"type": "websocket.send", "bytes": b"\0\1"})
        await send({"type": "websocket.close", "code": 4000, "reason": "enough"})

    async with served(service, talk) as listener, Visit(service, listener) as visit:
        assert (await visit.ask(UPGRADE)).status == 101
        assert await heard(visit) == (0x81, "é".encode())
        assert await heard(visit) == (0x82, b"\0\1")
        assert await heard(visit) == (0x88, b"\x0f\xa0enough")
        assert await visit.ended()


async def test_an_application_that_just_returns(service: FakeService) -> None:
    async def talk(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})

    async with served(service, talk) as listener, Visit(service, listener) as visit:
        await visit.ask(UPGRADE)
        assert await heard(visit) == (0x88, b"\x03\xe8")


async def test_a_refusal(service: FakeService) -> None:
    async def talk(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close"})
        assert (await receive())["type"] == "websocket.disconnect"

    async with served(service, talk) as listener, Visit(service, listener) as visit:
        assert (await visit.ask(UPGRADE)).status == 403


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("Version: 13", "Version: 8"),
        ("GET", "POST"),
        ("\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", ""),
    ],
)
async def test_what_is_no_handshake(service: FakeService, was: str, becomes: str) -> None:
    async def talk(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        raise AssertionError

    async with served(service, talk) as listener, Visit(service, listener) as visit:
        answer: Answer = await visit.ask(UPGRADE.replace(was, becomes))
        assert (answer.status, answer.headers["sec-websocket-version"]) == (400, "13")


@pytest.mark.parametrize(
    ("sent", "code"), [(b"\x81\x01x", 1002), (said(Opcode.TEXT, b"\xff"), 1007)], ids=["unmasked", "no text"]
)
async def test_a_visitor_that_breaks_the_rules(service: FakeService, sent: bytes, code: int) -> None:
    seen: list[dict[str, Any]] = []

    async def talk(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        await accept_and_record(seen, scope, receive, send)

    async with served(service, talk) as listener, Visit(service, listener) as visit:
        await visit.ask(UPGRADE)
        visit.writer.write(sent)
        first, payload = await heard(visit)
        assert (first, int.from_bytes(payload[:2], "big")) == (0x88, code)
        assert await visit.reader.read() == b""
    assert [event["code"] for event in seen] == [code]


async def test_a_visitor_that_vanishes(service: FakeService) -> None:
    seen: list[dict[str, Any]] = []

    async def talk(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        await accept_and_record(seen, scope, receive, send)

    async with served(service, talk) as listener:
        visit = Visit(service, listener)
        await visit.ask(UPGRADE)
        await visit.close()
    assert [event["code"] for event in seen] == [1006]
