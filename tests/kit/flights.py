"""Visitors that are in the middle of something: each kind of exchange, stopped half-way and finished later.

``upstream`` answers them: it gives half an answer and waits for the other half until it is told to go on.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Self

from tests.kit.traffic import echo, server, visitor

WAIT = 20.0
HALF, REST = b"first half, ", b"and the rest"
WHOLE = HALF + REST
UPLOAD = 300_000


class Upstream:
    """Serves HTTP with answers in two halves, uploads, and echoes behind an upgrade; and plain echoes."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.port = 0
        self.echo_port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request after the other."""
        while (head := await _head(reader)).endswith(b"\r\n\r\n"):
            path = head.split(b" ", 2)[1]
            if path == b"/upload":
                body = await reader.readexactly(UPLOAD)
                writer.write(_ok(b"%d bytes" % len(body)))
            elif path == b"/echo":
                writer.write(
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
                )
                await echo(reader, writer)
                return
            elif path == b"/chunked":
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + _chunk(HALF))
                await self.go_on.wait()
                writer.write(_chunk(REST) + b"0\r\n\r\n")
            elif path == b"/download":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(WHOLE) + HALF)
                await self.go_on.wait()
                writer.write(REST)
            else:
                writer.write(_ok(b"hello"))
            await writer.drain()


@contextlib.asynccontextmanager
async def upstream() -> AsyncGenerator[Upstream]:
    """Run the upstream for the time of the context."""
    made = Upstream()
    async with server(made.serve) as made.port, server(echo) as made.echo_port:
        yield made


@dataclass
class Flight:
    """One visitor. ``fields`` are those of its answer's head, once it is there."""

    kind: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    host: str
    fields: bytes = b""

    async def half(self) -> Self:
        """Go half the way."""
        if self.kind == "tcp":
            self.writer.write(HALF)
            await self._comes(HALF)
            return self
        line = b"POST /upload" if self.kind == "upload" else b"GET /" + self.kind.encode()
        more = {
            "upload": b"Content-Length: %d\r\n" % UPLOAD,
            "echo": b"Connection: upgrade\r\nUpgrade: echo\r\n",
        }.get(self.kind, b"")
        self.writer.write(line + b" HTTP/1.1\r\nHost: " + self.host.encode() + b"\r\n" + more + b"\r\n")
        if self.kind == "upload":
            self.writer.write(bytes(UPLOAD // 2))
            await self.writer.drain()
            return self
        self.fields = await asyncio.wait_for(_head(self.reader), WAIT)
        if self.kind == "echo":
            self.writer.write(HALF)
            await self._comes(HALF)
        else:
            await self._comes(_chunk(HALF) if self.kind == "chunked" else HALF)
        return self

    async def rest(self) -> None:
        """Go the rest of the way; fail if anything of it is missing."""
        if self.kind in ("tcp", "echo"):
            self.writer.write(REST)
            self.writer.write_eof()
            assert await asyncio.wait_for(self.reader.read(), WAIT) == REST
        elif self.kind == "upload":
            self.writer.write(bytes(UPLOAD - UPLOAD // 2))
            self.fields = await asyncio.wait_for(_head(self.reader), WAIT)
            assert self.fields.startswith(b"HTTP/1.1 200"), self.fields
            await self._comes(b"%d bytes" % UPLOAD)
        else:
            await self._comes(_chunk(REST) + b"0\r\n\r\n" if self.kind == "chunked" else REST)

    async def ends(self) -> None:
        """Wait for the clean end of the connection."""
        assert await asyncio.wait_for(self.reader.read(), WAIT) == b""

    async def is_cut(self) -> None:
        """Wait until the connection breaks before the rest has come."""
        with contextlib.suppress(ConnectionError):
            assert REST not in await asyncio.wait_for(self.reader.read(), WAIT)

    async def _comes(self, wanted: bytes) -> None:
        assert await asyncio.wait_for(self.reader.readexactly(len(wanted)), WAIT) == wanted


HTTP_KINDS = ("download", "chunked", "upload", "echo")


@contextlib.asynccontextmanager
async def flights(
    http: tuple[int, str] | None = None, tcp: int = 0, kinds: tuple[str, ...] = HTTP_KINDS
) -> AsyncGenerator[list[Flight]]:
    """Start a visitor of each kind, and bring it half the way: to an http port and host, to a tcp port."""
    doors = [(kind, *http) for kind in kinds] if http else []
    if tcp:
        doors.append(("tcp", tcp, ""))
    async with contextlib.AsyncExitStack() as stack:
        started: list[Flight] = []
        for kind, port, host in doors:
            reader, writer = await stack.enter_async_context(visitor(port))
            started.append(await Flight(kind, reader, writer, host).half())
        yield started


async def land(started: list[Flight], serving: Upstream, done: Callable[[], bool] | None = None) -> None:
    """Let all of them go the rest of the way; ``done`` must not be true before."""
    assert done is None or not done(), "it did not wait for anybody"
    serving.go_on.set()
    await asyncio.gather(*(each.rest() for each in started))


def _ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def _head(reader: asyncio.StreamReader) -> bytes:
    """Read a head; what there is of it at the end."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        return error.partial
