"""Connections of HTTP/2: what they tell, and where they stop reading."""

import pytest
from hyperframe.frame import GoAwayFrame, HeadersFrame, RstStreamFrame

from portway.codec.http2 import CONTINUATIONS, Fields, Http2
from portway.codec.http2_frames import PREFACE, frame
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


# -- what ends a connection, and what a stream alone

GOAWAY, RST = 7, 3


def frames_of(data: bytes) -> list[tuple[int, int, bytes]]:
    """Return kind, stream and payload of each frame."""
    found: list[tuple[int, int, bytes]] = []
    while data:
        size = int.from_bytes(data[:3], "big")
        found.append((data[3], int.from_bytes(data[5:9], "big"), data[9 : 9 + size]))
        data = data[9 + size :]
    return found


def end_of(core: Http2, raw: bytes) -> int:
    """Feed what ends the connection; return the code of the GOAWAY, which is all that is said."""
    core.output()
    with pytest.raises(HttpError):
        core.feed(raw)
    (kind, stream, payload), *more = frames_of(core.output())
    assert (kind, stream, more) == (GOAWAY, 0, [])
    core.feed(b"whatever comes now")
    assert core.output() == b""
    return int.from_bytes(payload[4:], "big")


def running(*, ended: bool = False) -> tuple[Http2, Owner]:
    """Return a server with stream 1 under way, stream 3 finished, and stream 5 reset by us."""
    client, _, server, asked = pair()
    client.head(1, REQUEST, end=ended)
    client.head(3, REQUEST, end=True)
    client.head(5, REQUEST)
    carry(client, server)
    server.head(3, [(b":status", b"204")], end=True)
    server.reset(5, 8)
    asked.take()
    return server, asked


HEAD = b"\x82\x87\x84\x41\x01a"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (frame(0, 0, 0, b"x"), 1),
        (frame(0, 0, 7, b"x"), 1),  # of a stream that never was
        (frame(0, 0, 2, b"x"), 1),
        (frame(0, 0, 3, b"x"), 5),  # of one that is over
        (frame(0, 8, 1, b"\x05abc"), 1),  # all padding
        (frame(0, 8, 1), 6),
        (frame(1, 4, 0, HEAD), 1),
        (frame(1, 4, 2, HEAD), 1),  # a server's stream
        (frame(1, 5, 3, HEAD), 5),
        (frame(1, 4, 1, HEAD), 1),  # trailers that are not the end
        (frame(1, 5, 7, b"\xff\x7f"), 9),
        (frame(1, 5, 9, HEAD) + frame(1, 5, 7, HEAD), 1),  # a lower stream than the last
        (frame(1, 1, 7, HEAD) + frame(0, 0, 1, b"x"), 1),  # within a head
        (frame(1, 1, 7, HEAD) + frame(9, 4, 1), 1),
        (frame(1, 1, 7, HEAD) + frame(0xEE, 0, 1), 1),
        (frame(9, 4, 1), 1),  # of nothing
        (frame(2, 0, 1, bytes(4)), 6),
        (frame(2, 0, 0, bytes(5)), 1),
        (frame(2, 0, 1, b"\0\0\0\x01\0"), 1),
        (frame(3, 0, 0, bytes(4)), 1),
        (frame(3, 0, 7, bytes(4)), 1),
        (frame(3, 0, 1, bytes(3)), 6),
        (frame(4, 0, 1), 1),
        (frame(4, 0, 0, bytes(5)), 6),
        (frame(4, 1, 0, bytes(6)), 6),
        (frame(4, 0, 0, b"\0\x04\x80\0\0\0"), 3),
        (frame(8, 0, 1, b"\0\0\x80\0") + frame(4, 0, 0, b"\0\x04\x7f\xff\xff\xff"), 3),  # with what it had
        (frame(5, 4, 1, b"\0\0\0\x02" + HEAD), 1),
        (frame(6, 0, 0, bytes(7)), 6),
        (frame(6, 0, 1, bytes(8)), 1),
        (frame(7, 0, 0, bytes(7)), 6),
        (frame(7, 0, 1, bytes(8)), 1),
        (frame(8, 0, 0, bytes(4)), 1),
        (frame(8, 0, 0, b"\x7f\xff\xff\xff"), 3),
        (frame(8, 0, 7, b"\0\0\0\x01"), 1),
        (frame(8, 0, 1, b"\0\x01"), 6),
    ],
)
def test_what_ends_a_connection(raw: bytes, code: int) -> None:
    server, asked = running()
    assert end_of(server, raw) == code
    assert asked.take() == []


def test_settings_come_first() -> None:
    for raw in (opening(1), frame(6, 0, 0, bytes(8)), frame(4, 1, 0)):
        server = Http2(
            Owner(), client=False, streams=1, stream_window=65_536, connection_window=0, head_bytes=1 << 20
        )
        assert end_of(server, PREFACE + raw) == 1


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (frame(0, 0, 1, b"x"), 5),  # behind its end
        (frame(1, 5, 1, HEAD), 5),
        (frame(8, 0, 1, bytes(4)), 1),
        (frame(8, 0, 1, b"\x7f\xff\xff\xff"), 3),
    ],
)
def test_what_resets_a_stream_alone(raw: bytes, code: int) -> None:
    server, asked = running(ended=True)
    server.feed(raw)
    assert frames_of(server.output())[-1] == (RST, 1, code.to_bytes(4, "big"))
    assert asked.take() == [("reset", 1, code, False)]
    server.feed(opening(7))
    assert asked.take() == [("head", 7, b"GET", False)]


