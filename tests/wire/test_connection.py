"""The session machine as its driver and its handler see it: both ends, faults, ends."""

import pytest
from tests.kit.pair import Ear, Pair, agent, data, frames_of, rst, service, wndinc

from portway.errors import LocalProtocolError, SessionClosed
from portway.wire import OFFICIAL_RUST, OFFICIAL_SERVICE, PORTWAY, STRICT, StreamType, pack_opening
from portway.wire.frames import INITIAL_WINDOW

PROXY = pack_opening(StreamType.PROXY, b"{}")


# -- two ends


@pytest.mark.row("S25", "S4")
def test_bytes_go_both_ways_and_both_halves_close() -> None:
    pair = Pair()
    stream, ear = pair.service.open(b'{"Id":"x"}', b"hello")
    pair.settle()
    [(there, other)] = pair.agent.arrived
    assert pair.agent.openings[0].body == b'{"Id":"x"}'
    assert other.received == b"hello"
    assert there.send(b"answer") == 6
    view = stream.lend()
    assert view is not None
    view[:4] = b"more"
    assert stream.filled(4)
    stream.end()
    pair.settle()
    assert other.received == b"hellomore"
    assert other.ended
    assert ear.received == b"answer"
    assert not ear.ended
    there.send(b"!")
    there.end()
    pair.settle()
    assert ear.received == b"answer!"
    assert ear.ended
    assert pair.agent.connection.streams == pair.service.connection.streams == 0
    assert pair.agent.pool.out == pair.service.pool.out == 0


def test_a_bulk_transfer_is_bounded_by_credit_and_completes() -> None:
    pair = Pair()
    stream, _ = pair.service.open()
    payload = bytes(range(256)) * 20_000
    sent = 0
    while sent < len(payload):
        more = stream.send(payload[sent:])
        assert more
        sent += more
        pair.settle()
    assert pair.agent.arrived[0][1].received == payload


@pytest.mark.parametrize("piece", [1, 3, 7, 1000])
@pytest.mark.row("S17")
def test_a_request_and_its_answer_in_pieces(piece: int) -> None:
    pair = Pair()
    stream, ear = pair.agent.call(StreamType.BIND, b'{"Id":""}')
    pair.settle(piece)
    [(there, _)] = pair.service.arrived
    assert pair.service.openings[0].body == b'{"Id":""}'
    there.send(b'{"Error":""}')
    there.end()
    pair.settle(piece)
    assert ear.received == b'{"Error":""}'
    assert ear.ended
    stream.end()
    pair.settle(piece)
    assert pair.service.connection.streams == 0


def test_an_abort_frees_the_slot_on_both_sides() -> None:
    pair = Pair()
    stream, ear = pair.service.open()
    pair.settle()
    stream.abort()
    pair.settle()
    assert pair.agent.arrived[0][1].resets == [6]
    assert ear.resets == []
    assert pair.service.connection.streams == 0
    assert pair.agent.connection.streams == 0


def test_both_may_abort_at_once() -> None:
    pair = Pair()
    stream, ear = pair.service.open()
    pair.settle()
    there, other = pair.agent.arrived[0]
    stream.abort()
    there.abort()
    pair.settle()
    assert ear.resets == other.resets == []
    assert pair.service.connection.streams == pair.agent.connection.streams == 0


def test_an_abort_toward_a_foreign_service_strands_no_writer() -> None:
    pair = Pair(agents=OFFICIAL_SERVICE)
    stream, ear = pair.service.open()
    pair.agent.answer = lambda there, opening: Ear(eager=False)
    while stream.send(bytes(100_000)):
        pass
    pair.settle()
    there = pair.agent.connection.slots.streams[2]
    there.abort()
    pair.settle()
    assert ear.ended  # all that official agents show
    assert ear.resets == []
    assert ear.rooms == 1
    assert stream.send(b"more") == 4
    pair.settle()
    assert ear.resets == [4]
    assert pair.agent.connection.streams == pair.service.connection.streams == 0


# -- openings


@pytest.mark.row("S4", "S15")
def test_an_opening_is_one_frame_with_syn_and_never_fin() -> None:
    side = service(STRICT)
    side.open(b'{"Id":"1"}', b"first")
    side.call(StreamType.HEARTBEAT, b"")[0].send(b"ping")
    frames = side.frames()
    assert [(f.flags, f.stream) for f in frames] == [(2, 2), (2, 4), (0, 4)]
    assert frames[0].body == pack_opening(StreamType.PROXY, b'{"Id":"1"}') + b"first"
    assert [f.body for f in frames[1:]] == [b"\xff\xff\xff\xff", b"ping"]


def test_an_opening_longer_than_a_frame_goes_on_in_the_next() -> None:
    pair = Pair(services=OFFICIAL_RUST)
    first = bytes(range(256)) * 700
    pair.service.open(b"{}", first)
    pair.settle()
    assert pair.agent.arrived[0][1].received == first
    raw = service(OFFICIAL_RUST)
    raw.open(b"{}", first)
    assert [f.flags for f in raw.frames()] == [2, 0, 0]


