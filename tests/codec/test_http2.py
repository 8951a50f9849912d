"""The one module that knows h2: what it tells, and where it stops reading."""

import pytest
from hpack import Decoder
from hyperframe.frame import GoAwayFrame, HeadersFrame, RstStreamFrame
from hypothesis import given, settings
from hypothesis import strategies as st

from portway.codec.http2 import Fields, Http2, RepeatingEncoder
from portway.errors import HttpError

REQUEST: Fields = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", b"/")]


class Owner:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self.closed = False

    def on_head(self, stream: int, fields: Fields, *, ended: bool) -> None:
        self.told.append(("head", stream, dict(fields)[fields[0][0]], ended))

    def on_interim(self, stream: int, fields: Fields) -> None:
        self.told.append(("interim", stream, fields[0][1]))

    def on_payload(self, stream: int, data: bytes, size: int) -> None:
        self.told.append(("payload", stream, data, size))

    def on_finished(self, stream: int, trailers: Fields) -> None:
        self.told.append(("finished", stream, [tuple(field) for field in trailers]))

    def on_stream_reset(self, stream: int, code: int, *, by_peer: bool) -> None:
        self.told.append(("reset", stream, code, by_peer))

    def on_window(self, stream: int) -> None:
        pass

    def on_settings(self) -> None:
        pass

    def on_goaway(self, last: int, code: int) -> None:
        self.told.append(("goaway", last, code))

    def on_idle_frame(self) -> None:
        self.told.append(("idle",))

    def take(self) -> list[tuple[object, ...]]:
        """Return what was told, idle frames aside."""
        told, self.told = self.told, []
        return [each for each in told if each != ("idle",)]


def pair(streams: int = 10) -> tuple[Http2, Owner, Http2, Owner]:
    """Return both sides of one connection, greeted."""
    sides: list[Http2] = []
    owners = [Owner(), Owner()]
    for owner, client in zip(owners, (True, False), strict=True):
        sides.append(
            Http2(
                owner,
                client=client,
                streams=streams,
                stream_window=65_536,
                connection_window=1 << 20,
                head_bytes=1 << 20,
            )
        )
    carry(*sides)
    return sides[0], owners[0], sides[1], owners[1]


def carry(one: Http2, other: Http2) -> None:
    """Bring everything over, both ways."""
    for _ in range(3):
        other.feed(one.output())
        one.feed(other.output())


def opening(stream: int) -> bytes:
    """Write a HEADERS frame past the library's states."""
    return HeadersFrame(stream, b"\x82\x87\x84\x41\x01a", flags=("END_HEADERS",)).serialize()


def test_a_call_with_all_its_parts() -> None:
    client, heard, server, asked = pair()
    client.head(1, REQUEST)
    client.payload(1, b"abc")
    client.head(1, [(b"x", b"1")], end=True)
    carry(client, server)
    assert asked.take() == [
        ("head", 1, b"POST", False),
        ("payload", 1, b"abc", 3),
        ("finished", 1, [(b"x", b"1")]),
    ]
    server.head(1, [(b":status", b"103")])
    server.head(1, [(b":status", b"200")])
    server.payload(1, b"", end=True)
    carry(client, server)
    assert heard.take() == [("interim", 1, b"103"), ("head", 1, b"200", False), ("finished", 1, [])]


def test_an_answer_whose_head_is_all() -> None:
    client, heard, server, _ = pair()
    client.head(1, REQUEST, end=True)
    carry(client, server)
    server.head(1, [(b":status", b"204")], end=True)
    carry(client, server)
    assert heard.take() == [("head", 1, b"204", True)]


def test_a_request_that_is_reset_in_the_same_piece_is_never_told() -> None:
    client, _, server, asked = pair()
    client.head(1, REQUEST, end=True)
    client.reset(1, 8)
    server.feed(client.output())
    assert asked.take() == [("reset", 1, 8, True)]


def test_what_runs_goes_on_behind_a_goaway() -> None:
    client, heard, server, asked = pair()
    client.head(1, REQUEST)
    carry(client, server)
    server.goaway(soon=True)
    server.goaway()
    carry(client, server)
    assert heard.take() == [("goaway", (1 << 31) - 1, 0), ("goaway", 1, 0)]
    client.payload(1, b"more", end=True)
    carry(client, server)
    assert ("payload", 1, b"more", 4) in asked.take()
    server.head(1, [(b":status", b"200")], end=True)
    carry(client, server)
    assert heard.take() == [("head", 1, b"200", True)]


def test_streams_above_the_limit_are_the_owners_business() -> None:
    """They come before the peer has seen our SETTINGS, and each is refused by itself."""
    _, _, server, asked = pair(streams=1)
    server.feed(b"".join(opening(stream) for stream in range(1, 601, 2)))
    assert len(asked.take()) == 300


def test_a_frame_that_says_it_is_long_is_not_waited_for() -> None:
    _, _, server, _ = pair()
    with pytest.raises(HttpError):
        server.feed(b"\x7f\xff\xff\x00\x00\x00\x00\x00\x01" + bytes(1 << 20))
    assert GoAwayFrame(0, last_stream_id=0, error_code=6).serialize() in server.output()


def test_reading_stops_when_the_owner_has_had_enough() -> None:
    client, _, server, asked = pair()
    flood = b"".join(
        opening(stream) + RstStreamFrame(stream, error_code=8).serialize() for stream in range(1, 20_001, 2)
    )

    def enough(stream: int, code: int, *, by_peer: bool) -> None:
        asked.closed = True

    asked.on_stream_reset = enough  # type: ignore[method-assign]
    server.feed(flood)
    assert server.highest < 2000
    assert client.highest == 0


@pytest.mark.parametrize("raw", [b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"])
def test_what_is_no_http2(raw: bytes) -> None:
    owner = Owner()
    server = Http2(
        owner, client=False, streams=1, stream_window=65_536, connection_window=0, head_bytes=1 << 20
    )
    with pytest.raises(HttpError):
        server.feed(raw)


FIELD = st.tuples(
    st.sampled_from([b":status", b"content-type", b"content-length", b"etag", b"set-cookie"]),
    st.sampled_from([b"200", b"text/plain", b"13", b"", b"a" * 40]),
)
STEP = st.tuples(st.sampled_from([0, 40, 80, 4096, 4096, 4096]), st.lists(FIELD, min_size=1, max_size=4))


@settings(max_examples=200, deadline=None)
@given(st.lists(STEP, min_size=2, max_size=30))
def test_heads_that_repeat_are_read_as_they_were_written(
    steps: list[tuple[int, list[tuple[bytes, bytes]]]],
) -> None:
    encoder, decoder = RepeatingEncoder(), Decoder()
    for size, fields in steps:
        if size != encoder.header_table_size:  # the reader has said what it keeps
            encoder.header_table_size = decoder.max_allowed_table_size = size
        for _ in range(2):
            assert [tuple(each) for each in decoder.decode(encoder.encode(fields), raw=True)] == fields
