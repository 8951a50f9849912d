"""Slots: limits of both directions, and when a slot is free again."""

import pytest
from tests.kit.pair import Pair, Side, agent, data, rst, service

from portway.errors import StreamLimit
from portway.wire import NEWCOMER, OFFICIAL_RUST, PORTWAY, StreamType, pack_opening
from portway.wire.frames import MAX_STREAM_ID
from portway.wire.profile import PEER_STREAM_LIMIT, URGENT_RESERVE
from portway.wire.slots import ABORT_LINGER, FLOOD_LIMIT

HEARTBEAT = pack_opening(StreamType.HEARTBEAT)


def fill_up(side: Side) -> int:
    """Open proxied streams up to the limit; return how many."""
    opened = 0
    while True:
        try:
            side.open()
        except StreamLimit:
            return opened
        opened += 1


@pytest.mark.row("S3", "A1")
def test_ids_rise_by_two_and_are_never_used_twice() -> None:
    for side, first in ((service(), 2), (agent(), 3)):
        ids: list[int] = []
        for _ in range(50):
            stream, _ = side.call(StreamType.STOP)
            ids.append(stream.id)
            side.feed(rst(stream.id, 6))
        assert ids == list(range(first, first + 100, 2))


@pytest.mark.row("S3")
def test_past_the_last_id_no_stream_is_opened() -> None:
    side = agent()
    side.connection.slots.next_id = MAX_STREAM_ID
    stream, _ = side.open()
    assert stream.id == MAX_STREAM_ID
    with pytest.raises(StreamLimit):
        side.open()
    assert max(frame.stream for frame in side.frames()) == MAX_STREAM_ID


@pytest.mark.row("S11")
def test_streams_of_both_directions_count_toward_an_official_agent() -> None:
    side = service(OFFICIAL_RUST)
    for n in range(20):
        side.feed(data(3 + 2 * n, HEARTBEAT, syn=True))
    side.call(StreamType.HEARTBEAT)
    assert fill_up(side) == 480 - 20 - 1
    for _ in range(URGENT_RESERVE):
        side.call(StreamType.STOP)
    with pytest.raises(StreamLimit):
        side.call(StreamType.STOP)
    assert side.connection.streams == 480 + URGENT_RESERVE < 512


@pytest.mark.row("S11")
def test_a_slot_is_free_when_the_agent_has_ended_too() -> None:
    side = service(OFFICIAL_RUST)
    fill_up(side)
    side.flush_all()
    streams = list(side.connection.slots.streams.values())
    streams[0].end()
    streams[1].abort()
    side.feed(data(streams[2].id, fin=True))
    side.flush_all()
    assert fill_up(side) == 0
    for n in range(3):
        if n == 2:
            streams[2].end()
            side.flush_all()
        else:
            side.feed(data(streams[n].id, fin=True))
        assert fill_up(side) == 1


@pytest.mark.row("S11")
def test_an_opening_cannot_overtake_the_end_that_freed_its_slot() -> None:
    side = service(OFFICIAL_RUST)
    fill_up(side)
    side.flush_all()
    for stream in list(side.connection.slots.streams.values()):
        side.feed(data(stream.id, fin=True))
        stream.end()
    assert side.connection.streams == 0
    assert fill_up(side) == 0  # the FINs are not out: the agent still counts all 480
    side.flush_all()
    assert fill_up(side) == 480


@pytest.mark.row("S11")
def test_at_no_time_does_an_agent_see_too_many_streams() -> None:
    pair = Pair(OFFICIAL_RUST, OFFICIAL_RUST)
    most = 0
    for generation in range(6):
        fill_up(pair.service)
        streams = list(pair.service.connection.slots.streams.values())
        for n, stream in enumerate(streams):
            stream.end() if n % 3 else stream.abort()
        for stream, _ in pair.agent.arrived:
            stream.end()
        raw = pair.service.flush_all()
        for start in range(0, len(raw), 500):
            pair.agent.feed(raw[start : start + 500])
            most = max(most, pair.agent.connection.streams)
        pair.service.feed(pair.agent.flush_all())
        if generation > 2:
            pair.service.feed(pair.agent.flush_all())
    assert 400 < most <= 480


