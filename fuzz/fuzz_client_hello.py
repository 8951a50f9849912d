"""Any bytes give a hello, None or a ClientHelloError; what follows a hello means nothing; and the name is
the one that OpenSSL reads from the same bytes, so nobody is routed by one name and served by another.
"""

import random
import ssl
from typing import Final

from portway.codec.client_hello import ClientHello, ClientHelloError, parse


def _hello(name: str, alpn: list[str]) -> bytes:
    context = ssl.create_default_context()
    if alpn:
        context.set_alpn_protocols(alpn)
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def _split(hello: bytes, cut: int) -> bytes:
    """Put a hello of one record into two."""
    parts = hello[5 : 5 + cut], hello[5 + cut :]
    return b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part for part in parts if part)


_BASE: Final = _hello("a.example", ["h2", "http/1.1"])
SEEDS: Final = [
    _BASE,
    _hello("b", []),
    _hello("x" * 60 + ".example", ["http/1.1"]),
    _split(_BASE, 1),
    _split(_BASE, 100),
]
WORDS: Final = [
    b"\x00\x00",
    b"\x00\x10",
    b"\x00\x2b",
    b"\x16\x03\x01",
    b"\x03\x04",
    b".",
    b"A",
    b"\x00\x00\x00\x0e",
]


def _openssl_name(data: bytes) -> str | None:
    """Return the name that OpenSSL reads; None when it refuses the hello or sees no name."""
    heard: list[str | None] = []

    def named(_socket: object, name: str | None, _context: object) -> int:
        heard.append(name)
        return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR

    _CONTEXT.sni_callback = named
    incoming = ssl.MemoryBIO()
    incoming.write(data)
    try:
        _CONTEXT.wrap_bio(incoming, ssl.MemoryBIO(), server_side=True).do_handshake()
    except ssl.SSLError:
        pass
    return heard[0] if heard else None


_CONTEXT: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def _read(data: bytes) -> ClientHello | None:
    try:
        return parse(data)
    except ClientHelloError as error:
        if not 0 < error.alert < 256 or not str(error):
            raise AssertionError("an error without a reason") from error
        return None


def check(data: bytes) -> None:
    """Read it, with other bytes behind it, and cut short."""
    hello = _read(data)
    if hello is None:
        return
    if parse(data[: hello.size] + b"\x16junk") != hello:
        raise AssertionError("what follows matters")
    for end in (0, 1, 4, 5, hello.size // 2, hello.size - 1):
        if parse(data[:end]) is not None:
            raise AssertionError(f"{end} of {hello.size} bytes are enough")
    judged = _openssl_name(data[: hello.size])
    if judged is not None and judged.lower().removesuffix(".") != hello.sni:
        raise AssertionError(f"OpenSSL reads {judged!r}, we read {hello.sni!r}")


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Cut it over more records, or change bytes and correct the lengths around them."""
    if len(data) < 50:
        return data + rng.randbytes(4)
    if rng.random() < 0.3:
        return _split(data, rng.randint(1, len(data) - 6))
    body = bytearray(data[9:])
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(body))
        match rng.randint(0, 3):
            case 0:
                body[at] = rng.choice([0, 1, 16, 43, 255, rng.randrange(256)])
            case 1:
                body[at:at] = rng.choice(WORDS)
            case 2:
                del body[at : at + rng.randint(1, 5)]
            case _:
                body += rng.choice(
                    [b"\x00\x10\x00\x05\x00\x03\x02h2", b"\x00\x00\x00\x06\x00\x04\x00\x00\x01b"]
                )
    size = len(body)
    return b"\x16\x03\x01" + (size + 4).to_bytes(2, "big") + b"\x01" + size.to_bytes(3, "big") + body
