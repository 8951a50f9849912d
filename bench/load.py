"""The visitors of every measurement: `python -m bench.load KIND ORDER`, every byte verified.

ORDER is a JSON object of the fields of ``Order``. The kinds:

    down, up      bulk in one direction on `streams` connections, `size` bytes each or for `seconds`
    connections   `count` times: connect, have one byte echoed, close; `concurrency` at once
    requests      `count` HTTP requests over `concurrency` kept-alive connections
    http2         the same over HTTP/2, with `streams` at a time on each connection
    grpc          `count` messages that come back, over `streams` calls on each connection
    websocket     the same over `concurrency` WebSocket connections
    handshakes    `count` TLS connections with a full handshake and one request each
    idle          hold `count` connections; prints `ready`, and ends with standard input
    latency       one request at a time for `seconds`

Each prints one JSON object: the seconds it took and the units it moved, or percentiles in milliseconds.
Bulk uses plain sockets and threads, the rest uvloop: a load generator must not be the bottleneck.
"""

import asyncio
import json
import socket
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, cast

import uvloop
from bench.http2 import MESSAGE, Client
from bench.noise import CHUNK, CorruptError, noise, verify
from bench.order import Order
from bench.upstream import BODY, SIZE, SWITCHED, UPGRADE

FRAME: Final = b"\x82\xe4" + b"mask" + bytes(100)
"""A WebSocket message of 100 bytes as a client sends it (RFC 6455 §5.2); relays do not look inside."""

Result = dict[str, float]


# -- bulk and latency: plain sockets ---------------------------------------------------------------


def down(order: Order) -> Result:
    """Download on each stream."""
    return _bulk(order, _download)


def up(order: Order) -> Result:
    """Upload on each stream."""
    return _bulk(order, _upload)


def _bulk(order: Order, one: Callable[[Order], int]) -> Result:
    with ThreadPoolExecutor(order.streams) as pool:
        moved = sum(pool.map(one, [order] * order.streams))
    return {"units": moved / 1e9}


def _download(order: Order) -> int:
    until = time.monotonic() + order.seconds if order.seconds else float("inf")
    got = 0
    with _connected(order) as sock:
        sock.sendall(b"D" + SIZE.pack(order.size))
        while got < order.size and time.monotonic() < until:
            piece = sock.recv(CHUNK)
            if not piece:
                raise CorruptError(f"ended after {got} of {order.size} bytes")
            verify(piece, got)
            got += len(piece)
    return got


def _upload(order: Order) -> int:
    with _connected(order) as sock:
        sock.sendall(b"U" + SIZE.pack(order.size))
        for offset in range(0, order.size, CHUNK):
            sock.sendall(noise(offset, min(CHUNK, order.size - offset)))
        if sock.recv(1) != b"K":
            raise CorruptError("the upstream did not confirm")
    return order.size


