"""The judge: what httptools refuses and we accept is a failure; exceptions are listed with reasons.

httptools (llhttp) is the parser of uvicorn and, in C, of Node: if it refuses what we let through, an
upstream may read the same bytes differently from us. The reverse, our being stricter, is wanted.
"""

import httptools
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.kit.http_judge import KNOWN_METHODS, judge_refuses

from portway.codec.chunked import ChunkScanner
from portway.codec.http1 import Kind, find_head, parse_request, parse_response
from portway.errors import HttpError

SEEDS = [
    b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
    b"GET /p?q=1 HTTP/1.1\r\nHost: a.example:80\r\nConnection: keep-alive\r\nAccept: */*\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: v\r\n\r\n",
    b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
]
ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
]
PIECES = [
    *(bytes([byte]) for byte in b'\r\n \t:\0\x7f\x80\xff\x0b,;="05a+-#?/\\@'),
    *b"0x|%00|//|[::1]|chunked|identity|gzip, |close|HTTP/1.1|HTTP/1.0|Transfer-Encoding:".split(b"|"),
    *(
        line + b"\r\n"
        for line in b"Content-Length: 5|Content-Length: 6|Transfer-Encoding: chunked".split(b"|")
    ),
    *(line + b"\r\n" for line in b"|Host: b|Connection: close| folded|X: y|Upgrade: h2c|0\r\n|5".split(b"|")),
]


@st.composite
def mutations(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """Draw a message with a few bytes put in, cut out, written over or doubled."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        until = min(len(data), at + draw(st.integers(0, 6)))
        piece = draw(st.one_of(st.sampled_from(PIECES), st.binary(min_size=0, max_size=3)))
        data = draw(
            st.sampled_from(
                [data[:at] + piece + data[at:], data[:at] + piece + data[until:], data[:until] + data[at:]]
            )
        )
    return data


def accepted(data: bytes) -> bytes | None:
    """Return the bytes of the first request if we serve it whole, else None."""
    try:
        end = find_head(data)
        if end < 0:
            return None
        request = parse_request(data[:end])
        if request.framing.kind is Kind.LENGTH:
            return data[: end + request.framing.length] if len(data) >= end + request.framing.length else None
        if request.framing.kind is Kind.CHUNKED:
            scanner = ChunkScanner()
            end += scanner.scan(data[end:])
            return data[:end] if scanner.done else None
    except HttpError:
        return None
    return data[:end]


def answer_accepted(data: bytes) -> bytes | None:
    try:
        end = find_head(data)
        if end < 0:
            return None
        response = parse_response(data[:end], b"GET")
        if response.framing.kind is Kind.LENGTH:
            return (
                data[: end + response.framing.length] if len(data) >= end + response.framing.length else None
            )
        if response.framing.kind is Kind.CHUNKED:
            scanner = ChunkScanner(502)
            end += scanner.scan(data[end:])
            return data[:end] if scanner.done else None
    except HttpError:
        return None
    return data[:end]


@settings(max_examples=200, deadline=None)
@given(mutations(SEEDS))
@example(SEEDS[0])
def test_no_request_that_httptools_refuses_is_served(data: bytes) -> None:
    served = accepted(data)
    if served is None:
        return
    if served.removeprefix(b"\r\n").split(b" ", 1)[0] not in KNOWN_METHODS:
        return
    assert not judge_refuses(httptools.HttpRequestParser, served), served


@settings(max_examples=150, deadline=None)
@given(mutations(ANSWERS))
def test_no_answer_that_httptools_refuses_is_relayed(data: bytes) -> None:
    served = answer_accepted(data)
    if served is not None:
        assert not judge_refuses(httptools.HttpResponseParser, served), served


def test_the_judge_and_we_accept_what_is_right() -> None:
    for data in SEEDS:
        assert accepted(data) == data
        assert not judge_refuses(httptools.HttpRequestParser, data)
    for data in ANSWERS:
        assert answer_accepted(data) == data
        assert not judge_refuses(httptools.HttpResponseParser, data)
    assert judge_refuses(httptools.HttpRequestParser, b"GET / HTTP/1.1\r\nHost : a\r\n\r\n")
