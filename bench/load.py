"""The load: an upstream and its visitors, each its own process, every byte verified.

    python -m bench.load upstream                      prints its port, then serves until killed
    python -m bench.load down|up PORT STREAMS BYTES    bulk, one direction
    python -m bench.load connections PORT COUNT CONCURRENCY
    python -m bench.load requests PORT HOST COUNT CONCURRENCY
    python -m bench.load idle PORT COUNT               prints `ready`, holds until standard input ends

Every client prints one JSON object: seconds, and the units it moved. The upstream tells by the first byte
what a connection wants: D or U and eight bytes of size for bulk, E for an echo, else HTTP.
"""

import asyncio
import json
import random
import struct
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine

PERIOD = 1_048_573
"""Length of the noise that is sent again and again: a prime, so that a lost block shows."""

CHUNK = 256 * 1024
NOISE = random.Random(20).randbytes(PERIOD) * 2
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nhello, world\n"
_SIZE = struct.Struct(">Q")


class CorruptError(Exception):
    """A byte is not the one that was sent."""


def noise(offset: int, length: int) -> bytes:
    """Return ``length`` ≤ CHUNK bytes of the endless noise from ``offset`` on."""
    start = offset % PERIOD
    return NOISE[start : start + length]


def verify(piece: bytes, offset: int) -> None:
    """Raise CorruptError unless a piece is the noise at its offset."""
    for start in range(0, len(piece), CHUNK):
        part = piece[start : start + CHUNK]
        if part != noise(offset + start, len(part)):
            raise CorruptError(f"wrong bytes after {offset + start}")


async def send_noise(writer: asyncio.StreamWriter, size: int) -> None:
    """Send ``size`` bytes of noise."""
    offset = 0
    while offset < size:
        piece = noise(offset, min(CHUNK, size - offset))
        writer.write(piece)
        await writer.drain()
        offset += len(piece)


async def take_noise(reader: asyncio.StreamReader, size: int) -> None:
    """Read ``size`` bytes of noise and verify them. Raises CorruptError, also when they end early."""
    offset = 0
    while offset < size:
        piece = await reader.read(CHUNK)
        if not piece:
            raise CorruptError(f"ended after {offset} of {size} bytes")
        verify(piece, offset)
        offset += len(piece)


# -- the upstream --------------------------------------------------------------------------------


async def upstream() -> None:
    """Serve for ever; print the port first."""
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, backlog=4096, limit=CHUNK)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        kind = await reader.readexactly(1)
        if kind in b"DU":
            (size,) = _SIZE.unpack(await reader.readexactly(8))
            if kind == b"D":
                await send_noise(writer, size)
            else:
                await take_noise(reader, size)
                writer.write(b"K")
        elif kind == b"E":
            await _echo(reader, writer)
        else:
            await _http(reader, writer)
    except (ConnectionError, asyncio.IncompleteReadError):
        return
    finally:
        writer.close()


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(CHUNK):
        writer.write(piece)
        await writer.drain()


async def _http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)


# -- the visitors --------------------------------------------------------------------------------


async def bulk(kind: str, port: int, streams: int, size: int) -> dict[str, float]:
    """Move ``size`` bytes on each of ``streams`` connections, all in one direction."""

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=CHUNK)
        writer.write((b"D" if kind == "down" else b"U") + _SIZE.pack(size))
        if kind == "down":
            await take_noise(reader, size)
        else:
            await send_noise(writer, size)
            if await reader.readexactly(1) != b"K":
                raise CorruptError("the upstream did not confirm")
        writer.close()

    await asyncio.gather(*(one() for _ in range(streams)))
    return {"units": streams * size / 1e9}


async def connections(port: int, count: int, concurrency: int) -> dict[str, float]:
    """Open a connection, have one byte echoed, close it; ``count`` times."""

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"Ex")
        if await reader.readexactly(1) != b"x":
            raise CorruptError("another byte came back")
        writer.close()

    await _share_out(count, concurrency, one)
    return {"units": count / 10_000}


async def requests(port: int, host: str, count: int, concurrency: int) -> dict[str, float]:
    """GET over ``concurrency`` kept-alive connections, ``count`` requests in all."""
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n".encode()

    async def many() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count // concurrency):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200") or await reader.readexactly(13) != b"hello, world\n":
                raise CorruptError(head.decode(errors="replace"))
        writer.close()

    await asyncio.gather(*(many() for _ in range(concurrency)))
    return {"units": count // concurrency * concurrency / 10_000}


async def idle(port: int, count: int) -> dict[str, float]:
    """Hold ``count`` connections that have echoed one byte, until standard input ends."""
    held: list[asyncio.StreamWriter] = []

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"Ex")
        await reader.readexactly(1)
        held.append(writer)

    await _share_out(count, 32, one)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for writer in held:
        writer.close()
    return {"units": count / 1000}


async def _share_out(count: int, concurrency: int, one: Any) -> None:
    left = iter(range(count))

    async def worker() -> None:
        for _ in left:
            await one()

    await asyncio.gather(*(worker() for _ in range(concurrency)))


def main(kind: str, *arguments: str) -> None:
    """Run one role of the load."""
    import uvloop

    work: Coroutine[Any, Any, Any]
    match kind, arguments:
        case "upstream", ():
            work = upstream()
        case (("down" | "up"), (port, streams, size)):
            work = bulk(kind, int(port), int(streams), int(size))
        case "connections", (port, count, concurrency):
            work = connections(int(port), int(count), int(concurrency))
        case "requests", (port, host, count, concurrency):
            work = requests(int(port), host, int(count), int(concurrency))
        case "idle", (port, count):
            work = idle(int(port), int(count))
        case _:
            raise SystemExit(__doc__)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        started = time.monotonic()
        result = runner.run(work)
        print(json.dumps({"seconds": time.monotonic() - started, **(result or {})}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
