"""Layout, numbers and ids, compared with bytes written by hand."""

import pytest

from portway.wire import frames
from portway.wire.frames import ErrorCode, FrameType, Role


@pytest.mark.row("S3", "A1")
def test_each_end_skips_its_lowest_id() -> None:
    assert (Role.AGENT.first_id, Role.SERVICE.first_id) == (3, 2)
    assert (Role.AGENT.parity, Role.SERVICE.parity) == (1, 0)


def test_frames_are_the_documented_bytes() -> None:
    assert frames.fin(3) == bytes.fromhex("00000011 00000003")
    assert frames.rst(2, 6) == bytes.fromhex("00000400 00000002 00000006")
    assert frames.wndinc(5, 0x20000) == bytes.fromhex("00000420 00000005 00020000")
    assert frames.pack_head(4 << 8 | frames.SYN_WORD, 3) == bytes.fromhex("00000412 00000003")


@pytest.mark.row("A12")
def test_the_length_of_a_goaway_counts_its_fixed_part() -> None:
    assert frames.goaway(4, 0, b"") == bytes.fromhex("00000830 00000000 00000004 00000000")
    assert frames.goaway(0, 8, b"abc") == bytes.fromhex("00000b30 00000000 00000000 00000008") + b"abc"


def test_the_numbers_of_the_protocol() -> None:
    assert [int(kind) for kind in FrameType] == [0, 1, 2, 3]
    assert [int(code) for code in ErrorCode] == list(range(16))
    assert ErrorCode.STREAM_CANCELLED == 6
    assert ErrorCode.SESSION_CLOSED == 14
    assert (frames.INITIAL_WINDOW, frames.RAISED_WINDOW, frames.OWN_WINDOW) == (0x40000, 0x100000, 0x180000)
    assert frames.NEAR_WINDOW == 0x80000


def test_a_header_is_read_as_it_is_written() -> None:
    word, stream = frames.unpack_head(bytes.fromhex("ffff11 13 7fffffff".replace(" ", "")), 0)
    assert (word >> 8, word >> 4 & 15, word & 15, stream) == (0xFFFF11, 1, 3, frames.MAX_STREAM_ID)
