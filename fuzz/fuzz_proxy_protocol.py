"""Any bytes give a PROXY header, None or a ProxyProtocolError; no part of a header is one; and what was read
can be written and read again to the same addresses.
"""

from typing import Final

from portway.codec.proxy_protocol import MAX_V1, MAX_V2, ProxyProtocolError, decode, encode

SEEDS: Final = [
    encode(version, source, destination)
    for version in (1, 2)
    for source, destination in (
        ("203.0.113.7:51000", "192.0.2.1:443"),
        ("[2001:db8::1]:9", "[::1]:80"),
        ("203.0.113.7:1", "[::1]:2"),
        ("", ""),
    )
]
WORDS: Final = [
    b"PROXY ",
    b"TCP4 ",
    b"TCP6 ",
    b"UNKNOWN",
    b"\r\n",
    b" ",
    b"0",
    b"::",
    b"ffff:",
    b"%1",
    b"65536",
    *SEEDS,
]
LONGEST: Final = 512


def check(data: bytes) -> None:
    """Read it, cut short, and write it anew."""
    try:
        header = decode(data)
    except ProxyProtocolError:
        return
    if header is None:
        if len(data) >= max(MAX_V1, MAX_V2):
            raise AssertionError("more is awaited than a header may have")
        return
    if decode(data[: header.size]) != header:
        raise AssertionError("what follows matters")
    for end in range(header.size):
        if decode(data[:end]) is not None:
            raise AssertionError(f"{end} of {header.size} bytes are enough")
    if header.source is None or header.destination is None:
        return
    again = decode(encode(header.version, header.source, header.destination))
    if again is None or (again.source, again.destination) != (header.source, header.destination):
        raise AssertionError("changed its meaning")
