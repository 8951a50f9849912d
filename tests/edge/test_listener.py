"""Doors that open later, and the watch over quiet visitors."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest
from tests.kit.pipes import spin_until

from portway.edge.listener import Door, IdleWatch
from portway.net.listen import listen


class Greeter(asyncio.Protocol):
    """Says hello, then echoes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(b"hello ")

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)
        self.transport.close()


class BufferedGreeter(asyncio.BufferedProtocol):
    """The same, into a buffer of three bytes."""

    def __init__(self) -> None:
        self.buffer = bytearray(3)
        self.got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(b"hello ")

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.got += self.buffer[:nbytes]
        if len(self.got) >= 4:
            self.transport.write(self.got)
            self.transport.close()


async def knock(port: int, words: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(words)
    await writer.drain()
    return reader, writer


@pytest.mark.parametrize("factory", [Greeter, BufferedGreeter])
async def test_who_comes_before_the_door_is_open_waits_and_loses_nothing(
    factory: Callable[[], asyncio.BaseProtocol],
) -> None:
    door = Door()
    listener = await listen("127.0.0.1", 0, door)
    reader, writer = await knock(listener.port, b"soon")
    gone = await knock(listener.port, b"impatient")
    gone[1].transport.abort()
    await spin_until(lambda: listener.accepted == 2)
    for _ in range(10):  # what would happen wrongly, would happen now
        await asyncio.sleep(0)
    door.open(factory)
    async with asyncio.timeout(5):
        assert await reader.read() == b"hello soon"
    late_reader, late_writer = await knock(listener.port, b"late")
    async with asyncio.timeout(5):
        assert await late_reader.read() == b"hello late"
    for each in (writer, late_writer):
        each.close()
        await each.wait_closed()
    listener.close()


class Moved:
    """A visitor whose bytes the test counts."""

    def __init__(self) -> None:
        self.bytes_in = 0
        self.bytes_out = 0
        self.cut = 0

    def abort(self, code: int = 6) -> None:
        self.cut = code


def test_quiet_visitors_are_cut_and_moving_ones_are_not() -> None:
    watch = IdleWatch(300.0)
    quiet, reading, writing, left = Moved(), Moved(), Moved(), Moved()
    for each in (quiet, reading, writing, left):
        watch.add(each, 0.0)
    watch.discard(left)
    watch.discard(left)
    assert len(watch) == 3
    assert watch.sweep(299.0) == []
    reading.bytes_in = 1
    writing.bytes_out = 1
    assert watch.sweep(300.0) == [quiet]
    assert (quiet.cut, reading.cut, left.cut) == (6, 0, 0)
    assert watch.sweep(599.0) == []
    assert set(watch.sweep(600.0)) == {reading, writing}
    assert len(watch) == 0


async def test_no_limit_watches_nobody() -> None:
    watch = IdleWatch(0.0)
    watch.add(Moved(), 0.0)
    assert len(watch) == 0
    await watch.run()  # returns at once
