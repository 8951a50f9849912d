"""Fuzz the PROXY header reader.

Invariant: any bytes give a header, None or a ProxyProtocolError; what was read can be written and
read again to the same addresses.

Run ``python fuzz/fuzz_proxy_protocol.py --seconds 10 [--seed 1]``.
"""

import argparse
import random
import time

from portway.codec.proxy_protocol import ProxyProtocolError, decode, encode

SEEDS = [
    encode(version, source, destination)
    for version in (1, 2)
    for source, destination in (
        ("203.0.113.7:51000", "192.0.2.1:443"),
        ("[2001:db8::1]:9", "[::1]:80"),
        ("203.0.113.7:1", "[::1]:2"),
        ("", ""),
    )
]


def mutate(rng: random.Random) -> bytes:
    """Return a header with a few bytes changed."""
    data = bytearray(rng.choice(SEEDS) + rng.randbytes(rng.randint(0, 8)))
    for _ in range(rng.randint(0, 4)):
        at = rng.randrange(len(data))
        if rng.random() < 0.6:
            data[at] = rng.choice([*b" .:0159af\r\n", rng.randrange(256)])
        else:
            data[at:at] = rng.choice([b" ", b"0", b"\r\n", b"\0", rng.randbytes(3)])
    return bytes(data)


def main() -> None:
    """Run for the time given; the seed is printed so that a failure can be repeated."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    chosen = options.parse_args()
    rng = random.Random(chosen.seed)
    until = time.monotonic() + chosen.seconds
    runs = read = 0
    while time.monotonic() < until:
        data = mutate(rng)
        runs += 1
        try:
            header = decode(data)
        except ProxyProtocolError:
            continue
        if header is None or header.source is None or header.destination is None:
            continue
        read += 1
        again = decode(encode(header.version, header.source, header.destination))
        if again is None or (again.source, again.destination) != (header.source, header.destination):
            raise AssertionError(f"changed its meaning: {data!r}")
    print(f"seed {chosen.seed}: {runs} inputs, {read} read")


if __name__ == "__main__":
    main()