@pytest.mark.row("S11")
def test_a_silent_peer_keeps_an_aborted_slot_for_a_while_only() -> None:
    side = service(OFFICIAL_RUST)
    side.now = 100.0
    side.feed(b"")
    first, _ = side.open()
    side.flush_all()
    assert side.connection.deadline() is None
    first.abort()
    side.flush_all()
    side.now = 110.0
    side.feed(b"")
    second, _ = side.open()
    second.abort()
    assert side.connection.deadline() == 100.0 + ABORT_LINGER
    side.connection.on_deadline(129.9)
    assert side.connection.streams == 2
    side.connection.on_deadline(130.0)
    assert side.connection.streams == 1
    assert side.connection.deadline() == 110.0 + ABORT_LINGER
    # The second one's reset could not be flushed yet: its peer does not know, so the slot stays.
    side.connection.on_deadline(140.0)
    assert side.connection.streams == 1
    deadline = side.connection.deadline()
    assert deadline is not None
    assert deadline > 140.0
    side.flush_all()
    side.connection.on_deadline(deadline)
    assert side.connection.streams == 0
    assert side.connection.deadline() is None


def test_a_peer_that_ends_in_time_leaves_no_deadline_behind() -> None:
    side = service(PORTWAY)
    stream, _ = side.open()
    stream.abort()
    side.flush_all()
    side.feed(data(2, fin=True))
    assert side.connection.streams == 0
    side.connection.on_deadline(ABORT_LINGER + 1)
    assert side.connection.deadline() is None


@pytest.mark.row("S12")
def test_the_peer_may_have_so_many_streams_and_the_next_is_refused() -> None:
    side = service()
    for n in range(PEER_STREAM_LIMIT + 1):
        side.feed(data(3 + 2 * n, HEARTBEAT + b"x", syn=True))
    refused = 3 + 2 * PEER_STREAM_LIMIT
    assert [(f.type, f.stream, f.value) for f in side.frames()] == [(0, refused, 9)]
    side.feed(data(refused, b"more"))
    assert [(f.type, f.stream, f.value) for f in side.frames()] == [(0, refused, 4)]
    # One ends: there is room for one, as soon as our end of it is flushed.
    stream = side.arrived[0][0]
    stream.end()
    side.feed(data(stream.id, fin=True))
    side.feed(data(refused + 2, HEARTBEAT, syn=True))
    side.feed(data(refused + 4, HEARTBEAT, syn=True))
    assert [f.value for f in side.frames() if f.type == 0] == [9, 9]
    side.feed(data(refused + 6, HEARTBEAT, syn=True))
    assert side.frames() == []
    assert side.connection.streams == PEER_STREAM_LIMIT


def test_a_newcomer_may_have_few_streams() -> None:
    side = service(NEWCOMER)
    for n in range(NEWCOMER.peer_limit + 1):
        side.feed(data(3 + 2 * n, HEARTBEAT, syn=True))
    assert [f.value for f in side.frames()] == [9]
    side.connection.configure(OFFICIAL_RUST)
    side.feed(data(999, HEARTBEAT, syn=True))
    assert side.frames() == []


def test_a_peer_that_will_not_stop_opening_loses_its_session() -> None:
    side = service()
    raw = b"".join(data(3 + 2 * n, HEARTBEAT, syn=True) for n in range(FLOOD_LIMIT))
    side.feed(raw)
    assert side.connection.overloaded
    error = side.feed_faulty(data(3 + 2 * FLOOD_LIMIT, HEARTBEAT, syn=True))
    assert error.code == 10
    assert side.frames()[-1].type == 3


def test_both_limits_fit_each_other() -> None:
    pair = Pair()
    pair.service.call(StreamType.HEARTBEAT, b"")
    opened = fill_up(pair.service)
    for _ in range(URGENT_RESERVE):
        pair.service.call(StreamType.STOP)
    assert opened + 1 + URGENT_RESERVE == PEER_STREAM_LIMIT
    pair.settle()
    assert pair.agent.connection.streams == PEER_STREAM_LIMIT
    assert pair.service.connection.streams == PEER_STREAM_LIMIT


def test_counters() -> None:
    pair = Pair()
    stream, _ = pair.service.open()
    pair.agent.call(StreamType.BIND)
    stream.send(b"abc")
    pair.settle()
    for side in (pair.agent, pair.service):
        assert side.connection.opened == 2
        assert side.connection.streams == 2
        assert side.connection.proxied == 1
    assert pair.service.connection.bytes_out == pair.agent.connection.bytes_in > 20
    assert repr(pair.service.connection) == "<Connection service open portway streams=2>"
    assert repr(stream) == f"<Stream 2 OPEN credit={stream.credit} grant=262144/262144>"
