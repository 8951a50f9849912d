"""Fuzz the ClientHello reader.

Invariant: any bytes give a hello, None or a ClientHelloError, and a hello once read stays the same
when more bytes follow.

Run ``python fuzz/fuzz_client_hello.py --seconds 10 [--seed 1]``.
"""

import argparse
import random
import ssl
import time

from portway.codec.client_hello import ClientHelloError, parse


def seeds() -> list[bytes]:
    """Return real hellos."""
    found: list[bytes] = []
    for name, alpn in (("a.example", ["h2", "http/1.1"]), ("b", []), ("x" * 60 + ".example", ["http/1.1"])):
        context = ssl.create_default_context()
        if alpn:
            context.set_alpn_protocols(alpn)
        outgoing = ssl.MemoryBIO()
        client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            found.append(outgoing.read())
    return found


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Change a few bytes, or cut the hello over more records."""
    if rng.random() < 0.3:
        cut = rng.randint(6, len(data) - 1)
        first, second = data[5:cut], data[cut:]
        data = b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part for part in (first, second))
    changed = bytearray(data)
    for _ in range(rng.randint(0, 5)):
        at = rng.randrange(len(changed))
        if rng.random() < 0.7:
            changed[at] = rng.choice([0, 1, 0xFF, rng.randrange(256)])
        else:
            changed[at:at] = rng.randbytes(rng.randint(1, 4))
    return bytes(changed)


def main() -> None:
    """Run for the time given; the seed is printed so that a failure can be repeated."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    chosen = options.parse_args()
    rng = random.Random(chosen.seed)
    bases = seeds()
    until = time.monotonic() + chosen.seconds
    runs = read = 0
    while time.monotonic() < until:
        data = mutate(rng.choice(bases), rng)
        runs += 1
        try:
            hello = parse(data)
        except ClientHelloError:
            continue
        if hello is not None:
            read += 1
            if parse(data[: hello.size] + rng.randbytes(9)) != hello:
                raise AssertionError(f"what follows matters: {data!r}")
    print(f"seed {chosen.seed}: {runs} inputs, {read} read")


if __name__ == "__main__":
    main()