@pytest.mark.parametrize("size", [0, INITIAL_WINDOW + 1])
def test_an_impossible_opening_is_our_own_fault(size: int) -> None:
    side = service()
    with pytest.raises(LocalProtocolError):
        side.connection.open_stream(bytes(size), side.open()[1])
    assert side.connection.streams == 1
    assert side.open()[0].id == 4


# -- strays


@pytest.mark.row("S7")
def test_data_on_unknown_streams_is_reset_and_the_rest_ignored() -> None:
    side = service()
    side.feed(data(9, b"xyz"), data(9, b"xyz", fin=True), data(9), rst(9, 6), wndinc(9, 1))
    assert [(f.type, f.stream, f.value) for f in side.frames()] == [(0, 9, 4)] * 3
    side.feed(data(9, fin=True), rst(8, 0), wndinc(8, 0x7FFFFFFF))
    assert side.frames() == []


@pytest.mark.row("S7")
def test_data_behind_an_expired_abort_is_a_stray_again() -> None:
    side = service()
    stream, _ = side.open()
    stream.abort()
    side.flush_all()
    side.feed(data(2, b"still coming"))
    assert side.frames() == []
    side.connection.on_deadline(1e6)
    side.feed(data(2, b"still coming"))
    assert [(f.type, f.value) for f in side.frames()] == [(0, 4)]


@pytest.mark.row("S12")
def test_a_busy_agent_is_heard_by_the_streams_sink() -> None:
    side = service()
    _, ear = side.open()
    side.flush_all()
    side.feed(rst(2, 9))
    assert ear.resets == [9]
    assert [(f.type, f.flags, f.stream) for f in side.frames()] == [(1, 1, 2)]
    assert not side.connection.closed


# -- sinks that fail


def broken(*_: object) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("where", ["on_data_call", "on_end_call", "on_room_call"])
def test_a_sink_that_raises_loses_its_stream_alone(where: str) -> None:
    side = service()
    one, ear = side.open()
    two, other = side.open()
    side.feed(wndinc(2, 1 << 20))
    side.flush_all()
    setattr(ear, where, broken)
    while one.send(bytes(100_000)):
        pass
    two.send(b"two")
    frames = side.frames()
    side.feed(data(2, b"x" * 10, fin=True), data(4, b"fine"))
    frames += side.frames()
    assert [type(error) for error in side.faults] == [ZeroDivisionError]
    assert ear.resets == [2]
    assert [(f.stream, f.value) for f in frames if f.type == 0] == [(2, 2)]
    assert other.received == b"fine"
    assert two.send(b"x") == 1


def test_a_fault_in_the_middle_of_a_frame_drops_the_rest_of_it() -> None:
    side = service()
    _, ear = side.open()
    ear.on_data_call = broken
    raw = data(2, b"x" * 100, fin=True)
    side.feed(raw[:20], raw[20:])
    assert len(ear.received) == 12
    assert side.connection.streams == 0  # the FIN at its end still counts


def test_a_sink_that_raises_in_on_reset_is_contained_too() -> None:
    side = service()
    _, one = side.open()
    _, two = side.open()
    one.on_reset_call = broken
    side.feed(rst(2, 6), rst(4, 6))
    assert two.resets == [6]
    assert len(side.faults) == 1
    side = service()
    _, one = side.open()
    _, two = side.open()
    one.on_reset_call = broken
    side.connection.feed_eof(0.0)
    assert two.resets == [14]
    assert len(side.closed) == 1


def test_a_sink_that_aborts_and_raises_hears_nothing_more() -> None:
    side = service()
    stream, ear = side.open()
    ear.on_data_call = lambda _: (stream.abort(), broken())
    side.flush_all()
    side.feed(data(2, b"x"))
    assert ear.resets == []
    assert len(side.faults) == 1
    assert [(f.type, f.value) for f in side.frames()] == [(0, 6)]


def test_a_sink_may_end_the_session_when_it_gets_room() -> None:
    side = service()
    ears = [side.open() for _ in range(4)]
    for stream, ear in ears:
        stream.credit = 1 << 30
        ear.on_room_call = lambda: side.connection.goaway(0)
        while stream.send(bytes(100_000)) == 100_000:
            pass
    side.flush()
    assert [ear.rooms for _, ear in ears] == [1, 0, 0, 0]
    assert [ear.resets for _, ear in ears] == [[14]] * 4
    assert len(side.frames()) == 1


def test_a_sink_may_use_any_pipe_while_it_is_called() -> None:
    side = service()
    one, ear = side.open()
    two, other = side.open()
    ear.on_data_call = lambda _: (two.send(b"copy"), one.abort(), two.end())
    side.flush_all()
    side.feed(data(2, b"abc") + data(2, b"never heard") + data(4, b"heard"))
    assert ear.received == b"abc"
    assert other.received == b"heard"
    assert [(f.type, f.stream) for f in side.frames()] == [(1, 4), (0, 2), (1, 4)]


