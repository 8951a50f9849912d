"""The gate: what every request passes before the routes, and every answer after them.

In this order: an operation id; a CORS preflight is answered; the caller is known (so a stranger learns
nothing, not even which paths exist); the version header; path and verb; the query string; the body.
What goes wrong here is answered here, and a fault of the routes is turned into an envelope that tells
nothing of it. One line of the log for each request says who did what, under the operation id.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import urlsplit

from portway.control.api import body, query
from portway.control.api.auth import STATE, Caller, Doorkeeper
from portway.control.api.contract import Contract, Operation, Verbs
from portway.control.api.errors import INTERNAL, NOT_FOUND, Refusal, envelope, status_of
from portway.control.api.load import Load
from portway.control.service import ip_restrictions
from portway.control.service.context import Context
from portway.errors import Error, NotFound
from portway.model.ids import new_id

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

VERSION: Final = "2"
OPERATION: Final = "portway.operation"
"""Where the operation id stands in the request's scope."""
DOCUMENT: Final = "/openapi.json"
"""The one path that needs no key."""
PREFLIGHT_AGE: Final = 600
"""Seconds that a browser may keep the answer to a preflight."""

_log = logging.getLogger(__name__)


class Gate:
    """The outermost part of the API, an ASGI application around another."""

    def __init__(self, app: App, contract: Contract, context: Context, doorkeeper: Doorkeeper) -> None:
        """Take the routes, what they promise, and who lets callers in."""
        self._app = app
        self._contract = contract
        self._context = context
        self._doorkeeper = doorkeeper
        self._load = Load(context.settings.api_rate, context.settings.api_parallel)
        self._prefix = urlsplit(context.settings.api_url).path.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            await _Passage(self, scope, receive, send).run()

    async def pass_on(self, passage: "_Passage") -> None:
        """Check one request and have it answered. Raises Error."""
        path = passage.path = self._clean(passage.scope["path"])
        headers = passage.headers
        if passage.method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers:
            await passage.answer(204, headers=_preflight(self._contract.find(path), headers))
            return
        if path == DOCUMENT and passage.method == "GET":
            await self._app({**passage.scope, "path": path}, passage.receive, passage.send)
            return
        passage.caller = caller = await self._doorkeeper.admit(headers.get("authorization"), passage.source)
        await ip_restrictions.check_api(self._context, caller.account_id, passage.source)
        with self._load.of(caller.account_id, self._context.now()):
            _check_version(headers.get("ngrok-version"))
            operation = _operation(self._contract.find(path), passage.method)
            query.check(passage.scope["query_string"], operation.query)
            content = await _body(operation, passage)
            inner = {**_with_body(passage.scope, content), "path": path, STATE: caller}
            await self._app(inner, _replay(content, passage.receive), passage.send)

    def count(self, method: str, status: int, seconds: float) -> None:
        """Count a request that is over."""
        self._context.measures.answered(method, status, seconds)

    def new_operation(self) -> str:
        """Return a fresh operation id."""
        return new_id("op", self._context.random, self._context.now())

    def _clean(self, path: str) -> str:
        """Collapse double slashes (a base URL with one at its end makes them); drop our own prefix."""
        while "//" in path:
            path = path.replace("//", "/")
        if self._prefix and path.startswith(f"{self._prefix}/"):
            return path.removeprefix(self._prefix)
        return path


