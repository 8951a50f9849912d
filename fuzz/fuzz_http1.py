"""Fuzz HTTP/1 heads and chunked bodies.

Invariant: any bytes give a head that can be written anew and read again to the same meaning, or an
HttpError; a chunk scanner stops at the same byte however its input is cut.

Run ``python fuzz/fuzz_http1.py --seconds 10 [--seed 1]``.
"""

import argparse
import random
import time

from portway.codec.chunked import ChunkScanner
from portway.codec.headers import Forwarding, request_head, response_head
from portway.codec.http1 import Kind, find_head, parse_request, parse_response
from portway.errors import HttpError

SEEDS = [
    b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, X\r\nX: y\r\n\r\n",
    b"POST /p?q HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
    b"GET http://a/ HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nNgrok-Error-Code: x\r\n\r\nhello",
    b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b'5;a="b"\r\nhello\r\n0\r\nT: v\r\n\r\n',
]
PIECES = [
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b":",
    b"\0",
    b"\xff",
    b"0",
    b"f",
    b"Transfer-Encoding: chunked\r\n",
]
FORWARDING = Forwarding("203.0.113.7", "https")


def mutate(rng: random.Random) -> bytes:
    """Return a seed with a few bytes changed."""
    data = rng.choice(SEEDS)
    for _ in range(rng.randint(0, 6)):
        at = rng.randint(0, len(data))
        piece = rng.choice([*PIECES, rng.randbytes(rng.randint(0, 3)), rng.choice(SEEDS)])
        data = data[:at] + piece + data[min(len(data), at + rng.randint(0, 4)) :]
    return data


def check_request(data: bytes) -> None:
    """What we write must be read as what we read."""
    end = find_head(data)
    if end < 0:
        return
    first = parse_request(data[:end])
    again = parse_request(request_head(first, FORWARDING))
    if (first.method, first.target, first.host, first.port, first.upgrade) != (
        again.method,
        again.target,
        again.host,
        again.port,
        again.upgrade,
    ) or first.framing != again.framing:
        raise AssertionError(f"changed its meaning: {data!r}")


def check_response(data: bytes) -> None:
    """Likewise for answers."""
    end = find_head(data)
    if end < 0:
        return
    first = parse_response(data[:end], b"GET")
    again = parse_response(response_head(first, keep_alive=True), b"GET")
    if (first.status, first.framing) != (again.status, again.framing) or b"ngrok-error-code" in again.special:
        raise AssertionError(f"changed its meaning: {data!r}")
    if first.framing.kind is Kind.CHUNKED:
        ChunkScanner(502).scan(data[end:])


def check_chunks(data: bytes, rng: random.Random) -> None:
    """The end does not depend on the cuts."""
    whole, pieces = ChunkScanner(), ChunkScanner()
    try:
        end = whole.scan(data)
    except HttpError:
        end = -1
    pos = 0
    try:
        while pos < len(data) and not pieces.done:
            step = rng.randint(1, 9)
            pos += pieces.scan(data[pos : pos + step])
    except HttpError:
        pos = -1
    if pos != end:
        raise AssertionError(f"ends at {end} or {pos}: {data!r}")


def main() -> None:
    """Run for the time given; the seed is printed so that a failure can be repeated."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    chosen = options.parse_args()
    rng = random.Random(chosen.seed)
    until = time.monotonic() + chosen.seconds
    runs = served = 0
    while time.monotonic() < until:
        data = mutate(rng)
        runs += 1
        for check in (check_request, check_response):
            try:
                check(data)
                served += 1
            except HttpError:
                continue
        check_chunks(data, rng)
    print(f"seed {chosen.seed}: {runs} inputs, {served} of {2 * runs} read without an error")


if __name__ == "__main__":
    main()
