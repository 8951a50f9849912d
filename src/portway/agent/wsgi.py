"""WSGI applications on a listener (PEP 3333): Flask, Django and the like.

Each request runs in a thread of a pool of its own. The body is read and the answer written through the
event loop, piece by piece, so that a slow visitor holds up its thread and nothing grows. A visitor who
has left ends the answer: its iterable is closed.
"""

import asyncio
import io
import logging
import sys
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast
from urllib.parse import unquote_to_bytes

from portway.agent.connection import Connection, peername
from portway.agent.http_server import Exchange, Gone

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

T = TypeVar("T")

THREADS: Final = 16
"""Requests that are answered at the same time; more wait their turn."""

WSGIApp = Callable[[dict[str, Any], Callable[..., Callable[[bytes], object]]], Iterable[bytes]]


class WsgiServer:
    """Serves one application. `handle` answers a request; `close` ends the threads."""

    def __init__(self, app: WSGIApp, log: logging.Logger, threads: int = THREADS) -> None:
        """Serve this application with so many threads."""
        self._app = app
        self._log = log
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="portway-wsgi")

    async def handle(self, exchange: Exchange, connection: Connection) -> None:
        """Have the application answer one request in a thread."""
        loop = asyncio.get_running_loop()
        call = _Call(self._app, exchange, connection, loop)
        running = loop.run_in_executor(self._pool, call.run)
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            running.add_done_callback(_ignore)  # it ends at its next read or write
            raise

    def close(self) -> None:
        """Take no further request. Threads that still run end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _ignore(running: "asyncio.Future[None]") -> None:
    if not running.cancelled():
        running.exception()


class _Closable(Protocol):
    def close(self) -> None: ...


class _Call:
    """One request in its thread."""

    def __init__(
        self,
        app: WSGIApp,
        exchange: Exchange,
        connection: Connection,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._app = app
        self._exchange = exchange
        self._connection = connection
        self._loop = loop
        self._start: tuple[int, list[tuple[bytes, bytes]]] | None = None

    def run(self) -> None:
        """Call the application and send what it gives."""
        given = self._app(self._environ(), self._start_response)
        try:
            count = len(given) if isinstance(given, list | tuple) else 0
            for piece in given:
                if piece:
                    self._send(bytes(piece), more=count != 1)
                    if count == 1:
                        return
            self._send(b"", more=False)
        finally:
            if hasattr(given, "close"):
                cast("_Closable", given).close()

    # -- the application's view

    def _environ(self) -> dict[str, Any]:
        head, url = self._exchange.head, self._connection.endpoint.url
        path, _, query = head.target.partition(b"?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": head.method.decode(),
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query.decode("latin-1"),
            "SERVER_NAME": url.hostname,
            "SERVER_PORT": str(url.port),
            "SERVER_PROTOCOL": head.version,
            "REMOTE_ADDR": peername(self._connection.remote_addr)[0],
            "REMOTE_PORT": str(peername(self._connection.remote_addr)[1]),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "https" if url.scheme == "https" else "http",
            "wsgi.input": io.BufferedReader(_Body(self)),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
        }
        for name, value in head.headers:
            key = name.decode().upper().replace("-", "_")
            text = value.decode("latin-1")
            if key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                environ[key] = text
            elif b"_" not in name:  # what looks like another header is not one
                key = f"HTTP_{key}"
                environ[key] = f"{environ[key]},{text}" if key in environ else text
        return environ

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        if exc_info is not None and self._exchange.started:
            raise exc_info[1].with_traceback(exc_info[2])
        if exc_info is None and self._start is not None:
            raise RuntimeError("start_response was called twice")
        fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        self._start = int(status[:3]), fields
        return lambda data: self._send(data, more=True)

    def read(self) -> bytes:
        """Return the next piece of the body. Called in the thread."""
        return self._wait(self._exchange.read())

    def _send(self, data: bytes, *, more: bool) -> None:
        """Send a piece of the answer, its head first. Called in the thread."""
        if self._start is None:
            raise RuntimeError("the application has not called start_response")
        if self._exchange.connection.lost:
            raise Gone("the visitor has left")
        self._wait(self._write(*self._start, data, more=more))

    async def _write(
        self, status: int, headers: list[tuple[bytes, bytes]], data: bytes, *, more: bool
    ) -> None:
        exchange = self._exchange
        if not exchange.started:
            if not more and not any(name.lower() == b"content-length" for name, _ in headers):
                headers = [*headers, (b"content-length", b"%d" % len(data))]
            await exchange.start(status, headers)
        await exchange.write(data, more=more)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


class _Body(io.RawIOBase):
    """The request's body as a blocking file."""

    def __init__(self, call: _Call) -> None:
        super().__init__()
        self._call = call
        self._kept = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        kept = self._kept or self._call.read()
        size = min(len(view), len(kept))
        view[:size] = kept[:size]
        self._kept = kept[size:]
        return size
