"""Areas, lending and turns."""

from collections.abc import Callable

import pytest
from tests.kit.pair import Ear, Side, Stream, agent, data, frames_of, service, wndinc

from portway.errors import LocalProtocolError
from portway.wire import OFFICIAL_GO, PORTWAY, StreamType, pack_opening
from portway.wire.frames import HEADER, MAX_CREDIT
from portway.wire.output import ANSWER_LIMIT, AREA_SIZE, FILL, MIN_ROOM, MIN_TURN, SPARE


def rich(side: Side) -> tuple[Stream, Ear]:
    """Open a stream with credit without end."""
    stream, ear = side.open()
    side.feed(wndinc(stream.id, MAX_CREDIT))
    return stream, ear


def fill(stream: Stream, most: int = 1 << 30) -> int:
    """Lend and fill once; return how much, 0 when parked."""
    view = stream.lend()
    if view is None:
        return 0
    n = min(len(view), most)
    view[:n] = bytes([stream.id & 255]) * n
    stream.filled(n)
    return n


# -- areas


def test_a_flush_is_first_then_bulk_then_last() -> None:
    side = service()
    old, _ = side.open()
    side.flush_all()
    old.end()
    new, _ = side.open()
    new.send(b"bulk")
    side.feed(data(999, b"stray"))
    beat, _ = side.call(StreamType.HEARTBEAT, b"")
    beat.send(b"ping")
    areas: list[bytes] = []
    while (view := side.connection.take_output()) is not None:
        areas.append(bytes(view))
    kinds = [[(f.type, f.stream, f.flags) for f in frames_of(area)] for area in areas]
    assert kinds == [
        [(1, new.id, 2), (0, 999, 0), (1, beat.id, 2), (1, beat.id, 0)],
        [(1, new.id, 0)],
        [(1, old.id, 1)],
    ]


@pytest.mark.row("S8")
def test_each_stream_keeps_opening_data_end() -> None:
    side = service()
    streams = [side.open()[0] for _ in range(5)]
    for stream in streams:
        stream.send(b"abc")
        stream.end()
    frames = side.frames()
    for stream in streams:
        mine = [frame.flags for frame in frames if frame.stream == stream.id]
        assert mine == [2, 0, 1]


def test_the_bulk_area_is_borrowed_while_it_holds_something() -> None:
    side = service()
    stream, _ = side.open()
    side.flush_all()
    assert side.pool.out == 0
    stream.send(b"abc")
    assert side.pool.out == 1
    assert side.connection.take_output() is not None
    assert side.pool.out == 1  # the view is valid until the next call
    assert side.connection.take_output() is None
    assert side.pool.out == 0


def test_one_flush_is_asked_for_whatever_is_put_out() -> None:
    side = service()
    one, _ = side.open()
    two, _ = side.open()
    one.send(b"x")
    two.end()
    fill(one, 10)
    assert side.asked == 1
    side.flush()
    fill(one, 10)
    assert side.asked == 1


# -- lending


def test_a_lend_becomes_a_frame_in_place() -> None:
    side = service()
    stream, _ = side.open()
    side.flush_all()
    view = stream.lend()
    assert view is not None
    view[:5] = b"hello"
    assert stream.filled(5)
    assert [(f.type, f.flags, f.stream, f.body) for f in side.frames()] == [(1, 0, 2, b"hello")]


def test_an_unfilled_lend_costs_nothing() -> None:
    side = service()
    stream, _ = side.open()
    side.flush_all()
    for _ in range(10):
        assert stream.lend() is not None
    assert side.asked == 0
    assert side.frames() == []


@pytest.mark.parametrize("n", [0, -1, 300_000])
def test_what_was_not_lent_cannot_be_filled(n: int) -> None:
    side = service()
    stream, _ = side.open()
    stream.lend()
    with pytest.raises(LocalProtocolError):
        stream.filled(n)


