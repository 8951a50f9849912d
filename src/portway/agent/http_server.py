"""HTTP/1.1 on a visitor's connection, for applications inside this process: one request after another.

`HttpConnection` is the asyncio protocol of one connection. `run` reads a head, makes an `Exchange` of it and
awaits the handler, which reads the body and writes the answer through it; then the next. Heads and
bodies are read by the strict readers of ``portway.codec``. What a handler leaves unread is thrown away up
to a bound, beyond which the connection ends.

Everything that may happen to the connection (bytes, an end, room to write, the end of an exchange) wakes
whoever waits in `changed`; they look again. So no task is needed to wait for two things at once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from portway.codec.chunked import ChunkScanner
from portway.codec.http1 import Kind, RequestHead, find_head, parse_request
from portway.errors import HttpError
from portway.net.tasks import told_to_end
from portway.net.transport import StreamTransport

HIGH_WATER: Final = 65_536
"""Bytes of a connection that wait for their reader before no more are taken."""

MAX_HEAD: Final = 65_536
"""Longest head of a request that an application is given, in bytes."""

DISCARD: Final = 65_536
"""Bytes of a body that nobody has read which are thrown away for the sake of the next request."""

Headers = Iterable[tuple[bytes, bytes]]
Handler = Callable[["Exchange"], Awaitable[None]]

_BODILESS = frozenset((204, 304))
_HOP_BY_HOP = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))


class Gone(ConnectionError):
    """The visitor has left: nothing more can be read from it or written to it."""


class HttpConnection(asyncio.Protocol):
    """One connection, as an asyncio protocol. `run` serves it until it ends."""

    def __init__(self, handler: Handler, log: logging.Logger) -> None:
        """Give each request to this handler. Needs a running loop."""
        self._handler = handler
        self._log = log
        self._transport: StreamTransport | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._paused = False
        self.buffer = bytearray()
        """What has come and was not read yet."""
        self.ended = False
        """The visitor sends no more."""
        self.lost = False
        """The connection is gone."""
        self.idle = True
        """No request is being answered."""
        self.closing = False
        """No further request is taken."""

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, StreamTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Keep it for whoever reads."""
        self.buffer += data
        if len(self.buffer) > HIGH_WATER:
            self.transport.pause_reading()
        self.wake()

    def eof_received(self) -> bool:
        """Keep our direction open."""
        self.ended = True
        self.wake()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self.ended = self.lost = True
        self.wake()

    def pause_writing(self) -> None:
        """Hold writers."""
        self._paused = True

    def resume_writing(self) -> None:
        """Let them go on."""
        self._paused = False
        self.wake()

    # -- waiting

    @property
    def transport(self) -> StreamTransport:
        """What carries the bytes."""
        assert self._transport is not None, "the protocol has no connection yet"
        return self._transport

    async def changed(self) -> None:
        """Wait until something happens. Cancelling loses nothing."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def wake(self) -> None:
        """Have everybody look again."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def more(self) -> bool:
        """Wait for further bytes; False when none will come."""
        size = len(self.buffer)
        if size <= HIGH_WATER and not self.ended:
            self.transport.resume_reading()
        while len(self.buffer) == size:
            if self.ended:
                return False
            await self.changed()
        return True

    def take(self, size: int) -> bytes:
        """Take so many bytes off the front."""
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken

    async def write(self, data: bytes) -> None:
        """Send, and wait while the visitor is slow. Raises `Gone`."""
        if self.lost:
            raise Gone("the visitor has left")
        self.transport.write(data)
        while self._paused and not self.lost:
            await self.changed()

    # -- serving

    async def run(self) -> None:
        """Serve until the connection ends. Cancelled, it is cut."""
        try:
            while not self.closing and (head := await self._head()) is not None:
                self.idle = False
                exchange = Exchange(self, head)
                await self._answer(exchange)
                self.idle = True
                if exchange.upgraded or not exchange.reusable or not await exchange.skip():
                    break
            self.transport.close()
        except HttpError as error:
            self._refuse(error.status)
        except Gone:
            self.transport.abort()
        except BaseException:
            self.transport.abort()
            raise

    def stop(self) -> None:
        """Take no further request; an idle connection ends now."""
        self.closing = True
        if self.idle and self._transport is not None:
            self.transport.close()
            self.ended = True
        self.wake()

    async def _head(self) -> RequestHead | None:
        """Read a request's head; None at an end between two requests. Raises HttpError."""
        seen = 0
        while (end := find_head(self.buffer, seen, most=MAX_HEAD)) < 0:
            seen = len(self.buffer)
            if not await self.more():
                return None
        return parse_request(self.take(end))

    async def _answer(self, exchange: "Exchange") -> None:
        """Have the handler answer, and answer in its place when it fails."""
        try:
            await self._handler(exchange)
        except Gone:
            raise
        except HttpError as error:
            if exchange.started:
                raise Gone("the request is malformed, and its answer cannot be completed") from error
            raise
        except (Exception, asyncio.CancelledError, SystemExit) as error:  # one answer, as in every server
            if told_to_end(error):
                raise
            self._log.exception("the application failed on %s", exchange)
            if exchange.started:
                raise Gone("the answer cannot be completed") from None
            await exchange.respond(500)
        if not exchange.started:
            self._log.error("the application has not answered %s", exchange)
            await exchange.respond(500)
        elif not exchange.complete:
            self._log.error("the application has not completed its answer to %s", exchange)
            raise Gone("the answer is incomplete")

    def _refuse(self, status: int) -> None:
        """Answer what is no request that we can serve, and end."""
        if not self.lost:
            self.transport.write(b"".join(_plain(status, close=True)))
            self.transport.close()


