"""Heartbeats: probing, judging, echoing."""

import asyncio
from typing import cast

import pytest
from tests.kit.certs import Certs
from tests.kit.clock import on_fake_clock, pass_time
from tests.kit.sessions import Pair, Played, frame, typed

from portway.errors import SessionClosed
from portway.session import Role, Stream, StreamType
from portway.session.heartbeat import INTERVAL, LONGEST, NEAR, REMEMBERED, SHORTEST, Echo, Heartbeat, clamp
from portway.wire.messages import Auth, AuthExtra

BEAT = typed(StreamType.HEARTBEAT)


class FakeStream:
    """A stream that writes down what is sent, and takes as much as the test allows."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.room = 1 << 20
        self.consumed = 0
        self.ended = False

    def send(self, data: bytes) -> int:
        taken = data[: self.room]
        self.room -= len(taken)
        if taken:
            self.sent.append(taken)
        return len(taken)

    def consume(self, n: int) -> None:
        self.consumed += n

    def end(self) -> None:
        self.ended = True


class Beating:
    """A heartbeat with a clock, a stopwatch and random bytes of the test's choice."""

    def __init__(self) -> None:
        self.now = 100.0
        self.watch = 0.0
        self.latencies: list[float] = []
        self.stream = FakeStream()
        self.probes = 0
        self.beat = Heartbeat(
            10,
            15,
            lambda: self.now,
            self.latencies.append,
            chance=self._probe,
            stopwatch=lambda: self.watch,
        )
        self.beat.begin(cast("Stream", self.stream))

    def _probe(self) -> bytes:
        self.probes += 1
        return self.probes.to_bytes(4, "big")

    def answer(self, data: bytes | None = None) -> None:
        self.beat.on_data(memoryview(self.stream.sent[-1] if data is None else data))


@pytest.mark.row("S15")
def test_a_probe_is_four_bytes_in_one_piece() -> None:
    beating = Beating()
    assert beating.stream.sent == [b"\0\0\0\1"]


def test_an_answer_gives_the_latency_and_the_next_probe_after_the_interval() -> None:
    beating = Beating()
    beating.now, beating.watch = 100.4, 0.3
    beating.answer()
    assert beating.latencies == [pytest.approx(0.3)]
    assert beating.beat.deadline() == 110.0
    assert not beating.beat.on_deadline(109.0)
    assert len(beating.stream.sent) == 1
    assert not beating.beat.on_deadline(110.0)
    assert beating.stream.sent[1] == b"\0\0\0\2"
    assert beating.stream.consumed == 4


def test_a_peer_is_near_by_its_quickest_answer_of_a_while() -> None:
    beating = Beating()

    def answer_after(seconds: float) -> bool:
        beating.now += 10.0
        beating.beat.on_deadline(beating.now)
        beating.watch += seconds
        beating.answer()
        return beating.beat.near

    assert not beating.beat.near  # nothing is known yet
    assert not answer_after(NEAR * 2)
    assert answer_after(NEAR / 2)
    assert all(answer_after(NEAR * 2) for _ in range(REMEMBERED - 1))
    assert not answer_after(NEAR * 2)


def test_a_late_answer_is_followed_by_a_probe_at_once() -> None:
    beating = Beating()
    beating.now = 118.0
    beating.answer()
    assert beating.beat.deadline() == 118.0


def test_one_probe_is_under_way_at_a_time() -> None:
    beating = Beating()
    for now in (105.0, 111.0, 124.0):
        assert not beating.beat.on_deadline(now)
    assert len(beating.stream.sent) == 1


def test_an_answer_may_come_in_parts() -> None:
    beating = Beating()
    beating.answer(b"\0\0")
    assert beating.latencies == []
    beating.answer(b"\0\1")
    assert len(beating.latencies) == 1


@pytest.mark.row("A3")
def test_silence_is_death_after_interval_and_tolerance() -> None:
    beating = Beating()
    assert beating.beat.deadline() == 125.0
    assert not beating.beat.on_deadline(124.9)
    assert beating.beat.on_deadline(125.0)