class _Passage:
    """One request on its way."""

    def __init__(self, gate: Gate, scope: Scope, receive: Receive, send: Send) -> None:
        self._gate = gate
        self._send = send
        self._head_only = scope["method"] == "HEAD"
        self._started = time.perf_counter()
        self.operation = gate.new_operation()
        self.scope: Scope = {**scope, OPERATION: self.operation}
        self.method: str = "GET" if self._head_only else scope["method"]
        self.scope["method"] = self.method
        self.receive = receive
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self.path: str = scope["path"]
        self.source = _source(scope, self.headers)
        self.caller: Caller | None = None
        self.status = 0
        self._ended = False

    async def run(self) -> None:
        """Have the request answered, whatever happens."""
        try:
            await self._gate.pass_on(self)
        except Error as error:
            await self._refuse(error)
        except Exception:  # noqa: BLE001 - one request's fault must not show nor end the service; it is logged whole
            _log.exception("API request failed", extra={"fields": {"operation": self.operation}})
            if not self.status:
                await self.answer(500, envelope(500, INTERNAL, "", self.operation))
        self._tell()

    async def _refuse(self, error: Error) -> None:
        status = status_of(error)
        headers = error.headers if isinstance(error, Refusal) else {}
        await self.answer(status, envelope(status, error.message, error.code, self.operation), headers)

    async def answer(
        self, status: int, content: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer with JSON, or with nothing."""
        wanted = dict(headers or {})
        if content:
            wanted |= {"content-type": "application/json", "content-length": str(len(content))}
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in wanted.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": raw})
        await self.send({"type": "http.response.body", "body": content})

    async def send(self, message: Message) -> None:
        """Send a part of the answer, with what every answer carries."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [
                (name, value)
                for name, value in message.get("headers", ())
                if self.status != 204 or name != b"content-type"  # there is nothing that could have a type
            ]
            message["headers"] = headers + self._common_headers()
        elif self._head_only:
            message["body"] = b""
        await self._send(message)

    def _common_headers(self) -> list[tuple[bytes, bytes]]:
        headers = [(b"ngrok-operation-id", self.operation.encode())]
        if origin := self.headers.get("origin"):
            headers += [
                (b"access-control-allow-origin", origin.encode("latin-1")),
                (b"access-control-allow-credentials", b"true"),
                (b"vary", b"Origin"),
            ]
        return headers

    def _tell(self) -> None:
        took = time.perf_counter() - self._started
        self._gate.count(self.method, self.status, took)
        fields: dict[str, object] = {
            "method": self.method,
            "path": self.path[:255],
            "status": self.status,
            "operation": self.operation,
            "source": self.source,
            "duration_ms": round(took * 1000, 1),
        }
        if self.caller:
            fields |= {"account": self.caller.account_id, "key": self.caller.key_id}
        _log.info("API request", extra={"fields": fields})


def _source(scope: Scope, headers: Mapping[str, str]) -> str:
    """Return the address that the request comes from.

    On a unix socket only our own edge can connect; it appends the visitor's address to the header.
    """
    client = scope.get("client")
    if client and client[0]:
        return str(client[0])
    return headers.get("x-forwarded-for", "").rpartition(",")[2].strip()[:64]


def _preflight(verbs: Verbs | None, headers: Mapping[str, str]) -> dict[str, str]:
    if verbs is None:
        raise NotFound(NOT_FOUND)
    answer = {
        "access-control-allow-methods": ", ".join(verbs),
        "access-control-max-age": str(PREFLIGHT_AGE),
    }
    if asked := headers.get("access-control-request-headers"):
        answer["access-control-allow-headers"] = asked
    return answer


def _check_version(version: str | None) -> None:
    if version is None:
        raise Error("The request has no Ngrok-Version header; send 'Ngrok-Version: 2'.", 218)
    if version.strip() != VERSION:
        raise Error(f"Version {version[:40]!r} of the API is not served; send 'Ngrok-Version: 2'.", 217)


def _operation(verbs: Verbs | None, method: str) -> Operation:
    if verbs is None:
        raise NotFound(NOT_FOUND)
    if method not in verbs:
        allowed = ", ".join(verbs)
        raise Refusal(405, f"This path takes {allowed} only.", headers={"allow": allowed})
    return verbs[method]


async def _body(operation: Operation, passage: _Passage) -> bytes:
    """Read and check the body; an operation that takes one gets at least an empty object."""
    headers = passage.headers
    content = await body.read(passage.receive, headers.get("content-length", ""))
    if not content:
        return b"{}" if operation.takes_body else b""
    if not operation.takes_body and passage.method in {"GET", "DELETE"}:
        raise Error("This operation takes no body.", 211)
    body.check_type(headers.get("content-type", ""))
    fields = body.parse(content)
    if operation.takes_body:
        return content
    # Some clients send an empty object where there is nothing to say.
    if fields:
        raise Error(f"The field {next(iter(fields))[:100]!r} is unknown here.", 214)
    return b""


def _with_body(scope: Scope, content: bytes) -> Scope:
    """Return the scope with headers that tell of this body, which has been read and checked."""
    told = {b"content-type": b"application/json", b"content-length": str(len(content)).encode()}
    kept = [(name, value) for name, value in scope["headers"] if name not in told]
    return {**scope, "headers": kept + list(told.items()) if content else kept}


def _replay(content: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that gives a body that has been read already, once."""
    left = [content]

    async def again() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return again
