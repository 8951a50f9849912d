"""The websocket protocol of ASGI: one visitor's WebSocket in the hands of an application."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from portway.agent.http_server import Exchange, Gone
from portway.codec.websocket import (
    Close,
    FrameReader,
    Message,
    Opcode,
    Ping,
    WebSocketError,
    accept_key,
    close_frame,
    frame,
)

_ABNORMAL = 1006


async def serve_websocket(
    app: Callable[[Any, Any, Any], Awaitable[None]], scope: dict[str, Any], exchange: Exchange
) -> None:
    """Have the application talk over a WebSocket until one of the two ends it."""
    keys = [value for name, value in scope["headers"] if name == b"sec-websocket-key"]
    versions = [value for name, value in scope["headers"] if name == b"sec-websocket-version"]
    if exchange.head.method != b"GET" or len(keys) != 1 or versions != [b"13"]:
        await exchange.start(400, [(b"sec-websocket-version", b"13"), (b"content-length", b"0")])
        await exchange.write(b"", more=False)
        return
    socket = _Socket(exchange, keys[0])
    await app(scope, socket.receive, socket.send)
    await socket.finish()


class _Socket:
    """What an application receives and sends over one WebSocket."""

    def __init__(self, exchange: Exchange, key: bytes) -> None:
        self._exchange = exchange
        self._key = key
        self._reader = FrameReader()
        self._events: deque[dict[str, Any]] = deque([{"type": "websocket.connect"}])
        self._closed = False

    # -- from the visitor

    async def receive(self) -> dict[str, Any]:
        """Return the next message, or that the visitor has gone."""
        while not self._events:
            if not self._exchange.upgraded and not self._exchange.complete:
                await self._exchange.connection.changed()  # the application has not accepted yet
                continue
            await self._more()
        event = self._events.popleft()
        if event["type"] == "websocket.disconnect":
            self._events.append(event)  # whoever asks again hears it again
        return event

    async def _more(self) -> None:
        connection = self._exchange.connection
        if self._closed or (not connection.buffer and not await connection.more()):
            self._disconnect(_ABNORMAL)
            return
        try:
            events = self._reader.feed(connection.take(len(connection.buffer)))
        except WebSocketError as error:
            await self._end(error.code, str(error))
            self._disconnect(error.code)
            return
        for event in events:
            await self._on_event(event)

    async def _on_event(self, event: Message | Ping | Close) -> None:
        if isinstance(event, Message):
            key = "text" if isinstance(event.data, str) else "bytes"
            self._events.append({"type": "websocket.receive", key: event.data})
        elif isinstance(event, Ping):
            await self._write(frame(Opcode.PONG, event.payload))
        else:
            await self._end(event.code)
            self._disconnect(event.code, event.reason)

    def _disconnect(self, code: int, reason: str = "") -> None:
        self._events.append({"type": "websocket.disconnect", "code": code, "reason": reason})

    # -- to the visitor

    async def send(self, event: dict[str, Any]) -> None:
        """Take what the application says."""
        kind = event["type"]
        if not self._exchange.started:
            await self._answer(kind, event)
        elif kind == "websocket.send":
            if not self._closed:
                await self._write(_message(event))
        elif kind == "websocket.close":
            await self._end(event.get("code") or 1000, event.get("reason") or "")
        else:
            raise RuntimeError(f"an application cannot send {kind!r} here")

    async def _answer(self, kind: str, event: dict[str, Any]) -> None:
        if kind == "websocket.accept":
            headers = [(bytes(name), bytes(value)) for name, value in event.get("headers", ())]
            headers.append((b"sec-websocket-accept", accept_key(self._key)))
            if event.get("subprotocol"):
                headers.append((b"sec-websocket-protocol", event["subprotocol"].encode()))
            await self._exchange.switch(headers)
            self._exchange.connection.wake()
        elif kind == "websocket.close":
            await self._exchange.start(403, [(b"content-length", b"0")])
            await self._exchange.write(b"", more=False)
            self._disconnect(_ABNORMAL)
        else:
            raise RuntimeError(f"{kind!r} before websocket.accept")

    async def finish(self) -> None:
        """The application has returned: end what it has left open."""
        if self._exchange.upgraded:
            await self._end(1000)

    async def _end(self, code: int, reason: str = "") -> None:
        if not self._closed:
            self._closed = True
            await self._write(close_frame(code, reason))

    async def _write(self, data: bytes) -> None:
        try:
            await self._exchange.connection.write(data)
        except Gone:
            self._closed = True


def _message(event: dict[str, Any]) -> bytes:
    text = event.get("text")
    if text is not None:
        return frame(Opcode.TEXT, text.encode())
    return frame(Opcode.BINARY, bytes(event.get("bytes") or b""))
