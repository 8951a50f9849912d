"""Any bytes give a head or an HttpError, however they are cut; a head that is written anew reads as the same
message and as one only; and httptools refuses no head that is accepted.
"""

import random
from typing import TYPE_CHECKING, Final

import httptools
from tests.kit.http_judge import KNOWN_METHODS, judge_refuses

from portway.codec.headers import Forwarding, request_tail, response_head
from portway.codec.http1 import Kind, ResponseHead, find_head, parse_request, parse_response
from portway.codec.repeated import AnswerReader, RequestReader
from portway.errors import HttpError

if TYPE_CHECKING:
    from collections.abc import Callable

_TEXTS: Final = [
    b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, X\r\nX: y\r\n\r\n",
    b"GET /p HTTP/1.1\r\nHost: a.example\r\n\r\nGET /q HTTP/1.1\r\nHost: a.example\r\n\r\n",
    b"POST /p?q HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n0\r\n\r\n",
    b"GET http://a/ HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"GET / HTTP/1.0\r\nHost: [::1]:9\r\nX-Forwarded-For: 1\r\nNgrok-X: 1\r\nX_Forwarded-Host: b\r\n\r\n",
    b"\r\nOPTIONS * HTTP/1.1\r\nHost: a.\r\nForwarded: for=1\r\nConnection: close\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nNgrok-Error-Code: x\r\n\r\nhello",
    b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.0 404 \r\nConnection: keep-alive\r\nContent-Length: 00\r\n\r\n",
    b"HTTP/1.1 426\r\nTransfer-Encoding: chunked\r\nConnection: upgrade, y\r\nUpgrade: a\r\nY: 1\r\n\r\n",
    # found by fuzzing, and mended
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade:\r\n\r\n",
]
SEEDS: Final = [b"\x00" + text for text in _TEXTS]
WORDS: Final = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\0", b"\xff", b",", b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 1\r\n", b"Content-Length: 0\r\n", b"Host: b\r\n", b"Connection: close\r\n", b"HTTP/1.1",
    b"HTTP/1.0", b"Upgrade: h2c\r\n", b"Connection: host\r\n",
    b"Connection: content-length, x-forwarded-for\r\n", b"http://", b"//",
    b"*", b"#", b"?", b"%00", b"identity", b"X-Forwarded-Host: c\r\n", b"CONNECT ",
    b"ngrok_error_code: 1\r\n", b"Expect: 100-continue\r\n",
]  # fmt: skip

_FORWARDING: Final = [Forwarding("203.0.113.7", "https"), Forwarding("::1", "http", trusted=False)]
_OURS: Final = (b"ngrok-", b"ngrok_")


def _head(data: bytes, cut: int) -> bytes | None:
    """Return the first head, None for none. In two pieces it ends at the same place or is refused early."""
    try:
        end = find_head(data)
    except HttpError:
        return None
    try:
        first = find_head(data[:cut])
        in_pieces = first if first >= 0 else find_head(data, min(cut, len(data)))
    except HttpError:
        _refused(data[:end])
        return None
    if in_pieces != end:
        raise AssertionError(f"a cut at {cut} moves the end from {end} to {in_pieces}")
    return data[:end] if end >= 0 else None


def _refused(raw: bytes) -> None:
    """What is refused before it is whole is refused whole."""
    parsers: list[Callable[[bytes], object]] = [parse_request, _parse_answer]
    for parse in parsers:
        try:
            parse(raw)
        except HttpError:
            continue
        raise AssertionError("refused in pieces, accepted whole")


def _parse_answer(raw: bytes) -> ResponseHead:
    return parse_response(raw, b"GET")


def _check_request(raw: bytes, forwarding: Forwarding, reader: RequestReader) -> None:
    try:
        head = parse_request(raw)
    except HttpError as error:
        try:
            other = reader.read(raw)
        except HttpError as second:
            if (second.status, second.reason) != (error.status, error.reason):
                raise AssertionError("the reader refuses it for another reason") from error
            return
        raise AssertionError(f"the reader takes what was refused: {other}") from error
    if reader.read(raw) != head or reader.read(raw) != head:
        raise AssertionError("the reader that remembers reads something else")
    written = b" ".join((head.method, head.target)) + request_tail(head, forwarding)
    if find_head(written) != len(written):
        raise AssertionError("more than one head is written")
    again = parse_request(written)
    for part in ("method", "target", "host", "port", "upgrade", "framing", "expect_continue", "authority"):
        if getattr(head, part) != getattr(again, part):
            raise AssertionError(f"changed its {part}: {written!r}")
    if any(name.lower().startswith(_OURS) for name, _ in again.headers):
        raise AssertionError("a field of ours is passed on")
    if b"x-forwarded-for" not in again.special or b"_" in b"".join(again.special):
        raise AssertionError("the upstream is not told who visits")
    if head.method in KNOWN_METHODS:
        if judge_refuses(httptools.HttpRequestParser, raw):
            raise AssertionError("httptools refuses it")
        if judge_refuses(httptools.HttpRequestParser, written):
            raise AssertionError("httptools refuses what we write")


def _check_response(raw: bytes, method: bytes, reader: AnswerReader) -> None:
    try:
        head = parse_response(raw, method)
    except HttpError as error:
        if error.status != 502:
            raise AssertionError("the wrong status") from error
        return
    if reader.read(raw, method) != head or reader.read(raw, method) != head:
        raise AssertionError("the reader that remembers reads something else")
    for keep_alive in (False, True):
        _check_written(head, response_head(head, keep_alive=keep_alive), method)
    if method == b"GET" and judge_refuses(httptools.HttpResponseParser, raw):
        raise AssertionError("httptools refuses it")


def _check_written(head: ResponseHead, written: bytes, method: bytes) -> None:
    if find_head(written) != len(written):
        raise AssertionError("more than one head is written")
    again = parse_response(written, method)
    if (head.status, head.reason, head.framing) != (again.status, again.reason, again.framing):
        raise AssertionError(f"changed its meaning: {written!r}")
    if any(name.lower().replace(b"_", b"-") == b"ngrok-error-code" for name, _ in again.headers):
        raise AssertionError("an upstream speaks for us")
    if again.framing.kind is Kind.CLOSE and again.keep_alive:
        raise AssertionError("its end would never come")


def check(data: bytes) -> None:
    """The first byte chooses the cut, the method and whether the visitor is trusted."""
    if not data:
        return
    mode, text = data[0], data[1:]
    request_reader, answer_reader = RequestReader(), AnswerReader()
    for _ in range(4):  # pipelined heads go through one reader
        raw = _head(text, mode)
        if raw is None:
            return
        _check_request(raw, _FORWARDING[mode & 1], request_reader)
        _check_response(raw, b"HEAD" if mode & 2 else b"GET", answer_reader)
        text = text[len(raw) :]


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Add, double, drop and change lines."""
    lines = data.split(b"\r\n")
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(lines))
        match rng.randint(0, 4):
            case 0:
                lines.insert(at + 1, rng.choice(rng.choice(_TEXTS).split(b"\r\n")))
            case 1:
                lines.insert(at, lines[rng.randrange(len(lines))])
            case 2 if len(lines) > 1:
                del lines[at]
            case 3:
                cut = rng.randint(0, len(lines[at]))
                lines[at] = lines[at][:cut] + rng.choice(WORDS) + lines[at][cut + rng.randint(0, 2) :]
            case _:
                lines[at] = lines[at].swapcase()
    return b"\r\n".join(lines)
