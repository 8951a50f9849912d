"""Heads of HTTP/2 as those of HTTP/1 and back. What is refused: tests/edge/test_http2_attacks.py."""

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portway.codec.headers import Forwarding, request_tail
from portway.codec.http1 import CHUNKED, NO_BODY, Framing, Kind, RequestHead, parse_response
from portway.codec.http2 import Fields
from portway.codec.http2_heads import (
    ADDED,
    accepted,
    answer_fields,
    read_answer,
    read_request,
    read_trailers,
    request_fields,
    trailer_fields,
)
from portway.codec.repeated import RequestReader
from portway.errors import HttpError

if TYPE_CHECKING:
    from collections.abc import Callable

PSEUDO: Fields = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"app.example"),
    (b":path", b"/a"),
]

NAMES = st.from_regex(rb"[a-z][a-z0-9\-]{0,10}", fullmatch=True).filter(
    lambda name: name not in {b"te", b"host", b"cookie", b"expect", b"upgrade", b"connection"}
)
VALUES = st.from_regex(rb"([!-~\x80-\xff]([\t -~\x80-\xff]{0,20}[!-~\x80-\xff])?)?", fullmatch=True)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=20))
def test_fields_come_out_as_they_went_in(fields: Fields) -> None:
    """Through both translations, in order, less what the service adds or keeps for itself."""
    fields = [(b"x-" + name, value) for name, value in fields]
    head = read_request(PSEUDO + fields, ended=True)
    raw = head.method + b" " + head.target + request_tail(head, Forwarding("1.2.3.4", "https"))
    again = request_fields(raw, b"https")
    assert again[:4] == PSEUDO
    assert [field for field in again[4:] if not field[0].startswith(b"x-forwarded-")] == [
        field for field in fields if not field[0].startswith(b"x-forwarded-")
    ]


FIELDS = st.lists(
    st.sampled_from([
        (b"a", b"1"), (b"a", b"2"), (b"cookie", b"x=1"), (b"cookie", b"y=2"), (b"te", b"trailers"),
        (b"content-length", b"3"), (b"content-length", b"x"), (b"host", b"app.example"), (b"b", b"\0"),
        (b"expect", b"100-continue"),
    ]),
    max_size=4,
)  # fmt: skip
REQUEST = st.tuples(
    st.sampled_from([b"GET", b"POST", b"OPTIONS", b"B@D"]), st.sampled_from([b"/a", b"/b?c", b"*", b"x"]),
    st.sampled_from([b"app.example", b"b.example:8", b"?"]), st.booleans(), FIELDS,
)  # fmt: skip
UPGRADE: Fields = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *PSEUDO[1:]]


@settings(max_examples=40, deadline=None)
@given(st.lists(REQUEST, max_size=6))
def test_requests_that_repeat_are_read_as_if_they_were_the_first(
    requests: list[tuple[bytes, bytes, bytes, bool, Fields]],
) -> None:
    """A connection's reader remembers the last head; it says nothing else because of that."""
    read = RequestReader(20 + ADDED).read

    def outcome(fields: Fields, how: "Callable[[bytes], RequestHead] | None", *, ended: bool) -> object:
        try:
            return read_request(fields, ended=ended, key=b"k", most=20, read=how)
        except HttpError as error:
            return error.status, error.reason

    for method, path, authority, ended, more in requests:
        fields = [
            (b":method", method), (b":scheme", b"https"), (b":authority", authority), (b":path", path), *more,
        ]  # fmt: skip
        for each, whole in ((fields, ended), (fields, ended), (UPGRADE, False)):
            assert outcome(each, read, ended=whole) == outcome(each, None, ended=whole)


@given(st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=8)), max_size=4), st.booleans())
def test_no_field_can_become_two(fields: Fields, ended: bool) -> None:
    """Whatever bytes come, a head that is accepted has exactly the fields it said."""
    try:
        head = read_request(PSEUDO + fields, ended=ended)
    except HttpError:
        return
    found = [(name.lower(), value) for name, value in head.headers if name != b"host"]
    framing = (
        []
        if ended or any(name == b"content-length" for name, _ in fields)
        else [(b"transfer-encoding", b"chunked")]
    )
    if not any(name == b"cookie" for name, _ in fields):
        assert sorted(found) == sorted([field for field in fields if field[0] != b"host"] + framing)


@pytest.mark.parametrize(
    ("more", "ended", "framing"),
    [
        ([], True, NO_BODY),
        ([], False, CHUNKED),
        ([(b"content-length", b"5")], False, Framing(Kind.LENGTH, 5)),
        ([(b"content-length", b"0")], True, NO_BODY),
    ],
)
def test_the_framing_of_a_request(more: Fields, ended: bool, framing: Framing) -> None:
    assert read_request(PSEUDO + more, ended=ended).framing == framing


