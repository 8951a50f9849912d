"""What a side of HTTP/2 says: heads in pieces, windows, and what is dropped behind an end."""

import pytest
from hyperframe.frame import Frame, SettingsFrame, WindowUpdateFrame
from tests.codec.test_http2 import REQUEST, Owner, carry, pair

from portway.codec import http2_frames as frames
from portway.codec.http2 import Http2
from portway.codec.http2_sending import REMEMBERED


def said(core: Http2) -> list[tuple[str, int, int]]:
    """Return kind, stream and length of the frames that go out."""
    data, found = memoryview(core.output()), list[tuple[str, int, int]]()
    while data:
        frame, size = Frame.parse_frame_header(data[:9])
        found.append((type(frame).__name__, frame.stream_id, size))
        data = data[9 + size :]
    return found


def test_a_long_head_goes_out_in_pieces_and_comes_whole() -> None:
    client, _, server, asked = pair()
    client.head(1, [*REQUEST, *((b"x-%d" % n, b"\xff" * 3000) for n in range(20))], end=True)
    raw = client.output()
    assert [(raw[3], raw[4])] == [(frames.HEADERS, frames.END_STREAM)]
    server.feed(raw)
    assert asked.take() == [("head", 1, b"POST", True)]


def test_frames_are_as_long_as_the_peer_takes_them() -> None:
    client, _, server, _ = pair()
    client.head(1, REQUEST)
    assert client.room(1) == 16_384
    client.feed(SettingsFrame(0, settings={5: 60_000}).serialize())
    assert client.room(1) == 60_000
    client.payload(1, bytes(60_000))
    assert client.room(1) == 5536  # of the stream's window
    with pytest.raises(ValueError, match="room"):
        client.payload(1, bytes(5537))
    assert server.room(1) == 0


def test_streams_share_the_connections_window() -> None:
    core = Http2(
        Owner(), client=True, streams=9, stream_window=65_536, connection_window=0, head_bytes=1 << 16
    )
    core.feed(SettingsFrame(0, settings={4: 1 << 20, 5: 1 << 20}).serialize())
    core.head(1, REQUEST)
    core.head(3, REQUEST)
    core.payload(1, bytes(60_000))
    assert (core.room(1), core.room(3)) == (5535, 5535)
    core.feed(WindowUpdateFrame(0, window_increment=1).serialize())
    assert core.room(3) == 5536


def test_a_window_that_was_made_smaller_is_below_nothing() -> None:
    client, _, server, _ = pair()
    client.head(1, REQUEST, end=True)
    carry(client, server)
    server.head(1, [(b":status", b"200")])
    server.payload(1, bytes(10_000))
    server.feed(SettingsFrame(0, settings={4: 5000}).serialize())
    assert server.room(1) == -5000
    server.feed(WindowUpdateFrame(1, window_increment=5001).serialize())
    assert server.room(1) == 1


def test_credit_goes_back_by_half_windows() -> None:
    client, _, server, asked = pair()
    client.head(1, REQUEST)
    carry(client, server)
    client.payload(1, bytes(16_384))
    client.payload(1, bytes(16_384))
    server.feed(client.output())
    server.consumed(1, 32_767)
    assert said(server) == []
    server.consumed(1, 1)
    assert said(server) == [("WindowUpdateFrame", 1, 4)]
    assert len(asked.take()) == 3


def test_credit_goes_back_to_a_peer_that_can_send_nothing() -> None:
    client, _, server, _ = pair()
    client.head(1, REQUEST)
    carry(client, server)
    for _ in range(3):
        client.payload(1, bytes(16_384))
    client.payload(1, bytes(16_383))
    server.feed(client.output())
    server.consumed(1, 1)
    assert said(server) == []  # a byte is still there
    client.payload(1, bytes(1))
    server.feed(client.output())
    server.consumed(1, 2000)
    assert said(server) == [("WindowUpdateFrame", 1, 4)]


def test_what_comes_behind_an_end_or_a_reset_is_dropped() -> None:
    client, _, server, _ = pair()
    client.head(1, REQUEST, end=True)
    client.head(3, REQUEST, end=True)
    carry(client, server)
    server.head(1, [(b":status", b"200")], end=True)
    server.reset(3, 8)
    assert [kind for kind, _, _ in said(server)] == ["HeadersFrame", "RstStreamFrame"]
    for stream in (1, 3, 5):
        server.head(stream, [(b":status", b"200")])
        server.payload(stream, b"", end=True)
        server.reset(stream, 8)
        assert server.room(stream) == 0
    assert said(server) == []


def test_closed_streams_are_forgotten_in_the_end() -> None:
    client, _, server, _ = pair()
    for stream in range(1, 4 * REMEMBERED, 2):
        client.head(stream, REQUEST, end=True)
        server.feed(client.output())
        server.head(stream, [(b":status", b"204")], end=True)
        client.feed(server.output())
    for side in (client, server):
        assert len(side._closed) == REMEMBERED  # pyright: ignore[reportPrivateUsage] - told nowhere
        assert repr(side) == "<Http2 0 streams>"