def test_a_body_that_is_missing_resets_a_stream_that_is_never_told() -> None:
    client, _, server, asked = pair()
    client.head(1, [*REQUEST, (b"content-length", b"1")], end=True)
    server.feed(client.output())
    assert frames_of(server.output())[-1] == (RST, 1, b"\0\0\0\x01")
    assert asked.take() == [("reset", 1, 1, False)]


@pytest.mark.parametrize("trailers", [True, False])
def test_a_body_that_is_shorter_than_it_says(*, trailers: bool) -> None:
    client, _, server, _ = pair()
    client.head(1, [*REQUEST, (b"content-length", b"4")])
    client.payload(1, b"abc", end=not trailers)
    if trailers:
        client.head(1, [(b"x", b"1")], end=True)
    assert end_of(server, client.output()) == 1


def test_late_frames_for_a_stream_that_we_reset_are_dropped_and_counted() -> None:
    """Their fields still change the table, and their bytes still open the connection's window."""
    server, asked = running()
    server.feed(frame(0, 0, 5, b"x" * 16_000) * 40)
    server.feed(frame(1, 5, 5, b"\x40\x01a\x01b"))  # trailers that enter the table
    assert asked.told == [("idle",)] * 41
    assert frames_of(server.output())[-1] == (8, 0, (33 * 16_000).to_bytes(4, "big"))
    server.feed(frame(8, 0, 5, b"\0\0\0\x01") + frame(3, 0, 5, bytes(4)) + frame(3, 0, 3, bytes(4)))
    assert asked.told == [("idle",)] * 44
    told: list[Fields] = []
    asked.on_head = lambda stream, fields, *, ended: told.append(fields)  # type: ignore[method-assign]
    server.feed(frame(1, 5, 7, HEAD + b"\xbf"))
    assert told[0][-1] == (b"a", b"b")


def test_frames_that_mean_nothing_are_counted() -> None:
    server, asked = running()
    for raw in (
        frame(6, 0, 0, bytes(8)), frame(6, 1, 0, bytes(8)), frame(4, 0, 0), frame(4, 1, 0),
        frame(2, 0, 99, bytes(5)), frame(8, 0, 0, b"\0\0\0\x01"), frame(8, 0, 1, b"\0\0\0\x01"),
        frame(0, 0, 1), frame(0, 8, 1, b"\x02\0\0"), frame(0xEE, 0xFF, 1, b"x"), frame(7, 0, 0, bytes(8)),
    ):  # fmt: skip
        asked.told.clear()
        server.feed(raw)
        assert ("idle",) in asked.told


@pytest.mark.parametrize("status", [b"204", b"304"])
def test_an_answer_without_a_body_may_say_a_length(status: bytes) -> None:
    client, heard, server, _ = pair()
    client.head(1, REQUEST, end=True)
    carry(client, server)
    server.head(1, [(b":status", status), (b"content-length", b"9")])
    server.payload(1, b"", end=True)
    carry(client, server)
    assert heard.take() == [("head", 1, status, False), ("finished", 1, [])]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (frame(1, 4, 2, b"\x88"), 1),  # nobody may push
        (frame(5, 4, 1, b"\0\0\0\x02" + HEAD), 1),
        (frame(1, 4, 3, b"\x88"), 1),  # an answer to nothing
        (frame(0, 0, 1, b"x"), 1),  # a body before its head
        (frame(1, 5, 1, b"\x08\x03103"), 1),  # interim, and the end
        (frame(4, 0, 0, b"\0\x02\0\0\0\x01"), 1),
    ],
)
def test_what_ends_a_connection_to_a_server(raw: bytes, code: int) -> None:
    client, _, server, _ = pair()
    client.head(1, REQUEST, end=True)
    carry(client, server)
    assert end_of(client, raw) == code


def test_an_answer_to_head_has_no_body() -> None:
    client, _, server, _ = pair()
    client.head(1, [(b":method", b"HEAD"), *REQUEST[1:]], end=True)
    carry(client, server)
    server.head(1, [(b":status", b"200"), (b"content-length", b"9")])
    server.payload(1, b"x")
    client.output()
    assert end_of(client, server.output()) == 1


def test_what_is_offered_is_not_taken_back() -> None:
    client, _, _, _ = pair()
    assert client.offers_upgrades
    assert end_of(client, frame(4, 0, 0, b"\0\x08\0\0\0\0")) == 1


@pytest.mark.parametrize(("stream_window", "connection_window"), [(65_536, 1 << 20), (1 << 20, 0)])
def test_nobody_sends_more_than_either_window(stream_window: int, connection_window: int) -> None:
    server = Http2(
        Owner(),
        client=False,
        streams=1,
        stream_window=stream_window,
        connection_window=connection_window,
        head_bytes=1 << 20,
    )
    server.feed(PREFACE + frame(4, 0, 0) + frame(1, 4, 1, HEAD))
    server.feed(frame(0, 0, 1, bytes(16_000)) * 4)
    assert end_of(server, frame(0, 0, 1, bytes(1537))) == 3


def test_a_head_goes_on_in_so_many_frames() -> None:
    server, asked = running()
    server.feed(frame(1, 1, 7, HEAD) + frame(9, 0, 7) * (CONTINUATIONS - 1) + frame(9, 4, 7))
    assert asked.take() == [("head", 7, b"GET", True)]
    assert end_of(server, frame(1, 1, 9, HEAD) + frame(9, 0, 9) * CONTINUATIONS + frame(9, 4, 9)) == 1
