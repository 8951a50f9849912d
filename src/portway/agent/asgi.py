"""ASGI 3 applications on a listener: FastAPI, Starlette, Django and the like, without a further server.

`AsgiServer.handle` answers one request: as ``http``, or as ``websocket`` where the visitor asks for that.
`startup` and `shutdown` speak the lifespan protocol; an application that knows none is served all the
same. The scope says what the visitor sees: the endpoint's scheme and host, the visitor's own address.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from portway.agent.asgi_websocket import serve_websocket
from portway.agent.connection import Connection, peername
from portway.agent.http_server import Exchange
from portway.net.tasks import Tasks

if TYPE_CHECKING:
    from portway.agent.url import URL

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]

VERSIONS: Final = {"version": "3.0", "spec_version": "2.3"}
LIFESPAN: Final = 60.0
"""Most seconds that an application's startup, or its shutdown, may take."""


class LifespanFailed(RuntimeError):
    """The application said that it cannot start."""


class AsgiServer:
    """Serves one application. Make it, `startup`, `handle` requests, `shutdown`."""

    def __init__(self, app: ASGIApp, log: logging.Logger) -> None:
        """Serve this application."""
        self._app = app
        self._log = log
        self._state: dict[str, Any] = {}
        self._tasks = Tasks()
        self._asked: asyncio.Queue[Event] = asyncio.Queue()
        self._told: asyncio.Queue[str] = asyncio.Queue()
        self._living: asyncio.Task[None] | None = None

    # -- lifespan

    async def startup(self) -> None:
        """Have the application prepare. Raises `LifespanFailed` when it says that it failed."""
        self._living = self._tasks.start(self._live(), name="asgi lifespan")
        await self._lifespan("startup")

    async def shutdown(self) -> None:
        """Have the application clean up."""
        if self._living is not None and not self._living.done():
            await self._lifespan("shutdown")
        await self._tasks.close()

    async def _lifespan(self, phase: str) -> None:
        self._asked.put_nowait({"type": f"lifespan.{phase}"})
        async with asyncio.timeout(LIFESPAN):
            told = await self._told.get()
        if told:
            raise LifespanFailed(f"the application's {phase} failed: {told}")

    async def _live(self) -> None:
        scope = {"type": "lifespan", "asgi": VERSIONS, "state": self._state}
        try:
            await self._app(scope, self._asked.get, self._hear)
        except Exception as error:  # noqa: BLE001 - so an application says that it knows no lifespan
            self._log.debug("the application knows no lifespan: %r", error)
        finally:
            self._told.put_nowait("")  # whoever waits shall go on

    async def _hear(self, event: Event) -> None:
        failed = event["type"].endswith(".failed")
        self._told.put_nowait((str(event.get("message")) or "it does not say why") if failed else "")

    # -- requests

    async def handle(self, exchange: Exchange, connection: Connection) -> None:
        """Have the application answer one request."""
        scope = self._scope(exchange, connection)
        if exchange.head.upgrade == b"websocket":
            await serve_websocket(self._app, scope, exchange)
        else:
            call = _Call(exchange)
            await self._app(scope, call.receive, call.send)

    def _scope(self, exchange: Exchange, connection: Connection) -> dict[str, Any]:
        head, url = exchange.head, connection.endpoint.url
        path, _, query = head.target.partition(b"?")
        socket = head.upgrade == b"websocket"
        scope: dict[str, Any] = {
            "type": "websocket" if socket else "http",
            "asgi": VERSIONS,
            "http_version": f"1.{head.minor}",
            "scheme": _scheme(url, socket=socket),
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in head.headers],
            "client": peername(connection.remote_addr),
            "server": (url.hostname, url.port),
            "state": self._state.copy(),
        }
        return scope | (
            {"subprotocols": _subprotocols(scope)} if socket else {"method": head.method.decode()}
        )


class _Call:
    """What an application receives and sends in the course of one request."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._read = False
        self._start: Event | None = None

    async def receive(self) -> Event:
        """Return the next piece of the request, then the visitor's leaving."""
        exchange = self._exchange
        if not self._read:
            try:
                body = await exchange.read()
            except ConnectionError:
                return {"type": "http.disconnect"}
            self._read = not body
            return {"type": "http.request", "body": body, "more_body": bool(body)}
        await exchange.gone()
        return {"type": "http.disconnect"}

    async def send(self, event: Event) -> None:
        """Take the next piece of the answer. What is sent to a visitor who has left is dropped."""
        exchange = self._exchange
        kind = event["type"]
        if exchange.connection.lost:
            exchange.started = exchange.complete = True
            exchange.reusable = False
            return
        try:
            if kind == "http.response.start":
                if self._start is not None:
                    raise RuntimeError("a second http.response.start")
                self._start = event
            elif kind == "http.response.body":
                await self._body(event.get("body", b""), more=bool(event.get("more_body", False)))
            else:
                raise RuntimeError(f"an application cannot send {kind!r} here")
        except ConnectionError:
            pass  # it left just now: `gone` tells the application

    async def _body(self, body: bytes, *, more: bool) -> None:
        """Begin with the first piece: a body that is whole needs no chunks."""
        exchange, start = self._exchange, self._start
        if start is None:
            raise RuntimeError("http.response.body before http.response.start")
        if not exchange.started:
            headers = [(bytes(name), bytes(value)) for name, value in start.get("headers", ())]
            if not more and not any(name.lower() == b"content-length" for name, _ in headers):
                headers.append((b"content-length", b"%d" % len(body)))
            await exchange.start(start["status"], headers)
        await exchange.write(body, more=more)


def _scheme(url: "URL", *, socket: bool) -> str:
    secure = url.scheme == "https"
    if socket:
        return "wss" if secure else "ws"
    return "https" if secure else "http"


def _subprotocols(scope: dict[str, Any]) -> list[str]:
    offered = [
        value.decode("latin-1") for name, value in scope["headers"] if name == b"sec-websocket-protocol"
    ]
    return [each.strip() for each in ",".join(offered).split(",") if each.strip()]
