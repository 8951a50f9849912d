"""``--listen-metrics``: /metrics, /healthz and /readyz, on an address that visitors cannot reach.

One small request a connection, of a few kilobytes and a few seconds at most, then an answer and the end.
There is no key: whoever reaches the address may read the page, so the address must be a private one.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, cast

from portway.net.tasks import Tasks

HEAD_LIMIT: Final = 8 << 10
"""Bytes of a request."""
TIMEOUT: Final = 10.0
"""Seconds for a connection, from its first byte to the last of its answer."""
AT_ONCE: Final = 32
"""Connections at a time; more are closed."""
TEXT: Final = "text/plain; charset=utf-8"
PROMETHEUS: Final = "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"

_log = logging.getLogger(__name__)


class PrivatePages:
    """Answers on one listener."""

    def __init__(
        self, metrics: Callable[[], Awaitable[bytes]], ready: Callable[[], str], tasks: Tasks
    ) -> None:
        """Take what makes the page of metrics, and what says why the service is not ready ("": it is)."""
        self._metrics = metrics
        self._ready = ready
        self._tasks = tasks
        self.open = 0

    def __repr__(self) -> str:
        """Show how many ask."""
        return f"<PrivatePages open={self.open}>"

    def accept(self) -> asyncio.Protocol:
        """Make the protocol of a connection."""
        return _Connection(self, self._tasks)

    async def answer(self, head: bytes) -> bytes:
        """Return the whole answer to a request's head."""
        first = head.split(b"\r\n", 1)[0].split(b" ")
        if len(first) != 3 or not first[2].startswith(b"HTTP/1."):
            return _written(400, "Bad Request", TEXT, b"This is not HTTP.\n")
        method, path = first[0], first[1].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return _written(405, "Method Not Allowed", TEXT, b"GET only.\n")
        made = await self._page(path)
        return made if method == b"GET" else made[: made.index(b"\r\n\r\n") + 4]

    async def _page(self, path: bytes) -> bytes:
        if path == b"/metrics":
            return _written(200, "OK", PROMETHEUS, await self._metrics())
        if path == b"/healthz":
            return _written(200, "OK", TEXT, b"ok\n")
        if path == b"/readyz":
            why = self._ready()
            return (
                _written(503, "Service Unavailable", TEXT, f"{why}\n".encode())
                if why
                else _written(200, "OK", TEXT, b"ready\n")
            )
        return _written(404, "Not Found", TEXT, b"/metrics, /healthz or /readyz\n")


class _Connection(asyncio.Protocol):
    def __init__(self, pages: PrivatePages, tasks: Tasks) -> None:
        self._pages = pages
        self._tasks = tasks
        self._transport: asyncio.Transport | None = None
        self._head = bytearray()
        self._deadline: asyncio.TimerHandle | None = None
        self._answering: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless too many are here."""
        self._transport = cast("asyncio.Transport", transport)
        self._pages.open += 1
        if self._pages.open > AT_ONCE:
            self._transport.abort()
            return
        self._deadline = asyncio.get_running_loop().call_later(TIMEOUT, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """Take a part of the request."""
        if self._answering is not None or self._transport is None:
            return
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end >= 0:
            head = bytes(self._head[:end])
            self._answering = self._tasks.start(self._answer(head), name="page of metrics")
        elif len(self._head) > HEAD_LIMIT:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._pages.open -= 1
        self._transport = None
        if self._deadline is not None:
            self._deadline.cancel()

    async def _answer(self, head: bytes) -> None:
        made = await self._pages.answer(head)
        if self._transport is not None:
            self._transport.write(made)
            self._transport.close()


def _written(status: int, reason: str, kind: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
