"""An HTTP/1.1 upstream whose every byte a test decides, and a visitor likewise.

``Talk`` is one side of a connection: it reads heads, bodies of known length and chunks, and writes what it is
told to. An upstream hands every new connection to the test as a Talk.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from tests.kit.traffic import server, visitor

WAIT = 20.0
LIMIT = 4 << 20
"""Bytes that a reader holds: more than the longest head that is passed on."""


@dataclass
class Head:
    """A first line, and fields by lower-case name ; repeated ones are joined by ``|``."""

    first: str
    fields: dict[str, str]


class Talk:
    """One side of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.over = asyncio.Event()

    def say(self, *lines: str, body: bytes = b"") -> None:
        """Write a head, or with no lines the body alone."""
        head = "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n" if lines else b""
        self._writer.write(head + body)

    def chunk(self, data: bytes) -> None:
        """Write a chunk."""
        self._writer.write(b"%x\r\n%s\r\n" % (len(data), data))

    def last_chunk(self, *trailers: str) -> None:
        """Write the end of a chunked body."""
        self._writer.write(b"0\r\n" + "".join(f"{line}\r\n" for line in trailers).encode() + b"\r\n")

    async def drain(self) -> None:
        """Wait until what was written is on its way."""
        await asyncio.wait_for(self._writer.drain(), WAIT)

    async def head(self) -> Head:
        """Read a head."""
        raw = (await self._until(b"\r\n\r\n")).decode("latin-1")
        first, *lines = raw[:-4].split("\r\n")
        fields: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            name, value = name.lower(), value.strip()
            fields[name] = f"{fields[name]}|{value}" if name in fields else value
        return Head(first, fields)

    async def read(self, n: int) -> bytes:
        """Read exactly so many bytes."""
        return await asyncio.wait_for(self._reader.readexactly(n), WAIT)

    async def read_chunk(self) -> bytes:
        """Read one chunk; b"" is the last one, whose trailers follow."""
        size = int((await self._until(b"\r\n")).split(b";")[0], 16)
        return (await self.read(size + 2))[:-2] if size else b""

    async def trailers(self) -> list[str]:
        """Read the lines behind the last chunk."""
        lines: list[str] = []
        while line := (await self._until(b"\r\n"))[:-2]:
            lines.append(line.decode())
        return lines

    async def rest(self) -> bytes:
        """Read to the end."""
        return await asyncio.wait_for(self._reader.read(), WAIT)

    async def swallow(self, n: int) -> None:
        """Read so many bytes and forget them."""
        while n:
            piece = await asyncio.wait_for(self._reader.read(min(n, 1 << 18)), WAIT)
            assert piece, f"{n} bytes are missing"
            n -= len(piece)

    async def pour(self, n: int) -> None:
        """Write so many bytes, no faster than they are taken."""
        piece = bytes(1 << 18)
        while n:
            self._writer.write(piece[:n])
            n -= min(n, len(piece))
            await self.drain()

    def end(self) -> None:
        """Write no more."""
        self._writer.write_eof()

    def close(self) -> None:
        """Close the connection."""
        self.over.set()

    async def _until(self, end: bytes) -> bytes:
        return await asyncio.wait_for(self._reader.readuntil(end), WAIT)


class Upstream:
    """Connections that agents have made, in their order."""

    def __init__(self) -> None:
        self.port = 0
        self._came: asyncio.Queue[Talk] = asyncio.Queue()
        self._all: list[Talk] = []

    async def talk(self) -> Talk:
        """Return the next connection."""
        return await asyncio.wait_for(self._came.get(), WAIT)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand a connection to the test."""
        talk = Talk(reader, writer)
        self._all.append(talk)
        self._came.put_nowait(talk)
        await talk.over.wait()

    def finish(self) -> None:
        """Close what is open."""
        for each in self._all:
            each.close()


@contextlib.asynccontextmanager
async def scripted() -> AsyncGenerator[Upstream]:
    """Run an upstream for the time of the context."""
    made = Upstream()
    async with server(made.serve, limit=LIMIT) as made.port:
        try:
            yield made
        finally:
            made.finish()


@contextlib.asynccontextmanager
async def visit(port: int) -> AsyncGenerator[Talk]:
    """Connect to a public port."""
    async with visitor(port, limit=LIMIT) as (reader, writer):
        yield Talk(reader, writer)
