"""Long links: what one stream reaches when a byte needs a while, by our agent and by the official SDKs.

A stream moves at most its window in each round trip. The official SDKs have 256 KiB, whatever we say; our
agent and the service give each other more, once a stream has shown that it is busy. What is measured is the
steady flow, without its first quarter; the limit is computed from round trips that were measured at the same
time, as a busy machine makes a link longer.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from tests.kit.delay_proxy import DelayProxy, delay_proxy
from tests.kit.driven import driven_agent
from tests.kit.product import Service
from tests.kit.sdk import SDKS, Sdk
from tests.kit.traffic import CHUNK, server, visitor

pytestmark = pytest.mark.xdist_group("long-links")

ROUND_TRIP = 0.1
"""Seconds of the emulated link, there and back."""

WINDOW = 256 * 1024
"""Bytes that the protocol gives a stream; the official SDKs never get more."""

TIMES = 4
"""How many times as much one stream of our agent must move."""

NEAR = 0.75
"""How much of its limit a stream must reach: the window is filled again in steps, and a machine is busy."""

ROUNDS = 16
"""Round trips that a transfer takes about."""


@dataclass(slots=True)
class Flow:
    """One transfer in one direction: what it took."""

    direction: str
    size: int
    rate: float = 0.0
    """Bytes a second, once it flowed steadily."""
    round_trip: float = 0.0
    """Seconds that small things took through the same session meanwhile, at the median."""

    def windows(self) -> float:
        """Return how many times 256 KiB were moved in one of these round trips."""
        return self.rate * self.round_trip / WINDOW

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Be the upstream: echo single bytes, or be one end of the transfer."""
        while kind := await reader.read(1):
            if kind == b"e":
                writer.write(b"e")
            elif kind == b"d":
                await pour(writer, self.size)
            else:
                await self.drain(reader)
                writer.write(b"k")
            await writer.drain()

    async def drain(self, reader: asyncio.StreamReader) -> None:
        """Read all, and measure the last three quarters."""
        left, measured, since = self.size, self.size, 0.0
        while left:
            piece = await reader.read(min(left, CHUNK))
            assert piece, f"ended {left} bytes too early"
            left -= len(piece)
            if not since and left <= self.size * 3 // 4:
                since, measured = time.monotonic(), left
        self.rate = measured / (time.monotonic() - since)

    async def run(self, url: str) -> None:
        """Be the visitor."""
        port = urlsplit(url).port
        assert port
        async with visitor(port) as (reader, writer), asking(port) as took, asyncio.timeout(60):
            writer.write(self.direction[:1].encode())
            if self.direction == "down":
                await self.drain(reader)
            else:
                await pour(writer, self.size)
                assert await reader.readexactly(1) == b"k"
        self.round_trip = statistics.median(took)


async def pour(writer: asyncio.StreamWriter, size: int) -> None:
    """Write so many bytes."""
    for _ in range(size // CHUNK):
        writer.write(bytes(CHUNK))
        await writer.drain()


@asynccontextmanager
async def asking(port: int) -> AsyncGenerator[list[float]]:
    """Have single bytes echoed all the time; give the seconds that each took."""
    took: list[float] = []

    async def ask() -> None:
        async with visitor(port) as (reader, writer):
            while True:
                since = time.monotonic()
                writer.write(b"e")
                assert await reader.readexactly(1) == b"e"
                took.append(time.monotonic() - since)

    task = asyncio.create_task(ask())
    try:
        yield took
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def told(who: str, flow: Flow, proxy: DelayProxy) -> float:
    """Print what was reached; return it as a multiple of the 256 KiB."""
    windows = flow.windows()
    print(
        f"{who} {flow.direction}: {flow.rate / 1e6:.2f} MB/s at {flow.round_trip * 1e3:.0f} ms,"
        f" {windows:.2f} x 256 KiB per round trip; {proxy.most >> 10} KiB on the way"
    )
    return windows


async def our_agent(service: Service, direction: str) -> tuple[float, int]:
    """Return the windows a round trip that one stream of our agent moved, and the most bytes on the way."""
    flow = Flow(direction, ROUNDS * TIMES * WINDOW)
    port = int(service.bootstrap.connect_url.rpartition(":")[2])
    async with (
        server(flow.handle) as upstream,
        delay_proxy(port, ROUND_TRIP) as proxy,
        driven_agent(service, str(upstream), "tcp://", port=proxy.port, interval=10, tolerance=15) as (
            _,
            url,
        ),
    ):
        await flow.run(url)
    return told("our agent", flow, proxy), proxy.most


async def official(service: Service, kind: str, direction: str) -> tuple[float, int]:
    """Return the same of an official SDK."""
    flow = Flow(direction, ROUNDS * WINDOW)
    port = int(service.bootstrap.connect_url.rpartition(":")[2])
    async with server(flow.handle) as upstream, delay_proxy(port, ROUND_TRIP) as proxy:
        with Sdk(kind, service) as sdk:
            await asyncio.to_thread(lambda: sdk.connect(port=proxy.port))
            url = await asyncio.to_thread(sdk.forward, "tcp", f"tcp://localhost:{upstream}")
            await flow.run(url)
    return told(kind, flow, proxy), proxy.most


# What is on the way at a time is a fact, however busy the machine; divided by the round trip it is the rate.


@pytest.mark.parametrize("direction", ["down", "up"])
async def test_our_agent_fills_a_long_link(service: Service, direction: str) -> None:
    _, most = await our_agent(service, direction)
    assert most >= TIMES * WINDOW


@pytest.mark.parametrize("direction", ["down", "up"])
@pytest.mark.parametrize("kind", SDKS)
async def test_the_official_sdks_use_their_whole_window(service: Service, kind: str, direction: str) -> None:
    _, most = await official(service, kind, direction)
    assert NEAR * WINDOW <= most < 2 * WINDOW


@pytest.mark.long
@pytest.mark.parametrize("direction", ["down", "up"])
async def test_the_rate_of_our_agent(service: Service, direction: str) -> None:
    windows, _ = await our_agent(service, direction)
    assert windows >= TIMES


@pytest.mark.long
@pytest.mark.parametrize("direction", ["down", "up"])
@pytest.mark.parametrize("kind", SDKS)
async def test_the_rate_of_the_official_sdks(service: Service, kind: str, direction: str) -> None:
    windows, _ = await official(service, kind, direction)
    assert windows >= NEAR
