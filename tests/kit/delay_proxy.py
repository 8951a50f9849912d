"""A TCP proxy of ours that is a long link: every byte is late by the same time, and none waits for another.

Unlike `fault_proxy`, whose pieces wait in turn, it takes in as fast as it is given: a link of any bandwidth.
So what a stream reaches through it is what its own window allows in a round trip. It counts what is on the
way, which shows a window without a clock.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final, cast

ON_THE_WAY: Final = 64 << 20
"""Bytes on the way in one direction above which nothing more is taken in."""


class _End(asyncio.Protocol):
    """One of the two sockets of a connection: what it reads, the other end writes later."""

    def __init__(self, proxy: "DelayProxy") -> None:
        self.proxy = proxy
        self.other: _End | None = None
        self.transport: asyncio.Transport | None = None
        self._late: deque[tuple[float, bytes]] = deque()  # b"" is the end
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.on_the_way = 0
        self.stopped = False
        self.gone: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(ON_THE_WAY)
        self.proxy.ends.add(self)
        if self.other is None:
            self.transport.pause_reading()  # until there is somebody to write to

    def data_received(self, data: bytes) -> None:
        self._later(data)
        self.on_the_way += len(data)
        self.proxy.most = max(self.proxy.most, self.on_the_way)
        if self.on_the_way > ON_THE_WAY and self.transport:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        self._later(b"")
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """What was read before still arrives; then the other end is closed."""
        self.proxy.ends.discard(self)
        self.transport = None
        self.gone.set_result(None)
        self._later(b"")
        if exc is not None and self.other and self.other.transport:
            self.other.transport.abort()

    def stop(self) -> None:
        """Let nothing more arrive."""
        self.stopped = True
        self._late.clear()
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self.transport:
            self.transport.abort()

    def _later(self, data: bytes) -> None:
        if self.stopped:
            return
        self._late.append((self._loop.time() + self.proxy.round_trip / 2, data))
        if self._timer is None:
            self._timer = self._loop.call_at(self._late[0][0], self._arrive)

    def _arrive(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._late and self._late[0][0] <= now:
            _, data = self._late.popleft()
            self.on_the_way -= len(data)
            target = self.other.transport if self.other else None
            if target is None or target.is_closing():
                continue
            if data:
                target.write(data)
            elif self.transport is None:
                target.close()
            elif target.can_write_eof():
                target.write_eof()
        if self.transport and self.on_the_way <= ON_THE_WAY and not self.transport.is_reading():
            self.transport.resume_reading()
        if self._late:
            self._timer = self._loop.call_at(self._late[0][0], self._arrive)


class DelayProxy:
    """Connect to `port`; `most` says how many bytes were on the way at once."""

    def __init__(self, target: int, round_trip: float) -> None:
        """Take the port on loopback of who stands behind, and the seconds that there and back take."""
        self.round_trip = round_trip
        self.port = 0
        self.most = 0
        """The most bytes of one direction and connection that were on the way at once."""
        self.ends: set[_End] = set()
        self._target = target
        self._server: asyncio.Server | None = None
        self._dialling: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Accept on a free port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accepted, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """End everything."""
        assert self._server
        self._server.close()
        for task in self._dialling:
            task.cancel()
        await asyncio.gather(*self._dialling, return_exceptions=True)
        ends = list(self.ends)
        for end in ends:
            end.stop()
        await asyncio.gather(*(end.gone for end in ends))
        await self._server.wait_closed()

    def _accepted(self) -> _End:
        near = _End(self)
        task = asyncio.get_running_loop().create_task(self._dial(near))
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)
        return near

    async def _dial(self, near: _End) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, far = await loop.create_connection(lambda: _End(self), "127.0.0.1", self._target)
        except OSError:
            near.stop()
            return
        near.other, far.other = far, near
        for end in (near, far):
            if end.transport:
                end.transport.resume_reading()


@contextlib.asynccontextmanager
async def delay_proxy(target: int, round_trip: float) -> AsyncGenerator[DelayProxy]:
    """Run a proxy before a port of loopback for the time of the context."""
    proxy = DelayProxy(target, round_trip)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()