def test_too_much_consumed_is_a_fault_of_that_stream() -> None:
    side = service()
    stream, ear = side.open()
    ear.on_data_call = lambda _: stream.consume(1)  # the Ear itself has consumed all
    side.feed(data(2, b"abc"))
    assert [type(error) for error in side.faults] == [LocalProtocolError]
    assert ear.resets == [2]


# -- ends of the session


@pytest.mark.row("A12", "S8")
def test_goaway_goes_behind_everything_and_nothing_behind_it() -> None:
    side = service()
    side.feed(data(7, pack_opening(StreamType.HEARTBEAT), syn=True))
    stream, ear = side.open()
    other, _ = side.open()
    stream.send(b"data")
    ear.on_reset_call = lambda: (other.abort(), other.send(b"late"), stream.end())
    side.connection.goaway(0, "bye")
    side.connection.goaway(1, "twice")
    assert side.closed == [None]
    side.feed(data(9, b"x"), data(7, b"ping"), wndinc(2, 0))
    other.abort()
    frames = frames_of(side.flush_all())
    assert [(f.type, f.stream) for f in frames] == [(1, 2), (1, 4), (1, 2), (3, 0)]
    assert frames[-1].body == (7).to_bytes(4, "big") + bytes(4) + b"bye"
    assert side.frames() == []
    assert side.pool.out == 0


def test_a_goaway_with_a_code_is_the_cause() -> None:
    side = service()
    side.connection.goaway(10, "calm down" * 100)
    assert "calm down" in str(side.closed[0])
    assert len(side.frames()[0].body) <= 8 + 256


def test_the_end_of_the_connection_resets_every_stream_once() -> None:
    side = service()
    one, ear = side.open()
    side.call(StreamType.STOP)
    side.feed(data(3, pack_opening(StreamType.HEARTBEAT), syn=True), data(5, b"\0", syn=True))
    one.send(b"never sent")
    side.connection.feed_eof(1.0)
    side.connection.feed_eof(2.0)
    assert ear.resets == [14]
    assert side.arrived[0][1].resets == [14]
    [cause] = side.closed
    assert isinstance(cause, SessionClosed)
    assert side.connection.streams == 0
    assert side.connection.collecting == 0
    assert side.connection.deadline() is None
    assert side.frames() == []
    assert side.pool.out == 0
    with pytest.raises(SessionClosed):
        side.open()


def test_an_abort_forgets_what_was_buffered_and_tells_its_cause() -> None:
    side = service()
    stream, _ = side.open()
    stream.send(b"x")
    cause = SessionClosed("the socket broke")
    side.connection.abort(cause)
    assert side.closed == [cause]
    assert side.connection.take_output() is None


# -- drain, profiles


def test_a_draining_session_takes_no_visitors_but_goes_on() -> None:
    side = agent()
    side.feed(data(2, PROXY, syn=True))
    side.connection.drain()
    with pytest.raises(SessionClosed):
        side.open()
    side.feed(data(4, PROXY, syn=True), data(6, pack_opening(StreamType.STOP, b"{}"), syn=True))
    assert [opening.type for opening in side.openings] == [StreamType.PROXY, StreamType.STOP]
    assert [(f.type, f.stream, f.value) for f in side.frames()] == [(0, 4, 5)]
    side.call(StreamType.UNBIND)
    assert side.connection.proxied == 2  # the refused one counts until its peer has ended it
    side.feed(data(4, fin=True), data(2, b"still", fin=True))
    side.arrived[0][0].end()
    assert side.arrived[0][1].received == b"still"
    assert side.connection.proxied == 0
    assert "draining" in repr(side.connection)


@pytest.mark.row("S5")
def test_a_stricter_profile_holds_at_once() -> None:
    side = service(PORTWAY)
    stream, _ = side.open()
    side.feed(wndinc(2, 1 << 24))
    assert stream.credit > INITIAL_WINDOW
    side.connection.configure(OFFICIAL_RUST)
    assert stream.credit == INITIAL_WINDOW
    while stream.send(bytes(100_000)):
        pass
    assert max(len(f.body) for f in side.frames()) == OFFICIAL_RUST.frame_limit


def test_a_profile_may_shrink_under_load() -> None:
    side = service(PORTWAY)
    streams = [side.open()[0] for _ in range(4)]
    for stream in streams:
        side.feed(wndinc(stream.id, 1 << 24))
        while stream.send(bytes(100_000)):
            pass
    side.flush()
    side.connection.configure(OFFICIAL_RUST)
    sent = 0
    for _ in range(20):
        sent += len(side.flush())
        for stream in streams:
            stream.send(bytes(50_000))
    assert sent > 1_000_000