def others(side: Side, stream: Stream) -> list[Callable[[], object]]:
    second, _ = side.open()
    return [
        second.lend,
        lambda: second.send(b"x"),
        lambda: stream.send(b"x"),
        stream.end,
        stream.abort,
        lambda: side.connection.goaway(0),
        lambda: [second.end(), side.flush()],
        side.flush,
    ]


@pytest.mark.parametrize("which", range(8))
def test_a_lend_is_void_after_another_call(which: int) -> None:
    side = service()
    stream, _ = side.open()
    stream.send(b"before")
    call = others(side, stream)[which]
    assert stream.lend() is not None
    call()
    with pytest.raises(LocalProtocolError):
        stream.filled(1)


def test_a_lend_is_at_most_frame_limit_credit_and_room() -> None:
    side = service(OFFICIAL_GO)
    stream, _ = side.open(b"{}")
    lend = stream.lend()
    assert lend is not None
    assert len(lend) == OFFICIAL_GO.frame_limit
    stream.credit = 100
    lend = stream.lend()
    assert lend is not None
    assert len(lend) == 100
    assert fill(stream) == 100
    assert stream.lend() is None
    side = service(PORTWAY)
    stream, _ = rich(side)
    assert fill(stream) == PORTWAY.frame_limit
    rest = stream.lend()
    assert rest is not None
    assert len(rest) == AREA_SIZE - PORTWAY.frame_limit - 2 * HEADER


def test_a_writer_alone_takes_all_the_room_and_is_woken() -> None:
    side = service()
    stream, ear = rich(side)
    side.flush_all()
    total = 0
    while n := fill(stream):
        total += n
    assert AREA_SIZE - MIN_ROOM - 3 * HEADER <= total <= AREA_SIZE
    assert stream.lend() is None
    assert stream.send(b"x") == 0
    assert ear.rooms == 0
    side.flush()
    assert ear.rooms == 1
    assert fill(stream) == PORTWAY.frame_limit


def test_the_area_of_an_official_agent_is_smaller() -> None:
    side = service(OFFICIAL_GO)
    total = 0
    for _ in range(3):
        stream, _ = side.open()
        while n := fill(stream):
            total += n
    assert FILL <= total <= FILL + OFFICIAL_GO.frame_limit


def test_send_takes_what_fits_in_frames() -> None:
    side = service()
    stream, ear = rich(side)
    side.flush_all()
    payload = bytes(range(256)) * 4096
    taken = stream.send(payload)
    assert AREA_SIZE - MIN_ROOM - 3 * HEADER <= taken < AREA_SIZE
    assert stream.send(payload[taken:]) == 0
    frames = frames_of(side.flush())
    assert b"".join(frame.body for frame in frames) == payload[:taken]
    assert max(len(frame.body) for frame in frames) <= PORTWAY.frame_limit
    assert ear.rooms == 1
    assert taken < stream.send(payload[taken:]) + taken <= len(payload)


# -- turns


def test_waiting_streams_get_turns_in_order_and_bulk_cannot_starve_them() -> None:
    side = service()
    writers: list[tuple[Stream, Ear]] = []
    for _ in range(10):
        stream, ear = rich(side)
        ear.on_room_call = lambda stream=stream: order.append(stream.id)
        writers.append((stream, ear))
    side.flush_all()
    order: list[int] = []
    for stream, _ in writers:
        while fill(stream):
            pass
    for _ in range(60):
        before = len(order)
        side.flush()
        for stream_id in order[before:]:
            stream = side.connection.slots.streams[stream_id]
            assert fill(stream) > 0
    # Everyone had the same number of turns, in the same order, again and again.
    assert order == [writers[n % 10][0].id for n in range(len(order))]
    assert len(order) >= 60


