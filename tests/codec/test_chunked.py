"""The chunk scanner: stops exactly at the end, wherever the pieces are cut, and refuses the rest."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.codec.chunked import MAX_LINE, MAX_TRAILER_FIELDS, MAX_TRAILERS, ChunkScanner
from portway.errors import HttpError


def encoded(chunks: list[bytes], trailers: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + trailers + b"\r\n"


def scan(pieces: list[bytes], scanner: ChunkScanner) -> tuple[bytes, bytes]:
    """Feed all pieces; return what belonged to the body and what did not."""
    body, tail = b"", b""
    for piece in pieces:
        if scanner.done:
            tail += piece
            continue
        k = scanner.scan(memoryview(piece))
        assert k == len(piece) or scanner.done
        body += piece[:k]
        tail += piece[k:]
    return body, tail


def cut(data: bytes, cuts: set[int]) -> list[bytes]:
    marks = [0, *sorted(mark for mark in cuts if mark < len(data)), len(data)]
    return [data[a:b] for a, b in pairwise(marks)]


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    st.sampled_from([b"", b"X: y\r\n", b"A: b\r\nC:\r\n"]),
    st.binary(max_size=20),
    st.sets(st.integers(1, 300), max_size=20),
)
def test_the_end_is_found_wherever_the_pieces_are_cut(
    chunks: list[bytes], trailers: bytes, tail: bytes, cuts: set[int]
) -> None:
    whole = encoded(chunks, trailers)
    scanner = ChunkScanner()
    assert scan(cut(whole + tail, cuts), scanner) == (whole, tail)
    assert scanner.done


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.sets(st.integers(1, 200), max_size=9))
def test_the_payload_is_the_data_alone(chunks: list[bytes], cuts: set[int]) -> None:
    scanner = ChunkScanner()
    payload: list[bytes] = []
    for piece in cut(encoded(chunks, b"X: y\r\n"), cuts):
        scanner.scan(memoryview(piece), payload)
    assert b"".join(payload) == b"".join(chunks)


@pytest.mark.parametrize(
    "body",
    [
        b"5;a\r\nhello\r\n0\r\n\r\n",
        b'5;a=b;c="d \\" e"\r\nhello\r\n0;last\r\n\r\n',
        b"00005\r\nhello\r\n000\r\n\r\n",
        b"A\r\n0123456789\r\n0\r\n\r\n",
    ],
)
def test_what_the_grammar_allows_is_taken(body: bytes) -> None:
    assert scan([body, b"GET"], ChunkScanner()) == (body, b"GET")
    assert scan([bytes([byte]) for byte in body], ChunkScanner()) == (body, b"")


@pytest.mark.parametrize(
    "body",
    [
        b"5\nhello\r\n",
        b"5\r\nhello\n0\r\n",
        b"5\r\nhelloX\r\n",
        b"5\r\nhello\r\r",
        b"5 \r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"-1\r\n",
        b"0x5\r\nhello\r\n",
        b"5_0\r\n",
        b"g\r\n",
        b"\r\n",
        b";a\r\n",
        b"1000000000000000\r\n",
        b"5;\r\nhello\r\n",
        b"5;a=\r\nhello\r\n",
        b'5;a="\r\nhello\r\n',
        b"5;a\rb\r\nhello\r\n",
        b"5;a\nb\r\nhello\r\n",
        b"5 ;a\r\nhello\r\n",
        b"0\r\nX\r\n\r\n",
        b"0\r\nX : y\r\n\r\n",
        b"0\r\n folded\r\n\r\n",
        b"0\r\nX: y\n\r\n\r\n",
        b"0\r\nX: a\x00\r\n\r\n",
        b"0\r\nContent-Length: 5\r\n\r\n",
        b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"0\r\nHost: b\r\n\r\n",
        b"0\r\nX_Forwarded_For: b\r\n\r\n",
        b"0\r\nNgrok-Auth-User: b\r\n\r\n",
        b"0\r\n" + b"X: y\r\n" * (MAX_TRAILER_FIELDS + 1) + b"\r\n",
        b"0\r\nX: " + b"y" * MAX_TRAILERS,
        b"5;a=" + b"y" * MAX_LINE,
        (b"1;a=" + b"y" * 1000 + b"\r\nx\r\n") * 20,
    ],
)
def test_what_is_malformed_is_refused(body: bytes) -> None:
    for pieces in ([body], [bytes([byte]) for byte in body]):
        with pytest.raises(HttpError) as caught:
            scan(pieces, ChunkScanner(502))
        assert caught.value.status == 502


def test_it_fails_at_the_byte_that_is_wrong() -> None:
    scanner = ChunkScanner()
    with pytest.raises(HttpError):
        scanner.scan(b"GET ")
    assert "rest=0" in repr(scanner)


def test_a_large_chunk_costs_no_memory() -> None:
    scanner = ChunkScanner()
    assert scanner.scan(b"fffffffffffff\r\n") == 15
    piece = memoryview(bytes(1 << 20))
    assert scanner.scan(piece) == 1 << 20
    assert not scanner.done


@given(st.lists(st.binary(max_size=30), max_size=8))
def test_any_bytes_give_a_place_or_the_error(pieces: list[bytes]) -> None:
    try:
        scan(pieces, ChunkScanner())
    except HttpError as error:
        assert error.status == 400  # noqa: PT017 - either outcome is right
