"""Streams that the peer opens, up to the moment when the handler takes them."""

import pytest
from tests.kit.pair import Ear, agent, data, rst, service

from portway.pipe import Sink
from portway.wire import Opening, Stream, StreamType, pack_opening
from portway.wire.arrival import COLLECT_LIMIT
from portway.wire.opening import MAX_BODY


@pytest.mark.row("S2")
def test_heartbeat_and_auth_come_in_any_order_and_in_pieces() -> None:
    side = service()
    auth = pack_opening(StreamType.AUTH, b'{"Version":["3","2"]}\n')
    heartbeat = pack_opening(StreamType.HEARTBEAT)
    side.feed(data(5, heartbeat[:2], syn=True), data(3, auth[:4], syn=True))
    side.feed(data(3, auth[4:10]), data(5, heartbeat[2:] + b"ping"), data(3, auth[10:]))
    assert side.openings == [
        Opening(StreamType.HEARTBEAT),
        Opening(StreamType.AUTH, b'{"Version":["3","2"]}'),
    ]
    assert side.arrived[0][1].received == b"ping"
    assert all(stream.urgent for stream, _ in side.arrived)


@pytest.mark.row("A6")
def test_a_syn_may_be_empty_and_carry_fin() -> None:
    side = service()
    side.feed(data(3, b"", syn=True), data(3, pack_opening(1, b"{}")))
    side.feed(data(5, pack_opening(1, b"{}"), syn=True, fin=True))
    assert [opening.type for opening in side.openings] == [1, 1]
    assert [ear.ended for _, ear in side.arrived] == [False, True]


@pytest.mark.row("A6")
def test_an_unfinished_header_holds_up_nobody() -> None:
    side = agent()
    opening = pack_opening(StreamType.PROXY, b'{"Id":"1"}')
    side.feed(data(2, opening[:9], syn=True), data(4, opening + b"hello", syn=True))
    assert [stream.id for stream, _ in side.arrived] == [4]
    assert side.arrived[0][1].received == b"hello"
    side.feed(data(2, opening[9:] + b"late"))
    assert side.arrived[1][1].received == b"late"
    assert not side.arrived[1][0].urgent


@pytest.mark.row("A6")
@pytest.mark.parametrize("size", range(5))
def test_a_stream_that_ends_before_its_opening_is_refused_and_the_session_lives(size: int) -> None:
    side = agent()
    opening = pack_opening(StreamType.PROXY, b"{}")[:size]
    side.feed(data(2, opening, syn=True, fin=True), data(4, opening, syn=True), data(4, b"", fin=True))
    assert [(frame.type, frame.stream, frame.value) for frame in side.frames()] == [(0, 2, 5), (0, 4, 5)]
    assert side.openings == []
    assert side.connection.streams == 0
    assert side.connection.collecting == 0


def test_a_reset_before_the_opening_is_complete_does_no_harm() -> None:
    side = agent()
    side.feed(data(2, b"\0\0\0\x03\x09", syn=True), rst(2, 6))
    assert side.connection.collecting == 0
    assert side.connection.streams == 0
    assert side.openings == []


@pytest.mark.row("S16")
def test_a_bad_request_is_offered_with_its_error_and_the_session_lives() -> None:
    side = service()
    body = b'{"a":"' + b"x" * MAX_BODY
    side.feed(data(3, pack_opening(1, body) + b"junk", syn=True), data(3, b"more"))
    [opening] = side.openings
    assert opening.type == 1
    assert "longer" in opening.error
    stream, ear = side.arrived[0]
    assert ear.received == b"more"
    stream.send(b'{"Error":"no"}')
    stream.end()
    assert [(frame.flags, frame.body) for frame in side.frames()] == [(0, b'{"Error":"no"}'), (1, b"")]


def test_the_handler_may_refuse() -> None:
    side = agent()
    side.answer = lambda stream, opening: None
    side.feed(data(2, pack_opening(StreamType.PROXY, b"{}") + b"data", syn=True), data(2, b"more", fin=True))
    assert [(frame.type, frame.value) for frame in side.frames()] == [(0, 5)]
    assert side.connection.streams == 0


@pytest.mark.row("A16")
def test_an_unknown_type_is_offered_without_a_body() -> None:
    side = agent()
    side.feed(data(2, b"\0\0\x12\x34what", syn=True))
    assert side.openings == [Opening(0x1234)]
    assert side.arrived[0][1].received == b"what"


def test_a_handler_that_ends_the_stream_itself_has_the_last_word() -> None:
    side = agent()

    ear = Ear()

    def cut(stream: Stream, opening: Opening) -> Sink | None:
        stream.abort()
        return ear

    side.answer = cut
    side.feed(data(2, pack_opening(StreamType.PROXY, b"{}") + b"data", syn=True))
    assert [(frame.type, frame.value) for frame in side.frames()] == [(0, 6)]
    side.connection.feed_eof(0.0)
    assert ear == Ear()  # an aborted Pipe's Sink hears nothing


def test_a_handler_that_raises_costs_the_stream() -> None:
    side = agent()

    def fail(stream: Stream, opening: Opening) -> Sink | None:
        raise ZeroDivisionError

    side.answer = fail
    side.feed(data(2, pack_opening(StreamType.PROXY, b"{}") + b"data", syn=True))
    assert [type(error) for error in side.faults] == [ZeroDivisionError]
    assert [(frame.type, frame.value) for frame in side.frames()] == [(0, 2)]
    assert side.connection.collecting == 0


def test_unfinished_openings_are_bounded_over_the_session() -> None:
    side = service()
    unfinished = pack_opening(1, b'{"a":"' + b"x" * 60_000)
    for n in range(40):
        side.feed(data(3 + 2 * n, unfinished, syn=True))
        assert side.connection.collecting <= COLLECT_LIMIT
    resets = [frame.value for frame in side.frames() if frame.type == 0]
    assert len(resets) == 40 - COLLECT_LIMIT // 60_006
    assert set(resets) == {10}
    side.feed(data(3, b'"}'))
    assert len(side.openings) == 1
    assert side.connection.collecting < COLLECT_LIMIT - 60_000