def test_a_turn_reserves_a_whole_frame_and_the_last_one_what_is_left() -> None:
    side = service()
    writers = [rich(side) for _ in range(4)]
    side.flush_all()
    for stream, _ in writers:
        while fill(stream):
            pass
    side.flush()
    turns = [stream.turn for stream, _ in writers]
    first = PORTWAY.frame_limit + HEADER
    assert turns == [first, AREA_SIZE - SPARE - first, 0, 0]
    assert turns[1] >= MIN_TURN
    assert side.connection.output.reserved == sum(turns)
    # Who does not wait still has room, and cannot take what is reserved.
    fresh, _ = rich(side)
    assert fill(fresh) == SPARE - HEADER
    assert fill(fresh) == 0
    assert fill(writers[0][0]) == PORTWAY.frame_limit
    assert fill(writers[1][0]) == turns[1] - HEADER


def test_a_turn_ends_with_one_fill_when_others_wait() -> None:
    side = service()
    writers = [rich(side) for _ in range(3)]
    side.flush_all()
    for stream, _ in writers:
        while fill(stream):
            pass
    side.flush()
    one = writers[0][0]
    view = one.lend()
    assert view is not None
    assert one.filled(10) is False
    assert one.lend() is None
    assert one.turn == 0


def test_send_only_uses_a_turn_up() -> None:
    side = service()
    writers = [rich(side) for _ in range(3)]
    side.flush_all()
    for stream, _ in writers:
        while fill(stream):
            pass
    side.flush()
    one = writers[0][0]
    assert one.send(b"x" * 4096) == 4096
    view = one.lend()
    assert view is not None
    assert len(view) == PORTWAY.frame_limit - 4096 - HEADER
    assert one.filled(1) is False


def test_an_unused_turn_lapses_at_the_second_flush() -> None:
    side = service()
    writers = [rich(side) for _ in range(4)]
    side.flush_all()
    for stream, _ in writers:
        while fill(stream):
            pass
    side.flush()
    lazy = writers[0][0]
    assert lazy.turn
    assert side.asked
    side.flush()
    assert lazy.turn
    assert side.asked
    side.flush()
    assert not lazy.turn
    side.flush_all()  # and nobody is stranded: all are told, and the asking ends
    assert [ear.rooms for _, ear in writers] == [1, 1, 1, 1]
    assert side.connection.output.reserved == 0
    assert not side.asked


def test_a_used_turn_does_not_cut_the_next_one_short() -> None:
    side = service()
    writers = [rich(side) for _ in range(3)]
    side.flush_all()
    for stream, _ in writers:
        while fill(stream):
            pass
    one, two, three = (stream for stream, _ in writers)
    side.flush()
    assert fill(one, 10)
    assert fill(two, 10)
    side.flush()
    turn = one.turn
    assert turn
    assert three.turn
    side.flush()  # here the first turn would have lapsed
    assert one.turn == turn
    side.flush()
    assert one.turn == 0


def test_a_stream_that_spent_its_credit_within_a_turn_gives_the_rest_back() -> None:
    side = service()
    poor, ear = side.open()
    poor.credit = 20_000
    other, _ = rich(side)
    side.flush_all()
    while fill(other):
        pass
    assert poor.send(b"x" * 20_000) == 0
    side.flush()
    assert ear.rooms == 1
    assert poor.send(b"x" * 20_000) == 20_000
    assert poor.send(b"x") == 0
    side.feed(wndinc(2, 100_000))
    side.flush_all()
    assert ear.rooms == 2
    side.flush_all()
    assert side.connection.output.reserved == 0


def test_who_gives_up_leaves_the_queue() -> None:
    side = service()
    writers = [rich(side) for _ in range(5)]
    side.flush_all()
    for stream, _ in writers:
        while fill(stream):
            pass
    writers[1][0].abort()
    writers[2][0].end()
    side.flush()
    assert [ear.rooms for _, ear in writers] == [1, 0, 0, 1, 0]
    writers[0][0].abort()  # with its turn
    side.flush_all()
    assert [ear.rooms for _, ear in writers] == [1, 0, 0, 1, 1]
    assert side.connection.output.reserved == 0


