"""Serve a web page from inside this program: no port is opened, no server is set up.

    python examples/http_listener.py

Prints the URL; Ctrl-C ends it.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import portway

Event = MutableMapping[str, Any]


async def app(
    scope: Event, _receive: Callable[[], Awaitable[Event]], send: Callable[[Event], Awaitable[None]]
) -> None:
    """Answer every request with a greeting: the smallest ASGI application."""
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"Hello from portway\n"})


if __name__ == "__main__":
    portway.serve(app)
