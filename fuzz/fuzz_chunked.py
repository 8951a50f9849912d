"""The end of a chunked body, its data and its refusal are the same however the bytes are cut, and httptools
refuses nothing that is accepted.
"""

import random
from typing import Final

import httptools
from tests.kit.http_judge import judge_refuses

from portway.codec.chunked import ChunkScanner
from portway.errors import HttpError

SEEDS: Final = [
    b"\x00\x00" + body
    for body in (
        b"5\r\nhello\r\n0\r\n\r\n",
        b'5;a="b"\r\nhello\r\n0\r\nT: v\r\n\r\n',
        b"0005;x=y;z\r\nhello\r\nA\r\n0123456789\r\n0;last\r\n\r\nGET / HTTP/1.1\r\n",
        b"1\r\na\r\n" * 9 + b"0\r\nX-T:1\r\nY:2\r\n\r\n",
    )
]
WORDS: Final = [
    b"\r\n", b"\n", b"\r", b"0\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n", b";", b"=", b'"', b"\\", b" ", b"\t",
    b"\0", b"\xff", b"fffffffffffffff", b"1000000000000000", b"0x", b"-1", b"+1", b"T: v\r\n",
    b"Content-Length: 1\r\n",
]  # fmt: skip

_HEAD: Final = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def _scan(pieces: list[bytes]) -> tuple[int, bool, bytes]:
    """Return the end, -1 when refused, whether it is one, and the data until there."""
    scanner = ChunkScanner()
    payload: list[bytes] = []
    pos = 0
    try:
        for piece in pieces:
            used = scanner.scan(memoryview(piece), payload)
            pos += used
            if scanner.done:
                break
            if used != len(piece):
                raise AssertionError("stopped before the end")
    except HttpError as error:
        if error.status != 400:
            raise AssertionError("the wrong status") from error
        return -1, False, b""
    return pos, scanner.done, b"".join(payload)


def check(data: bytes) -> None:
    """The first two bytes choose the cuts."""
    if len(data) < 2:
        return
    rng = random.Random(data[:2])
    body = data[2:]
    pieces: list[bytes] = []
    at = 0
    while at < len(body):
        step = rng.choice([1, 1, 2, 3, 9, 100])
        pieces.append(body[at : at + step])
        at += step
    whole = _scan([body])
    for cut in (pieces, [body[i : i + 1] for i in range(len(body))]):
        if _scan(cut) != whole:
            raise AssertionError(f"whole {whole}, cut {_scan(cut)}")
    end, done, _ = whole
    if done and judge_refuses(httptools.HttpRequestParser, _HEAD + body[:end]):
        raise AssertionError("httptools refuses it")
