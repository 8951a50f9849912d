"""A TCP proxy of ours that does to connections what networks do: delay, cut, stall, swallow, refuse, hold.

It stands between an agent and its service, on the test's own loop. What it does to a connection that
exists and to those that come is set apart, so half-open sessions can be made. A connection that was
swallowed from never gets well again: its bytes are missing.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncGenerator
from typing import Literal, cast

from tests.kit.traffic import parted

CHUNK = 64 * 1024

Mode = Literal["pass", "stall", "swallow"]
"""``stall`` reads nothing, so that windows fill; ``swallow`` reads and forgets, ends included."""


class _Way:
    """One connection: the agent's socket, the service's, and who pumps between them."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.near = near
        self.far = far
        self.black = False
        self.tasks: list[asyncio.Task[None]] = []


class FaultProxy:
    """Passes everything on, until told otherwise. `open` it, then connect to `port`."""

    def __init__(self, target: int, host: str = "127.0.0.1") -> None:
        """Take the port, and the address, of who stands behind."""
        self._target = (host, target)
        self._server: asyncio.Server | None = None
        self._ways: set[_Way] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._over = asyncio.Event()
        self._mode: Mode = "pass"
        self.admits = asyncio.Event()
        """Cleared, it makes who comes wait before anybody hears of them."""
        self.admits.set()
        self.delay = 0.0
        """Seconds that each piece is late, in either direction."""
        self.port = 0
        self.accepted = 0

    @property
    def mode(self) -> Mode:
        """What happens to bytes."""
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._mode = mode
        if mode == "stall":
            self._flowing.clear()
        else:
            self._flowing.set()

    async def open(self) -> None:
        """Accept, from the second time on at the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=256)
        self.port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Accept no more: whoever comes is refused. What is connected stays."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def cut(self) -> None:
        """Reset every connection, at both of its ends."""
        for way in self._ways:
            _reset(way.near)
            _reset(way.far)

    def cut_near(self) -> None:
        """Reset every connection at the agent's end only: the service hears nothing more, not even that."""
        for way in self._ways:
            way.black = True
            _reset(way.near)

    async def close(self) -> None:
        """End everything."""
        self.refuse()
        self.cut()
        self.admits.set()
        self._over.set()
        self._flowing.set()
        tasks = [task for way in self._ways for task in way.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while self._ways:
            way = self._ways.pop()
            for writer in (way.near, way.far):
                writer.transport.abort()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def _late(self) -> None:
        """Let the delay pass, or the proxy end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.delay):
                await self._over.wait()

    async def _serve(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        self.accepted += 1
        await self.admits.wait()
        try:
            far_reader, far = await asyncio.open_connection(*self._target)
        except OSError:
            _reset(near)
            return
        way = _Way(near, far)
        way.tasks = [
            asyncio.create_task(self._pump(way, reader, far)),
            asyncio.create_task(self._pump(way, far_reader, near)),
        ]
        self._ways.add(way)
        await asyncio.wait(way.tasks)
        if not way.black:
            self._ways.discard(way)
            for writer in (near, far):
                await parted(writer)

    async def _pump(self, way: _Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one direction. What a black connection says, its end too, is heard by nobody."""
        with contextlib.suppress(OSError):
            while True:
                piece = await reader.read(CHUNK)
                await self._flowing.wait()
                way.black = way.black or self._mode == "swallow"
                if way.black:
                    if not piece:
                        return
                    continue
                if self.delay:
                    await self._late()
                if writer.is_closing():
                    return
                if not piece:
                    writer.write_eof()
                    return
                writer.write(piece)
                await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = cast("socket.socket | None", writer.get_extra_info("socket"))
    if sock is not None and not writer.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextlib.asynccontextmanager
async def fault_proxy(target: int, host: str = "127.0.0.1") -> AsyncGenerator[FaultProxy]:
    """Run a proxy before a port for the time of the context."""
    proxy = FaultProxy(target, host)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()