def test_pieces_of_a_cookie_are_one() -> None:
    head = read_request([*PSEUDO, (b"cookie", b"a=1"), (b"x", b"1"), (b"cookie", b"b=2")], ended=True)
    assert head.plain == [b"x:1", b"cookie:a=1; b=2"]


def test_an_extended_connect_is_an_upgrade() -> None:
    fields = [(b":method", b"CONNECT"), (b":protocol", b"WebSocket"), *PSEUDO[1:]]
    head = read_request(fields, ended=False, key=b"k")
    assert (head.method, head.upgrade, head.framing) == (b"GET", b"websocket", NO_BODY)
    assert b"sec-websocket-key:k" in head.plain
    raw = head.method + b" " + head.target + request_tail(head, Forwarding("1.2.3.4", "https"))
    again = request_fields(raw, b"https")
    assert again[:5] == [(b":method", b"CONNECT"), *PSEUDO[1:], (b":protocol", b"WebSocket")]
    assert b"sec-websocket-key" not in dict(again)


@pytest.mark.parametrize(
    ("more", "ended"),
    [([(b":protocol", b"websocket")], False), ([(b":method", b"CONNECT")], True)],
    ids=["a protocol without CONNECT", "ended"],
)
def test_a_malformed_upgrade(more: Fields, ended: bool) -> None:
    fields = dict(PSEUDO) | {b":protocol": b"websocket"} | dict(more)
    with pytest.raises(HttpError) as caught:
        read_request(list(fields.items()), ended=ended)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("status", "more", "method", "ended", "framing"),
    [
        (200, [], b"GET", False, CHUNKED),
        (200, [], b"GET", True, NO_BODY),
        (200, [(b"content-length", b"5")], b"GET", False, Framing(Kind.LENGTH, 5)),
        (200, [(b"content-length", b"5")], b"HEAD", True, NO_BODY),
        (204, [], b"GET", True, NO_BODY),
        (204, [], b"GET", False, NO_BODY),
        (304, [(b"content-length", b"5")], b"GET", True, NO_BODY),
        (103, [], b"GET", False, NO_BODY),
    ],
)
def test_the_framing_of_an_answer(
    status: int, more: Fields, method: bytes, ended: bool, framing: Framing
) -> None:
    head = read_answer([(b":status", b"%d" % status), *more], method, ended=ended)
    assert (head.status, head.framing) == (status, framing)
    expected = dict(more) or ({b"content-length": b"0"} if (status, ended) == (200, True) else {})
    assert dict(answer_fields(head)) == {b":status": b"%d" % status, **expected}


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [(b":status", b"20")],
        [(b":status", b"2000")],
        [(b":status", b"200 OK")],
        [(b":status", b"200\r\nx: y")],
        [(b":status", b"101")],
        [(b":status", b"200"), (b":path", b"/")],
        [(b":status", b"200"), (b"Upper", b"1")],
        [(b":status", b"200"), (b"connection", b"close")],
        [(b":status", b"200"), (b"x", b"a\r\nb: c")],
        [(b":status", b"200"), (b"content-length", b"1"), (b"content-length", b"2")],
    ],
)
def test_malformed_answers(fields: Fields) -> None:
    with pytest.raises(HttpError) as caught:
        read_answer(fields, b"GET", ended=True)
    assert caught.value.status == 502


def test_an_answer_of_http1_loses_what_is_of_its_connection() -> None:
    hop = b"Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nTransfer-Encoding: chunked\r\n"
    raw = b"HTTP/1.1 200 OK\r\n" + hop + b"X-Stay: 2\r\n\r\n"
    assert answer_fields(parse_response(raw, b"GET")) == [(b":status", b"200"), (b"x-stay", b"2")]


def test_an_accepted_upgrade_is_200_and_back() -> None:
    lines = b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\nX: 1\r\n\r\n"
    raw = b"HTTP/1.1 101 X\r\n" + lines
    fields = answer_fields(parse_response(raw, b"GET"))
    assert fields == [(b":status", b"200"), (b"x", b"1")]
    head = read_answer(fields, b"GET", ended=False, upgrade=b"websocket")
    assert (head.status, head.upgrade) == (101, b"websocket")
    assert read_answer(fields, b"GET", ended=True, upgrade=b"websocket").status == 200


def test_the_proof_of_a_handshake() -> None:
    """The example of RFC 6455 §1.3."""
    assert accepted(b"dGhlIHNhbXBsZSBub25jZQ==") == b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_trailers() -> None:
    fields: Fields = [(b"grpc-status", b"0"), (b"x", b"")]
    assert trailer_fields(read_trailers(fields, 502)) == fields
    assert read_trailers([], 502) == []
