"""Upstreams and visitors for whole-product tests, on asyncio streams and nothing of portway."""

import asyncio
import contextlib
import hashlib
import random
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

CHUNK = 64 * 1024
WAIT = 60.0
"""Seconds for any one exchange; a hang is a failure that says where."""

PARTING = 10.0
"""Seconds in which the last bytes of a connection may be taken."""

READ_LIMIT = 1 << 16
"""Bytes that a reader looks at for the end of a line or a head."""

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def server(
    handler: Handler,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    limit: int = READ_LIMIT,
) -> AsyncGenerator[int]:
    """Run an upstream on loopback, on a free port unless one is given; give the port.

    ``limit``: bytes that a reader looks at for the end of a line. Its connections end with the context.
    """
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        try:
            # A visitor that went away is what many tests are about.
            with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
                await handler(reader, writer)
        finally:
            tasks.discard(task)
            await parted(writer)

    listening = await asyncio.start_server(serve, host, port, ssl=tls, backlog=1024, limit=limit)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listening.wait_closed()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back every byte; when the visitor has finished writing, finish too."""
    while piece := await reader.read(CHUNK):
        writer.write(piece)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def hello_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer HTTP/1.1 requests, kept alive if wished, with a text that names the path and the Host."""
    while True:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:
            return
        request, *lines = head.rstrip().split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(fields.get("content-length", "0")))
        text = f"hello {request.split()[1]} host={fields.get('host', '')} body={len(body)}\n".encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(text))
        writer.write(text)
        await writer.drain()
        if fields.get("connection", "").lower() == "close":
            return


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: status, fields with lower-case names, body."""

    status: int
    fields: dict[str, str]
    body: bytes


async def get(url: str, port: int, *, tls: ssl.SSLContext | None = None, accept: str = "*/*") -> Answer:
    """GET a public URL by connecting to ``port`` on loopback, with the URL's host as Host and SNI."""
    parts = urlsplit(url)
    async with visitor(port, tls=tls, name=parts.hostname) as (reader, writer):
        path = parts.path or "/"
        lines = (f"GET {path} HTTP/1.1", f"Host: {parts.netloc}", f"Accept: {accept}", "Connection: close")
        writer.write("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n")
        raw = await asyncio.wait_for(reader.read(-1), WAIT)
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(status.split()[1]), fields, body)


@contextlib.asynccontextmanager
async def visitor(
    port: int, *, tls: ssl.SSLContext | None = None, name: str | None = None, limit: int = READ_LIMIT
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect to a public port on loopback, with TLS if a context is given; always close."""
    opening = asyncio.open_connection(
        "127.0.0.1", port, ssl=tls, server_hostname=name if tls else None, limit=limit
    )
    reader, writer = await asyncio.wait_for(opening, WAIT)
    try:
        yield reader, writer
    finally:
        await parted(writer)


async def parted(writer: asyncio.StreamWriter) -> None:
    """Close a connection; cut it when the other side does not take what is still to be sent."""
    writer.close()
    cut = asyncio.get_running_loop().call_later(PARTING, writer.transport.abort)
    try:
        with contextlib.suppress(OSError):  # SSLError is one
            await writer.wait_closed()
    finally:
        cut.cancel()


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was sent and what came back: sizes and SHA-256."""

    sent: int
    sent_hash: str
    received: int
    received_hash: str
    ended: bool
    """The other side finished writing after we had (only known without TLS)."""


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, size: int, seed: int
) -> Exchange:
    """Send ``size`` bytes of noise to an echo and read as many, both at the same time.

    Without TLS our end of writing is told, and the other's is awaited.
    """
    out, back = hashlib.sha256(), hashlib.sha256()
    half_close = writer.can_write_eof()

    async def send() -> None:
        noise = random.Random(seed)
        left = size
        while left:
            piece = noise.randbytes(min(CHUNK, left))
            out.update(piece)
            writer.write(piece)
            await writer.drain()
            left -= len(piece)
        if half_close:
            writer.write_eof()

    async def receive() -> int:
        count = 0
        while count < size or half_close:
            piece = await reader.read(CHUNK)
            if not piece:
                break
            back.update(piece)
            count += len(piece)
        return count

    received, _ = await asyncio.wait_for(asyncio.gather(receive(), send()), WAIT * 4)
    ended = half_close and reader.at_eof()
    return Exchange(size, out.hexdigest(), received, back.hexdigest(), ended)


def a_hello(name: str) -> bytes:
    """Return the ClientHello of an ordinary client."""
    come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(come, go, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return go.read()