@pytest.mark.row("A3")
@pytest.mark.parametrize("answer", [b"\0\0\0\2", b"\0\0\0\1\0"])
def test_a_wrong_answer_counts_as_silence(answer: bytes) -> None:
    beating = Beating()
    beating.answer(answer)
    assert beating.latencies == []
    assert not beating.beat.on_deadline(110.0)
    assert len(beating.stream.sent) == 1
    assert beating.beat.on_deadline(125.0)


@pytest.mark.row("S14")
def test_any_byte_counts_for_who_listens_to_it() -> None:
    beating = Beating()
    beating.beat.heard_at = 120.0
    assert not beating.beat.on_deadline(125.0)
    assert beating.beat.deadline() == 145.0


def test_bytes_that_nobody_asked_for_are_ignored() -> None:
    beating = Beating()
    beating.answer()
    beating.answer(b"\0\0\0\1")
    assert len(beating.latencies) == 1


def test_a_reset_stream_is_not_probed_and_the_time_out_decides() -> None:
    beating = Beating()
    beating.answer()
    beating.beat.on_reset(6)
    assert not beating.beat.on_deadline(110.0)
    assert len(beating.stream.sent) == 1
    assert beating.beat.on_deadline(125.0)


@pytest.mark.parametrize(
    ("nanoseconds", "seconds"),
    [(0, INTERVAL), (-5, INTERVAL), (2_000_000_000, 2.0), (1, SHORTEST), (10**18, LONGEST)],
)
def test_times_of_auth_are_bounded(nanoseconds: int, seconds: float) -> None:
    assert clamp(nanoseconds, INTERVAL) == seconds


# -- echo ----------------------------------------------------------------------------------------------


@pytest.mark.row("S13")
def test_an_echo_returns_whole_probes() -> None:
    stream = FakeStream()
    echo = Echo(cast("Stream", stream))
    for piece in (b"ab", b"cdef", b"gh"):
        echo.on_data(memoryview(piece))
    assert stream.sent == [b"abcd", b"efgh"]
    assert stream.consumed == 8


def test_an_echo_that_is_not_read_waits_for_room() -> None:
    stream = FakeStream()
    stream.room = 6
    echo = Echo(cast("Stream", stream))
    echo.on_data(memoryview(b"abcdefgh"))
    assert stream.sent == [b"abcdef"]
    assert stream.consumed == 6  # what waits keeps its credit: a flood stops itself
    stream.room = 100
    echo.on_data(memoryview(b"ij"))
    echo.on_room()
    assert stream.sent[1:] == [b"gh"]
    echo.on_data(memoryview(b"kl"))
    assert stream.sent[1:] == [b"gh", b"ijkl"]


@pytest.mark.row("A2")
def test_the_end_of_a_heartbeat_stream_is_answered_with_an_end() -> None:
    stream = FakeStream()
    stream.room = 0
    echo = Echo(cast("Stream", stream))
    echo.on_data(memoryview(b"abcd"))
    echo.on_end()
    assert not stream.ended
    stream.room = 4
    echo.on_room()
    assert stream.ended
    assert stream.sent == [b"abcd"]


# -- in sessions, on a fake clock ----------------------------------------------------------------------


@on_fake_clock
async def test_both_ends_probe_and_answer_for_as_long_as_they_live(certs: Certs) -> None:
    pair = Pair(certs)
    await pair.secure()
    pair.agent.start_heartbeats(10, 15)
    pair.service.start_heartbeats(10, 15)
    await pass_time(1000)
    assert not pair.agent.closed
    assert not pair.service.closed
    assert len(pair.agent_owner.latencies) == len(pair.service_owner.latencies) == 100
    await pair.close()


