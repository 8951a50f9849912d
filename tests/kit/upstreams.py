"""Upstreams for forwarders: small servers on loopback, for the time of a context."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Upstream:
    """A server that remembers what its connections sent."""

    def __init__(self, handle: Handle) -> None:
        """Give each connection to ``handle``."""
        self._handle = handle
        self.port = 0
        self.accepted = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection and close it."""
        self.accepted += 1
        try:
            await self._handle(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the test cut it
        finally:
            writer.close()


@asynccontextmanager
async def upstream(
    handle: Handle, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncGenerator[Upstream]:
    """Run a server on a free port."""
    made = Upstream(handle)
    server = await asyncio.start_server(made.serve, host, 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send everything back; end when the other side has ended."""
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def answer_after_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say how many bytes came, once they have all come."""
    data = await reader.read()
    writer.write(f"{len(data)} bytes".encode())
    await writer.drain()


async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every HTTP request with what its head was."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(head), head))
        await writer.drain()