def latency(order: Order) -> Result:
    """Ask again and again; say what the median and the slowest hundredth took, in milliseconds."""
    took: list[float] = []
    with _connected(order) as sock:
        until = time.monotonic() + order.seconds
        while time.monotonic() < until:
            request = order.request(len(took))
            since = time.perf_counter()
            sock.sendall(request)
            answer = b""
            while not answer.endswith(BODY):
                piece = sock.recv(CHUNK)
                if not piece:
                    raise CorruptError(f"no answer, but {answer!r}")
                answer += piece
            took.append((time.perf_counter() - since) * 1e3)
    took.sort()
    return {"p50": took[len(took) // 2], "p99": took[len(took) * 99 // 100], "count": len(took)}


def _connected(order: Order) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", order.port), timeout=60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


# -- many small things: uvloop ---------------------------------------------------------------------


class Asker(asyncio.Protocol):
    """A connection that sends one request after the other."""

    def __init__(self, requests: Iterator[bytes], done: "asyncio.Future[None]") -> None:
        """Take what to ask, and what to resolve when all is answered."""
        self._requests = requests
        self._done = done
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask the first."""
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Judge an answer once it is whole, and ask the next."""
        self._answer += data
        if not self._answer.startswith(b"HTTP/1.1 200 "[: len(self._answer)]):
            self._fail()
        elif self._answer.endswith(BODY):
            self._answer = b""
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is a failure unless all was answered."""
        self._fail()

    def _ask(self) -> None:
        request = next(self._requests, None)
        if request is not None:
            self._transport.write(request)
            return
        if not self._done.done():
            self._done.set_result(None)
        self._transport.close()

    def _fail(self) -> None:
        if not self._done.done():
            self._done.set_exception(CorruptError(f"no answer, but {self._answer[:200]!r}"))


class Talker(asyncio.Protocol):
    """A WebSocket connection that has one message echoed after the other."""

    def __init__(self, host: str, messages: Iterator[int], done: "asyncio.Future[None]") -> None:
        """Take whom to ask for, how often to talk, and what to resolve at the end."""
        self._host = host
        self._messages = messages
        self._done = done
        self._expected = SWITCHED
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(b"GET / HTTP/1.1\r\nHost: " + self._host.encode() + b"\r\n" + UPGRADE)

    def data_received(self, data: bytes) -> None:
        """Judge what came back, and say the next."""
        self._got += data
        if self._expected == SWITCHED:  # a relay may order the fields otherwise
            whole = self._got.startswith(b"HTTP/1.1 101 "[: len(self._got)])
            if whole and not self._got.endswith(b"\r\n\r\n"):
                return
        else:
            if len(self._got) < len(FRAME):
                return
            whole = self._got == FRAME
        if not whole:
            self._end(CorruptError(f"{self._got[:200]!r} came back"))
            return
        self._expected, self._got = FRAME, b""
        if next(self._messages, None) is None:
            self._end(None)
        else:
            self._transport.write(FRAME)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is a failure before the end."""
        self._end(CorruptError("closed before all messages were back"))

    def _end(self, error: Exception | None) -> None:
        if not self._done.done():
            if error is None:
                self._done.set_result(None)
            else:
                self._done.set_exception(error)
        self._transport.close()


class Knock(asyncio.Protocol):
    """A connection that has one byte echoed."""

    def __init__(self, done: "asyncio.Future[asyncio.Transport]") -> None:
        """Take what gets the transport once the byte is back."""
        self._done = done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(b"Ex")

    def data_received(self, data: bytes) -> None:
        """Compare."""
        if data == b"x":
            self._done.set_result(self._transport)
        else:
            self._done.set_exception(CorruptError(f"{data!r} came back"))

    def connection_lost(self, exc: Exception | None) -> None:
        """It is a failure before the byte is back."""
        if not self._done.done():
            self._done.set_exception(CorruptError("closed without an echo"))


async def requests(order: Order) -> Result:
    """Share ``count`` requests among kept-alive connections."""
    all_ = (order.request(number) for number in range(order.count))
    context = order.context()
    await asyncio.gather(*(_ask(order, all_, context) for _ in range(order.concurrency)))
    return {"units": order.count / 10_000}


async def http2(order: Order) -> Result:
    """Share ``count`` requests among the streams of a few connections."""
    return await _over_http2(order, BODY)


async def grpc(order: Order) -> Result:
    """Share ``count`` messages among the calls of a few connections."""
    return await _over_http2(order, MESSAGE, grpc=True)


async def _over_http2(order: Order, answer: bytes, *, grpc: bool = False) -> Result:
    loop = asyncio.get_running_loop()
    numbers = iter(range(order.count))
    context = order.context("h2")
    name = order.host.partition(":")[0] if context else None
    all_done: list[asyncio.Future[None]] = []
    for _ in range(order.concurrency):
        done: asyncio.Future[None] = loop.create_future()
        all_done.append(done)
        client = Client(order, numbers, done, grpc=grpc, answer=answer)
        await loop.create_connection(
            lambda client=client: client, "127.0.0.1", order.port, ssl=context, server_hostname=name
        )
    await asyncio.gather(*all_done)
    return {"units": order.count / 10_000}


async def websocket(order: Order) -> Result:
    """Share ``count`` messages among WebSocket connections."""
    loop = asyncio.get_running_loop()
    numbers = iter(range(order.count))
    all_done: list[asyncio.Future[None]] = []
    for _ in range(order.concurrency):
        done: asyncio.Future[None] = loop.create_future()
        all_done.append(done)
        talker = Talker(order.host, numbers, done)
        await loop.create_connection(lambda talker=talker: talker, "127.0.0.1", order.port)
    await asyncio.gather(*all_done)
    return {"units": order.count / 10_000}


async def handshakes(order: Order) -> Result:
    """Make a new TLS connection for each request; no session is resumed."""
    context = order.context()

    async def one(number: int) -> None:
        await _ask(order, iter((order.request(number),)), context)

    await _share_out(order, one)
    return {"units": order.count / 10_000}


async def connections(order: Order) -> Result:
    """Open, have a byte echoed, close."""

    async def one(_: int) -> None:
        (await _knock(order)).close()

    await _share_out(order, one)
    return {"units": order.count / 10_000}


async def idle(order: Order) -> Result:
    """Hold connections that have echoed a byte, until standard input ends."""
    held: list[asyncio.Transport] = []

    async def one(_: int) -> None:
        held.append(await _knock(order))

    await _share_out(order, one)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for transport in held:
        transport.abort()
    return {"units": order.count / 1000}


async def _ask(order: Order, some: Iterator[bytes], context: ssl.SSLContext | None) -> None:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    name = order.host.partition(":")[0] if context else None
    await loop.create_connection(
        lambda: Asker(some, done), "127.0.0.1", order.port, ssl=context, server_hostname=name
    )
    await done


async def _knock(order: Order) -> asyncio.Transport:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[asyncio.Transport] = loop.create_future()
    await loop.create_connection(lambda: Knock(done), "127.0.0.1", order.port)
    return await done


async def _share_out(order: Order, one: Callable[[int], Awaitable[None]]) -> None:
    numbers = iter(range(order.count))

    async def worker() -> None:
        for number in numbers:
            await one(number)

    await asyncio.gather(*(worker() for _ in range(min(order.concurrency, order.count))))


def main(kind: str, order: Order) -> Result:
    """Run one kind; return what it says, with the seconds that it took."""
    started = time.monotonic()
    if kind in BLOCKING:
        result = BLOCKING[kind](order)
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(ASYNC[kind](order))
    return {"seconds": time.monotonic() - started, **result}


BLOCKING: Final = {"down": down, "up": up, "latency": latency}
ASYNC: Final = {
    "connections": connections,
    "requests": requests,
    "http2": http2,
    "grpc": grpc,
    "websocket": websocket,
    "handshakes": handshakes,
    "idle": idle,
}

if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Order(**json.loads(sys.argv[2])))), flush=True)
