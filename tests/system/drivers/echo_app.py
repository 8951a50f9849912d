"""One application for WSGI and ASGI: what it understood of a request goes into a file, a JSON line each."""

import hashlib
import json
import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

_SEEN = os.environ["SEEN"]


def _note(method: str, target: str, host: str, body: bytes) -> None:
    seen = [method, target, host, len(body), hashlib.sha256(body).hexdigest()]
    with open(_SEEN, "a", encoding="utf-8") as file:  # noqa: PTH123 - runs without the project
        file.write(json.dumps(seen) + "\n")


def wsgi(environ: dict[str, Any], start: Callable[..., object]) -> Iterable[bytes]:
    """Answer a request of gunicorn's."""
    body = environ["wsgi.input"].read()
    _note(environ["REQUEST_METHOD"], environ["RAW_URI"], environ.get("HTTP_HOST", ""), body)
    start("200 OK", [("Content-Length", "4")])
    return [b"seen"]


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answer a request of uvicorn's."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        more = message.get("more_body", False)
    query = scope["query_string"]
    target = scope["raw_path"] + (b"?" + query if query else b"")
    host = dict(scope["headers"]).get(b"host", b"")
    _note(scope["method"], target.decode("latin-1"), host.decode("latin-1"), body)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"seen"})