@pytest.mark.row("A3")
@on_fake_clock
async def test_an_agent_ends_a_session_without_answers(certs: Certs) -> None:
    """Other bytes of the service do not count for an agent."""
    played = Played(certs, Role.AGENT)
    await played.secure()
    loop = asyncio.get_running_loop()
    start = loop.time()
    played.session.start_heartbeats(1, 2)
    for number in range(2, 12, 2):
        await pass_time(0.5)
        played.peer.send(frame(1, 2, number, BEAT), frame(1, 0, number, b"ping"))
    await played.until(lambda: bool(played.owner.closed))
    assert loop.time() == pytest.approx(start + 3.0, abs=0.01)
    assert "no heartbeat for 3 s" in str(played.owner.closed[0])
    assert played.peer.frames[-1][:2] == (3, 0)  # GOAWAY
    await played.close()


@pytest.mark.row("S14")
@on_fake_clock
async def test_a_service_ends_a_session_without_any_frame(certs: Certs) -> None:
    """Any frame is a sign of life there, with the times that Auth gave."""
    played = Played(certs, Role.SERVICE)
    await played.secure()
    loop = asyncio.get_running_loop()
    extra = AuthExtra(heartbeat_interval=1_000_000_000, heartbeat_tolerance=2_000_000_000)
    played.session.admit(Auth(extra=extra))
    played.peer.send(frame(1, 2, 3, BEAT))
    for _ in range(20):
        await pass_time(1)
        played.peer.send(frame(1, 0, 3, b"ping"))
    last = loop.time()
    assert not played.session.closed
    await played.until(lambda: played.peer.data(3) == b"ping" * 20)
    await played.until(lambda: bool(played.owner.closed))
    assert loop.time() == pytest.approx(last + 3.0, abs=0.01)
    assert isinstance(played.owner.closed[0], SessionClosed)
    await played.close()


@pytest.mark.row("S14")
@on_fake_clock
async def test_without_times_in_auth_the_defaults_hold(certs: Certs) -> None:
    played = Played(certs, Role.SERVICE)
    await played.secure()
    played.session.admit(Auth())
    start = asyncio.get_running_loop().time()
    await pass_time(24.9)
    assert not played.session.closed
    await pass_time(0.2)
    assert played.session.closed
    assert asyncio.get_running_loop().time() == pytest.approx(start + 25.1)
    await played.close()


@pytest.mark.row("S15")
@on_fake_clock
async def test_our_stream_on_the_wire(certs: Certs) -> None:
    """The opening alone, then each probe in a frame of four bytes, and never FIN."""
    played = Played(certs, Role.SERVICE)
    await played.secure()
    played.session.start_heartbeats(1, 2)
    for count in range(1, 4):
        await played.until(lambda wanted=count: len(played.peer.of(2)) == 1 + wanted)
        played.peer.send(frame(1, 0, 2, played.peer.of(2)[-1][2]))
    seen = played.peer.of(2)
    assert seen[0] == (1, 2, BEAT)
    assert [(kind, flags, len(body)) for kind, flags, body in seen[1:]] == [(1, 0, 4)] * 3
    assert len({body for _, _, body in seen[1:]}) == 3
    await played.close()


@pytest.mark.row("S13", "A2")
@on_fake_clock
async def test_any_number_of_heartbeat_streams_is_answered(certs: Certs) -> None:
    for role, first in ((Role.SERVICE, 3), (Role.AGENT, 2)):
        played = Played(certs, role)
        await played.secure()
        ids = range(first, first + 20, 2)
        played.peer.send(*(frame(1, 2, number, BEAT + b"%04d" % number) for number in ids))
        played.peer.send(*(frame(1, 0, number, b"%04d" % (number * 7)) for number in ids))
        await played.until(lambda ids=ids, played=played: all(len(played.peer.data(n)) == 8 for n in ids))
        assert all(played.peer.data(n) == b"%04d%04d" % (n, n * 7) for n in ids)
        played.peer.send(frame(1, 1, first))
        await played.until(lambda first=first, played=played: (1, 1, b"") in played.peer.of(first))
        assert not played.session.closed
        await played.close()
