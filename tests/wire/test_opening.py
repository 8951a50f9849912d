"""Openings: written, and collected from pieces of every size."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.wire.dialect import MAX_DEPTH
from portway.wire.opening import (
    MAX_BODY,
    RPC_TYPES,
    Collector,
    JsonScanner,
    Opening,
    StreamType,
    pack_opening,
    read_proxy,
)


def collect(raw: bytes, *cuts: int) -> tuple[Opening | None, bytes]:
    """Feed `raw` cut at `cuts`; return the opening and what was left behind it."""
    collector = Collector()
    edges = [0, *sorted(cut for cut in cuts if cut <= len(raw)), len(raw)]
    for start, stop in pairwise(edges):
        used = collector.take(memoryview(raw)[start:stop])
        if collector.opening is not None:
            return collector.opening, raw[start + used :]
        assert used == stop - start
        assert collector.held <= MAX_BODY + 1
    return None, b""


def test_openings_are_the_documented_bytes() -> None:
    assert pack_opening(StreamType.HEARTBEAT) == b"\xff\xff\xff\xff"
    assert pack_opening(StreamType.AUTH, b"{}") == b"\0\0\0\0{}"
    assert pack_opening(StreamType.PROXY, b"{}") == b"\0\0\0\x03\x02\0\0\0\0\0\0\0{}"


@pytest.mark.row("S24")
def test_the_length_of_a_proxy_header_is_little_endian() -> None:
    assert pack_opening(StreamType.PROXY, b"x" * 258)[4:12] == bytes([2, 1, 0, 0, 0, 0, 0, 0])


def test_the_types_of_requests() -> None:
    assert {0, 1, 2, 4, 5, 6, 7, 8, 9, 10} == RPC_TYPES


@pytest.mark.row("A6", "S2")
@pytest.mark.parametrize(
    ("raw", "opening", "rest"),
    [
        (b"\0\0\0\x03\x02\0\0\0\0\0\0\0{}GET /", Opening(3, b"{}"), b"GET /"),
        (b"\0\0\0\x03\0\0\0\0\0\0\0\0", Opening(3, b""), b""),
        (b'\0\0\0\x01 {"a": "}\\"{"} ', Opening(1, b'{"a": "}\\"{"}'), b""),
        (b'\0\0\0\0{"a":[{}, "]"]}\n\r\t x', Opening(0, b'{"a":[{}, "]"]}'), b"x"),
        (b"\xff\xff\xff\xffabcd", Opening(0xFFFFFFFF), b"abcd"),
        (b"\0\0\0\x63junk", Opening(99), b"junk"),
    ],
)
def test_every_cut_gives_the_same_opening(raw: bytes, opening: Opening, rest: bytes) -> None:
    for cut in range(len(raw) + 1):
        for second in range(cut, len(raw) + 1):
            found, left = collect(raw, cut, second)
            assert found == opening
            # White space behind a request is dropped only where it came with the request.
            assert left.lstrip(b" \t\r\n") == rest


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (pack_opening(3, b"{}"), (Opening(3, b"{}"), 14)),
        (pack_opening(3, b"{}") + b"rest", (Opening(3, b"{}"), 14)),
        (pack_opening(3, b""), (Opening(3, b""), 12)),
        (pack_opening(3, b"x" * MAX_BODY), (Opening(3, b"x" * MAX_BODY), 12 + MAX_BODY)),
        (pack_opening(3, b"x" * (MAX_BODY + 1)), None),
        (pack_opening(3, b"{}")[:-1], None),
        (pack_opening(3, b"{}")[:11], None),
        (pack_opening(1, b"{}" * 9), None),
        (b"\0\0\0\x03" + b"\xff" * 8 + b"{}", None),
        (b"\0\0\0\x03" + b"\xff" * 7 + b"\x7f{}", None),
    ],
)
def test_a_whole_proxy_opening_is_read_at_once(raw: bytes, found: tuple[Opening, int] | None) -> None:
    assert read_proxy(memoryview(raw)) == found


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max((depth(inner) for inner in value.values()), default=0)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list):
        return 1 + max((depth(inner) for inner in value), default=0)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return 0


@pytest.mark.row("S16")
@given(
    st.dictionaries(st.text(), json_values, max_size=4),
    st.booleans(),
    st.lists(st.integers(0, 200), max_size=5),
)
def test_any_object_ends_where_it_ends(value: dict[str, object], ascii_only: bool, cuts: list[int]) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    found, rest = collect(b"\0\0\0\x01" + body + b'{"next":1}', *cuts)
    assert found is not None
    if depth(value) > MAX_DEPTH:
        assert found.error
    else:
        assert found == Opening(1, body)
        assert rest == b'{"next":1}'


def test_no_byte_is_looked_at_twice() -> None:
    scanner = JsonScanner()
    buffer = bytearray(b'{"a":"')
    for _ in range(1000):
        buffer += b"x\\"
        assert scanner.scan(buffer) == -1
        buffer += b'"'
    assert scanner.scan(buffer) == -1
    buffer += b'"}'
    assert scanner.scan(buffer) == len(buffer)


@pytest.mark.row("S16")
@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"[1]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"}", "not a JSON object"),
        (b"\xff", "not a JSON object"),
        (b'{"a":' * (MAX_DEPTH + 1), "deeper than 16"),
        (b'{"a":"' + b"x" * MAX_BODY, "longer than 65536"),
        (b'{"a":"' + b"x" * MAX_BODY + b'"}', "longer than 65536"),
        (b" " * (MAX_BODY + 1), "longer than 65536"),
    ],
)
def test_a_bad_request_is_told_and_no_more_is_kept(body: bytes, error: str) -> None:
    for step in (len(body), 1000, 4096):
        collector = Collector()
        view = memoryview(b"\0\0\0\x01" + body)
        while view and collector.opening is None:
            used = collector.take(view[:step])
            assert used == len(view[:step])
            view = view[step:]
        assert collector.opening is not None
        assert error in collector.opening.error
        assert collector.opening.body == b""
        assert collector.held == 0


def test_a_request_of_exactly_the_limit_is_taken() -> None:
    body = b'{"a":"' + b"x" * (MAX_BODY - 8) + b'"}'
    assert len(body) == MAX_BODY
    assert collect(b"\0\0\0\x01" + body, 5, 1000) == (Opening(1, body), b"")


@pytest.mark.parametrize("length", [MAX_BODY + 1, 1 << 40, -1])
def test_a_proxy_header_of_an_absurd_length_is_told_at_once(length: int) -> None:
    raw = b"\0\0\0\x03" + length.to_bytes(8, "little", signed=True)
    found, _ = collect(raw + b"{}", 6)
    assert found is not None
    assert str(length) in found.error
