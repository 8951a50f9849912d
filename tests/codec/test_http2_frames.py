"""Frames of HTTP/2, held to the library hyperframe, and what is wrong in one alone."""

import pytest
from hyperframe.frame import Frame, HeadersFrame, SettingsFrame

from portway.codec import http2_frames as frames
from portway.errors import RemoteProtocolError


def test_frames_are_those_of_the_library() -> None:
    values = {frames.MOST_STREAMS: 7, frames.STREAM_WINDOW: 1 << 20}
    written = frames.frame(frames.SETTINGS, 0, 0, frames.settings(values))
    assert written == SettingsFrame(0, settings=values).serialize()
    assert frames.read_settings(written[9:]) == values
    long = frames.frame(frames.DATA, frames.END_STREAM, frames.MOST, bytes(70_000))
    found, size = Frame.parse_frame_header(memoryview(long[:9]))
    assert (found.stream_id, size, found.flags) == (frames.MOST, 70_000, {"END_STREAM"})


@pytest.mark.parametrize("padding", [0, 1, 255])
@pytest.mark.parametrize("priority", [False, True])
def test_a_piece_of_a_head_is_what_is_left(padding: int, *, priority: bool) -> None:
    given = HeadersFrame(5, b"block", depends_on=3, stream_weight=9, pad_length=padding)
    given.flags |= {"PADDED"} | ({"PRIORITY"} if priority else set())
    raw = given.serialize()
    assert frames.block(5, raw[4], raw[9:]) == b"block"


@pytest.mark.parametrize(
    ("payload", "flags", "code"),
    [
        (b"", frames.PADDED, 6),
        (b"\x04abc", frames.PADDED, 1),
        (b"\xffabc", frames.PADDED, 1),
        (b"abcd", frames.WITH_PRIORITY, 6),
        (b"\0\0\0\x05\0", frames.WITH_PRIORITY, 1),  # depends on itself
        (b"\x80\0\0\x05\0", frames.WITH_PRIORITY, 1),
        (b"\x04abcdef", frames.PADDED | frames.WITH_PRIORITY, 6),
    ],
)
def test_heads_that_are_none(payload: bytes, flags: int, code: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        frames.block(5, flags, payload)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("values", "code"),
    [({2: 2}, 1), ({4: 1 << 31}, 3), ({5: 16_383}, 1), ({5: 1 << 24}, 1), ({8: 2}, 1)],
)
def test_settings_out_of_range(values: dict[int, int], code: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        frames.read_settings(frames.settings(values))
    assert caught.value.code == code


def test_settings_of_a_wrong_length() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        frames.read_settings(bytes(7))
    assert caught.value.code == 6
