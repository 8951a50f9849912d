"""The reader: frames in pieces, what is skipped, and what breaks the session."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kit.pair import Side, agent, data, frame, goaway, rst, service, wndinc

from portway.errors import RemoteProtocolError
from portway.wire import StreamType, pack_opening

PROXY = pack_opening(StreamType.PROXY, b"{}")


def script() -> bytes:
    """A bit of everything for an agent with streams 2 and 4."""
    return b"".join(
        [
            data(2, PROXY + b"one", syn=True),
            wndinc(2, 5),
            frame(9, 15, 0x7FFFFFFF, b"a type of the future"),
            data(4, PROXY, syn=True),
            data(2, b"two"),
            data(2),
            data(4, b"x" * 300, fin=True),
            rst(999, 1),
            wndinc(999, 1),
            frame(15, 0, 0, b""),
            data(2, b"three"),
            data(2, fin=True),
            rst(4, 7),
        ]
    )


def outcome(side: Side) -> object:
    return (
        [(stream.id, bytes(ear.received), ear.ended, ear.resets) for stream, ear in side.arrived],
        side.frames(),
        side.connection.bytes_in,
    )


def test_the_script_means_what_it_says() -> None:
    side = agent()
    side.feed(script())
    one, two = side.arrived
    assert one[1].received == b"onetwothree"
    assert one[1].ended
    assert one[0].credit == 262_144 + 5
    assert two[1].received == b"x" * 300
    assert two[1].resets == [7]
    assert [(frame.stream, frame.flags) for frame in side.frames()] == [(4, 1)]


@given(st.lists(st.integers(0, len(script())), max_size=12))
def test_cuts_change_nothing(cuts: list[int]) -> None:
    whole, pieces = agent(), agent()
    raw = script()
    whole.feed(raw)
    edges = [0, *sorted(cuts), len(raw)]
    pieces.feed(*[raw[start:stop] for start, stop in pairwise(edges)])
    assert outcome(pieces) == outcome(whole)


@pytest.mark.parametrize("step", range(1, 25))
def test_pieces_of_one_size_change_nothing(step: int) -> None:
    whole, pieces = agent(), agent()
    raw = script()
    whole.feed(raw)
    pieces.feed(*[raw[start : start + step] for start in range(0, len(raw), step)])
    assert outcome(pieces) == outcome(whole)


def test_a_body_is_handed_on_before_it_is_complete() -> None:
    side = service()
    _, ear = side.open()
    raw = data(2, b"abcdefgh", fin=True)
    side.feed(raw[:11])
    assert ear.received == b"abc"
    assert not ear.ended
    side.feed(raw[11:12], raw[12:])
    assert ear.received == b"abcdefgh"
    assert ear.ended


def test_only_a_broken_head_is_kept() -> None:
    side = service()
    side.open()
    view = memoryview(bytearray(data(2, bytes(1000))))
    for start in range(0, len(view), 100):
        side.connection.feed(view[start : start + 100], 0.0)
    view.release()  # nothing holds on to the driver's buffer


@pytest.mark.row("A16")
@pytest.mark.parametrize("kind", range(4, 16))
def test_unknown_types_are_skipped(kind: int) -> None:
    side = service()
    _, ear = side.open()
    side.flush_all()
    side.feed(frame(kind, 15, 2, bytes(range(100))), data(2, b"next"))
    assert ear.received == b"next"
    assert side.frames() == []


def test_flags_count_on_data_only() -> None:
    side = service()
    stream, ear = side.open()
    side.flush_all()
    side.feed(frame(2, 15, 2, (100).to_bytes(4, "big")))
    side.feed(frame(1, 0b1100, 2, b"reserved flags"))
    assert not ear.ended
    assert stream.state.name == "OPEN"
    assert ear.received == b"reserved flags"
    side.feed(frame(0, 15, 2, (7).to_bytes(4, "big")))
    assert ear.resets == [7]


# -- what breaks the session


@pytest.mark.row("S8")
@pytest.mark.parametrize(
    ("raw", "code", "text"),
    [
        (frame(0, 0, 3, b"\0\0\0\0\0"), 8, "RST of length 5"),
        (frame(0, 0, 3, b"\0\0\0") + b"\0", 8, "RST of length 3"),
        (frame(2, 0, 3, b"\0\0\0\1\0"), 8, "WNDINC of length 5"),
        (frame(2, 0, 3, b"") + b"\0\0\0\0", 8, "WNDINC of length 0"),
        (wndinc(3, 0), 1, "WNDINC of 0"),
        (wndinc(3, 0x80000000), 1, "WNDINC of 0"),
        (wndinc(0, 1), 1, "illegal stream id 0"),
        (rst(0, 1), 1, "illegal stream id 0"),
        (data(0, b"x"), 1, "illegal stream id 0"),
        (data(0, b"x", syn=True), 1, "illegal stream id 0"),
        (data(0, fin=True), 1, "illegal stream id 0"),
        (data(0x80000003, b"x"), 1, "illegal stream id 2147483651"),
        (data(0x80000003, b"x", syn=True), 1, "illegal stream id 2147483651"),
        (wndinc(0x80000003, 1), 1, "illegal stream id 2147483651"),
        (data(2, b"x", syn=True), 1, "SYN with id 2 of the wrong parity"),
        (data(3, b"x", syn=True) * 2, 1, "SYN on open stream 3"),
    ],
)
def test_broken_frames_end_the_session_with_code_and_text(raw: bytes, code: int, text: str) -> None:
    for pieces in ([raw], [raw[n : n + 1] for n in range(len(raw))]):
        side = service()
        error = side.feed_faulty(*pieces, b"")
        assert (error.code, str(error)) == (code, text)
        [last] = side.frames()
        assert (last.type, last.stream, last.body[4:8], last.body[8:]) == (
            3,
            0,
            code.to_bytes(4, "big"),
            text.encode(),
        )
        assert side.closed == [error]
        side.feed(data(3, b"x", syn=True), raw)  # later bytes are ignored
        assert side.frames() == []


def test_between_fault_and_goaway_nothing_is_read() -> None:
    side = service()
    with pytest.raises(RemoteProtocolError):
        side.feed(wndinc(3, 0) + data(5, pack_opening(StreamType.HEARTBEAT), syn=True))
    side.feed(data(5, pack_opening(StreamType.HEARTBEAT), syn=True))
    assert side.openings == []


@pytest.mark.row("S9")
@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (goaway(2, 0, b"no error"), "code 0: no error"),
        (goaway(2, 8, b"\xff" * 5000), "code 8: \ufffd"),
        (frame(3, 0, 0), "ended the session"),
        (frame(3, 0, 0, b"abc"), "ended the session"),
        (frame(3, 0, 77, b""), "ended the session"),
        (b"\xff\xff\xff\x30\0\0\0\0", "ended the session"),
        (b"\0\0\x0d\x30\0\0\0\0\0\0\0\0\0\0\0\1invalid frame", "code 1: invalid frame"),
    ],
)
def test_any_goaway_ends_the_session(raw: bytes, told: str) -> None:
    side = service()
    _, ear = side.open()
    side.flush_all()
    side.feed(raw + data(2, b"after"))
    assert side.connection.closed
    assert ear.resets == [14]
    assert ear.received == b""
    assert told in str(side.closed[0])
    assert side.frames() == []