def test_a_stream_out_of_credit_waits_for_credit_not_for_room() -> None:
    side = service()
    poor, ear = side.open()
    while fill(poor):
        pass
    side.flush_all()
    assert ear.rooms == 0
    side.feed(wndinc(2, 1))
    assert ear.rooms == 0
    side.flush_all()
    assert ear.rooms == 1
    assert fill(poor) == 1


def test_a_stream_of_little_credit_gets_a_turn_that_it_can_use() -> None:
    side = service()
    poor, ear = side.open()
    while fill(poor):
        pass
    writers = [rich(side) for _ in range(3)]
    side.flush_all()
    for stream, _ in writers:
        while fill(stream):
            pass
    side.feed(wndinc(2, 10))
    for _ in range(10):
        side.flush()
        for stream, _ in writers:
            fill(stream)
        if ear.rooms:
            break
    assert fill(poor) == 10


def test_small_streams_hardly_ever_park_beside_bulk() -> None:
    side = service()
    bulk = [rich(side)[0] for _ in range(10)]
    small, ear = side.open()
    side.flush_all()
    for _ in range(100):
        for stream in bulk:
            while fill(stream):
                pass
        side.flush()
        assert small.send(b"x" * 1000) == 1000
        side.feed(wndinc(small.id, 1000))
    assert ear.rooms == 0


def test_a_sink_that_writes_in_on_room_goes_on_at_once() -> None:
    side = service()
    stream, ear = rich(side)
    ear.on_room_call = lambda: sent.append(fill(stream))
    sent: list[int] = []
    side.flush_all()
    while fill(stream):
        pass
    assert len(side.flush()) > FILL
    assert sent == [PORTWAY.frame_limit]
    assert side.asked


# -- what a peer can provoke


@pytest.mark.row("S13")
def test_a_flood_of_heartbeats_overloads_until_flushed() -> None:
    side = service()
    side.feed(data(3, pack_opening(StreamType.HEARTBEAT), syn=True))
    stream, _ = side.arrived[0]
    sent = 0
    while not side.connection.overloaded:
        assert stream.send(b"ping") == 4
        sent += 1
    assert sent * 12 - 12 <= ANSWER_LIMIT < sent * 12
    side.flush_all()
    assert not side.connection.overloaded


def test_a_flood_of_strays_overloads_and_our_own_openings_do_not() -> None:
    side = agent()
    for _ in range(400):
        side.call(StreamType.BIND, b"{" + b" " * 200 + b"}")
    assert not side.connection.overloaded
    side.feed(data(998, b"x") * 6000)
    assert side.connection.overloaded
    side.flush_all()
    assert not side.connection.overloaded


@pytest.mark.parametrize("data_", [b"x" * 100, b"x" * 100_000])
def test_urgent_streams_write_ahead_of_bulk(data_: bytes) -> None:
    side = service()
    bulk, _ = side.open()
    urgent, _ = side.call(StreamType.STOP)
    side.flush_all()
    bulk.send(b"bulk")
    assert urgent.send(data_) == len(data_)
    view = urgent.lend()
    assert view is not None
    view[:3] = b"abc"
    assert urgent.filled(3)
    urgent.end()
    frames = side.frames()
    assert b"".join(f.body for f in frames if f.stream == urgent.id) == data_ + b"abc"
    assert [f.stream for f in frames][-1] == bulk.id
    assert urgent.lend() is None


def test_urgent_streams_know_no_room_but_credit() -> None:
    side = service()
    urgent, ear = side.call(StreamType.STOP, b"{}")
    assert urgent.send(bytes(300_000)) == 262_144 - 6
    assert urgent.send(b"x") == 0
    side.flush_all()
    side.feed(wndinc(urgent.id, 100))
    side.flush_all()
    assert ear.rooms == 1
    assert urgent.send(bytes(300)) == 100
