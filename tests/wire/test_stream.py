"""Streams as Pipes: the suite that every Pipe must pass, over two machines."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from tests.kit.pair import Side, agent, service
from tests.kit.pipes import Bell, End, Ends, PipeContract, Recorder

from portway.pipe import Sink
from portway.wire import OFFICIAL_GO, OFFICIAL_SERVICE, PORTWAY, Opening, Profile, Stream, StreamType
from portway.wire.opening import pack_opening


class Looped(Side):
    """A machine whose flushes are done by the event loop, as a session does them."""

    other: "Looped"

    def on_output(self) -> None:
        asyncio.get_running_loop().call_soon(self.pump)

    def pump(self) -> None:
        raw = self.flush()
        if raw:
            asyncio.get_running_loop().call_soon(self.other.feed, raw)


def joined(agents: Profile, services: Profile) -> tuple[Looped, Looped]:
    one, two = Looped(agent().connection.role, agents), Looped(service().connection.role, services)
    one.other, two.other = two, one
    return one, two


async def open_pair(opener: Looped, kind: StreamType, bell: Bell) -> Ends:
    """Open a stream; return its two ends."""
    near, far = Recorder(bell), Recorder(bell)
    arrived: list[Stream] = []

    def take(stream: Stream, opening: Opening) -> Sink:
        arrived.append(stream)
        bell.ring()
        return far

    opener.other.answer = take
    stream = opener.connection.open_stream(
        pack_opening(kind, b"{}"), near, urgent=kind is not StreamType.PROXY
    )
    await bell.until(lambda: bool(arrived))
    return Ends(End(stream, near), End(arrived[0], far), bell)


class StreamContract(PipeContract):
    """The suite over one kind of stream."""

    kind = StreamType.PROXY
    profiles: tuple[Profile, Profile] = (PORTWAY, PORTWAY)

    @pytest.fixture
    async def ends(self) -> AsyncIterator[Ends]:
        near, far = joined(*self.profiles)
        opener = far if self.kind is StreamType.PROXY else near
        yield await open_pair(opener, self.kind, Bell())
        assert near.faults == far.faults == []
        assert near.closed == far.closed == []


class TestOurOwn(StreamContract):
    """Between our own ends."""


class TestTowardGo(StreamContract):
    """As toward a Go agent: small frames, cut credit; our aborts reach it as FIN, then RST."""

    profiles = (OFFICIAL_SERVICE, OFFICIAL_GO)
    carries_codes = False

    async def test_abort_by_the_other_end(self, ends: Ends) -> None:
        """Our agent aborts by FIN alone toward a service that is not ours."""
        await ends.b.put(b"y" * 20_000)
        ends.b.pipe.abort()
        await ends.until(lambda: ends.a.sink.ends == 1)
        assert ends.a.sink.data == b"y" * 20_000
        assert ends.b.pipe.send(b"late") == 0

    async def test_abort_resets_the_other_end(self, ends: Ends) -> None:
        """FIN wakes an idle upstream, RST stops a writing one."""
        await ends.a.put(b"before")
        ends.a.pipe.abort()
        await ends.until(lambda: bool(ends.b.sink.resets))
        assert ends.b.sink.ends == 1
        assert ends.b.sink.resets == [6]

    async def test_abort_after_an_end(self, ends: Ends) -> None:
        """What the agent aborts after our end is its end."""
        ends.a.pipe.end()
        await ends.until(lambda: ends.b.sink.ends == 1)
        ends.b.pipe.abort()
        await ends.until(lambda: ends.a.sink.ends == 1)


class TestUrgent(StreamContract):
    """A request's stream."""

    kind = StreamType.BIND


# -- what the suite cannot see


@pytest.mark.row("S25")
def test_the_sink_is_dropped_when_the_stream_is_over() -> None:
    side = service()
    stream, ear = side.open()
    assert stream.sink is ear
    stream.abort()
    assert stream.sink is not ear
    two, ear = side.open()
    two.end()
    assert two.sink is ear
    side.connection.feed_eof(0.0)
    assert two.sink is not ear


def test_send_of_nothing_is_nothing() -> None:
    side = service()
    stream, _ = side.open()
    side.flush_all()
    assert stream.send(b"") == 0
    assert side.asked == 0
    assert not stream.waiting


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
def test_send_takes_any_buffer_and_keeps_none(
    make: Callable[[bytes], bytes | bytearray | memoryview],
) -> None:
    side = service()
    urgent, _ = side.call(StreamType.STOP)
    bulk, _ = side.open()
    side.flush_all()
    for stream in (urgent, bulk):
        for size in (10, 300_000):
            given = make(b"z" * size)
            taken = stream.send(given)
            if isinstance(given, bytearray):
                given.clear()  # fails when a view of it is still held
            sent = b"".join(frame.body for frame in side.frames())
            assert sent == b"z" * taken