class Exchange:
    """One request and its answer."""

    def __init__(self, connection: HttpConnection, head: RequestHead) -> None:
        """Made for each head."""
        self.connection = connection
        self.head = head
        self.started = False
        """The answer has begun."""
        self.complete = False
        """The answer has been given."""
        self.upgraded = False
        """The connection speaks another protocol from now on, and ends with it."""
        self.reusable = head.keep_alive
        """Another request may follow on this connection."""
        framing = head.framing
        self._rest = framing.length if framing.kind is Kind.LENGTH else 0
        self._scanner = ChunkScanner() if framing.kind is Kind.CHUNKED else None
        self._expected = head.expect_continue
        self._chunked = False
        self._left: int | None = None
        self._silent = head.method == b"HEAD"

    def __str__(self) -> str:
        """Show the request line, for logs."""
        return f"{self.head.method.decode()} {self.head.target.decode()}"

    # -- the request

    async def read(self) -> bytes:
        """Return the next piece of the body, b"" at its end. Raises `Gone`, and HttpError for bad framing."""
        connection = self.connection
        while self._rest or self._scanner is not None:
            if self._expected and not self.started:
                self._expected = False
                await connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if not connection.buffer and not await connection.more():
                raise Gone("the visitor has left in the middle of its request")
            if piece := self._piece():
                return piece
        return b""

    def _piece(self) -> bytes:
        connection = self.connection
        if self._scanner is None:
            piece = connection.take(min(self._rest, len(connection.buffer)))
            self._rest -= len(piece)
            return piece
        pieces: list[bytes] = []
        del connection.buffer[: self._scanner.scan(bytes(connection.buffer), pieces)]
        if self._scanner.done:
            self._scanner = None
        return b"".join(pieces)

    async def skip(self) -> bool:
        """Throw away what is left of the body; False when that is too much, or never was sent."""
        if self._expected:
            return not (self._rest or self._scanner)
        if self._rest > DISCARD:
            return False
        left = DISCARD
        while left > 0:
            piece = await self.read()
            if not piece:
                return True
            left -= len(piece)
        return False

    async def gone(self) -> None:
        """Wait until the visitor has left or the answer is complete."""
        connection = self.connection
        while not (connection.ended or self.complete):
            await connection.changed()

    # -- the answer

    async def start(self, status: int, headers: Headers) -> None:
        """Begin the answer. Raises `Gone`, and ValueError for what HTTP cannot carry."""
        if self.started:
            raise RuntimeError("the answer has begun already")
        lines, names, length, close = _lines(headers)
        self._silent = self._silent or status in _BODILESS or status < 200
        if length is not None:
            self._left = length
        elif not self._silent:
            self._chunked = self.head.minor == 1
            self.reusable = self.reusable and self._chunked
            if self._chunked:
                lines.append(b"transfer-encoding: chunked\r\n")
        self.reusable = self.reusable and not close and not self.connection.closing
        if b"date" not in names:
            lines.append(b"date: " + formatdate(usegmt=True).encode() + b"\r\n")
        if not self.reusable:
            lines.append(b"connection: close\r\n")
        self.started = True
        await self.connection.write(b"".join((_status_line(status), *lines, b"\r\n")))

    async def switch(self, headers: Headers) -> None:
        """Answer 101: the connection speaks the protocol that was asked for."""
        lines = _lines(headers)[0]
        upgrade = b"connection: upgrade\r\nupgrade: " + (self.head.upgrade or b"") + b"\r\n"
        self.started = self.complete = self.upgraded = True
        await self.connection.write(b"".join((_status_line(101), upgrade, *lines, b"\r\n")))

    async def write(self, data: bytes, *, more: bool) -> None:
        """Send a piece of the answer's body; ``more`` says whether another follows. Raises `Gone`."""
        if not self.started or self.complete:
            raise RuntimeError("the answer has not begun, or is complete")
        out = b"" if self._silent else self._framed(data, more=more)
        if not more:
            self.complete = True
            if self._left and not self._silent:
                raise RuntimeError(f"the answer is {self._left} bytes shorter than its Content-Length")
        if out:
            await self.connection.write(out)
        if not more:
            self.connection.wake()

    def _framed(self, data: bytes, *, more: bool) -> bytes:
        if self._left is not None:
            if len(data) > self._left:
                raise RuntimeError("the answer is longer than its Content-Length")
            self._left -= len(data)
            return data
        if not self._chunked:
            return data
        chunk = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        return chunk if more else chunk + b"0\r\n\r\n"

    async def respond(self, status: int) -> None:
        """Give a short answer of our own, after which the connection ends."""
        self.reusable = False
        self.started = self.complete = True
        head, body = _plain(status, close=True)
        await self.connection.write(head if self.head.method == b"HEAD" else head + body)


