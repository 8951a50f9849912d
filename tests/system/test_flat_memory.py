"""Flat memory: mixed traffic, much of it interrupted, leaves service and agents no larger than they were.

What is in use goes up and down with what was cut when, so floors are compared, and the slope is reported.
The short form runs in `make test`; the long one is an hour's worth at ten operations a second, as fast as
it goes.
"""

import asyncio
import contextlib
import socket
import ssl
import statistics
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import psutil
import pytest
from tests.kit.eventually import eventually
from tests.kit.product import Process, agent_beside, running_service
from tests.kit.traffic import CHUNK, WAIT, echo, exchange, get, server, visitor

pytestmark = pytest.mark.xdist_group("flat-memory")

MIB = 1 << 20
ENDLESS = 1 << 40

GROWTH = 4 * MIB
"""Bytes by which the least memory of the last third may exceed that of the third before."""

EACH = 4
"""Times that a batch does everything, all at once."""


async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Tell by the first byte what is wanted: a download, an upload, an echo, or HTTP."""
    kind = await reader.readexactly(1)
    if kind == b"d":
        await pour(writer)
    elif kind == b"u":
        while await reader.read(CHUNK):
            pass
    elif kind == b"e":
        await echo(reader, writer)
    else:
        await web(reader, writer)


async def pour(writer: asyncio.StreamWriter) -> None:
    """Write for as long as anybody reads."""
    while True:
        writer.write(bytes(CHUNK))
        await writer.drain()


async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request: /endless without end, everything else shortly once its body is there."""
    head = await reader.readuntil(b"\r\n\r\n")
    if b" /endless " in head:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % ENDLESS)
        await pour(writer)
    if b"Content-Length: " in head:
        await reader.readexactly(int(head.partition(b"Content-Length: ")[2].split()[0]))
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nhello\n")
    await writer.drain()


def reset(writer: asyncio.StreamWriter) -> None:
    """Leave as a visitor whose machine gives up: with an RST."""
    sock = cast("socket.socket", writer.get_extra_info("socket"))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Visitors:
    """All kinds of them, for a tcp endpoint and an http or https one."""

    def __init__(self, raw: str, web: str, ca: str) -> None:
        """Take the two URLs, and the file of the service's authority."""
        self._raw, self._web = urlsplit(raw).port or 0, web
        parts = urlsplit(web)
        self._web_port, self._host = parts.port or 0, parts.netloc
        self._tls = ssl.create_default_context(cafile=ca) if parts.scheme == "https" else None
        self.kinds: tuple[Callable[[], Awaitable[None]], ...] = (
            self.request, self.request, self.whole, self.download, self.upload,
            self.answer_cut, self.body_cut, self.nothing,
        )  # fmt: skip

    async def request(self) -> None:
        """GET something small."""
        answer = await get(self._web, self._web_port, tls=self._tls)
        assert (answer.status, answer.body) == (200, b"hello\n")

    async def whole(self) -> None:
        """Have half a mebibyte echoed."""
        async with visitor(self._raw) as (reader, writer):
            writer.write(b"e")
            done = await exchange(reader, writer, MIB // 2, seed=3)
        assert done.received_hash == done.sent_hash

    async def download(self) -> None:
        """Leave in the middle of a download."""
        async with visitor(self._raw) as (reader, writer):
            writer.write(b"d")
            await asyncio.wait_for(reader.readexactly(MIB // 2), WAIT)
            reset(writer)

    async def upload(self) -> None:
        """Leave in the middle of an upload."""
        async with visitor(self._raw) as (_, writer):
            writer.write(b"u" + bytes(MIB // 2))
            await asyncio.wait_for(writer.drain(), WAIT)
            reset(writer)

    async def answer_cut(self) -> None:
        """Leave in the middle of an HTTP answer."""
        await self._cut(b"GET /endless HTTP/1.1\r\nHost: %b\r\n\r\n" % self._host.encode(), MIB // 2)

    async def body_cut(self) -> None:
        """Leave in the middle of an HTTP request's body."""
        head = b"POST / HTTP/1.1\r\nHost: %b\r\nContent-Length: %d\r\n\r\n" % (self._host.encode(), MIB)
        await self._cut(head + bytes(MIB // 2), 0)

    async def nothing(self) -> None:
        """Come and go."""
        async with visitor(self._raw):
            pass

    async def _cut(self, request: bytes, read: int) -> None:
        name = self._host.partition(":")[0]
        async with visitor(self._web_port, tls=self._tls, name=name) as (reader, writer):
            writer.write(request)
            await asyncio.wait_for(writer.drain(), WAIT)
            await asyncio.wait_for(reader.readexactly(read), WAIT)
            reset(writer)


async def mixed(folder: Path, batches: int) -> None:
    """Run so many batches; fail when memory or descriptors grow."""
    with running_service(folder, "--access-log", "off") as service:
        async with (
            server(upstream) as port,
            agent_beside(service, "tcp", str(port)) as (raw, raw_url),
            agent_beside(service, "http", str(port)) as (web, web_url),
        ):
            processes: tuple[Process, ...] = (service, raw, web)
            visitors = Visitors(raw_url, web_url, service.bootstrap.ca_cert)
            sizes: list[list[int]] = []
            for _ in range(batches):
                async with asyncio.timeout(WAIT), asyncio.TaskGroup() as group:
                    for kind in visitors.kinds * EACH:
                        group.create_task(_run(kind))
                sizes.append([process.rss() for process in processes])
            descriptors = [psutil.Process(process.pid).num_fds for process in processes]
            least = [count() for count in descriptors]
            await asyncio.to_thread(
                eventually, lambda: max(count() for count in descriptors) < 60, "sockets are closed"
            )
    judge(sizes, len(visitors.kinds) * EACH, least)


async def _run(kind: Callable[[], Awaitable[None]]) -> None:
    with contextlib.suppress(ConnectionResetError):  # of our own reset
        await kind()


def judge(sizes: list[list[int]], operations: int, descriptors: list[int]) -> None:
    """Print slopes, and compare floors."""
    third = len(sizes) // 3
    names = ("service", "tcp agent", "http agent")
    for name, column, count in zip(names, zip(*sizes, strict=True), descriptors, strict=True):
        middle, late = column[third:-third], column[-third:]
        settled = column[third:]
        slope = statistics.linear_regression(range(len(settled)), settled).slope * 1000 / operations
        print(
            f"{name}: {len(sizes) * operations} operations, {column[0] / MIB:.1f} to {column[-1] / MIB:.1f}"
            f" MiB, slope {slope / 1024:+.1f} KiB per 1000 operations, floors {min(middle) / MIB:.1f} and"
            f" {min(late) / MIB:.1f} MiB, {count} descriptors"
        )
        assert min(late) - min(middle) < GROWTH, name


async def test_a_few_minutes_worth(tmp_path: Path) -> None:
    await mixed(tmp_path, 24)


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_an_hours_worth(tmp_path: Path) -> None:
    await mixed(tmp_path, 36_000 // 32)