def _lines(headers: Headers) -> tuple[list[bytes], set[bytes], int | None, bool]:
    """Return field lines, their names, the length that they tell, and whether the connection shall end."""
    lines: list[bytes] = []
    names: set[bytes] = set()
    length: int | None = None
    close = False
    for given, value in headers:
        name = given.lower()
        if not name or any(c in b"\r\n\0: " for c in name) or any(c in b"\r\n\0" for c in value):
            raise ValueError(f"no header can be {given!r}: {value!r}")
        names.add(name)
        if name in _HOP_BY_HOP:
            close = close or (name == b"connection" and b"close" in value.lower())
            continue
        if name == b"content-length":
            length = int(value)
        lines.append(b"%b: %b\r\n" % (name, value))
    return lines, names, length, close


def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase.encode()
    except ValueError:
        phrase = b""
    return b"HTTP/1.1 %d %b\r\n" % (status, phrase)


def _plain(status: int, *, close: bool) -> tuple[bytes, bytes]:
    """Return head and body of a short text that says the status."""
    body = _status_line(status)[9:-2] + b"\n"
    end = b"connection: close\r\n" if close else b""
    fields = b"content-type: text/plain\r\ncontent-length: %d\r\n%b\r\n" % (len(body), end)
    return _status_line(status) + fields, body
