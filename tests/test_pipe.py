"""The contract of Pipes, over the streams of two session machines back to back.

Pairs in memory and legs are judged by the same suite in `tests/net`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest_asyncio

from portway.net.leg import Leg
from portway.net.memory import memory_pair
from portway.pipe import Sink
from portway.wire import (
    OFFICIAL_GO,
    PORTWAY,
    Opening,
    Profile,
    Role,
    Stream,
    StreamType,
    pack_opening,
)
from tests.kit.legs import settled, socket_between
from tests.kit.pair import Side
from tests.kit.pipes import Bell, End, Ends, PipeContract, Recorder

OPENING = pack_opening(StreamType.PROXY, b"{}")


class Loud(Side):
    """A machine that tells when it has output."""

    def __init__(self, role: Role, profile: Profile, tell: Callable[[], None]) -> None:
        """Make the machine."""
        self.tell = tell
        super().__init__(role, profile)

    def on_output(self) -> None:
        """Tell."""
        super().on_output()
        self.tell()


class Wire:
    """Two machines that the event loop flushes and feeds, a piece at a time."""

    def __init__(self, agents: Profile, services: Profile, piece: int) -> None:
        """Join them; `piece` is the most bytes that one delivery carries."""
        self.agent = Loud(Role.AGENT, agents, self.ask)
        self.service = Loud(Role.SERVICE, services, self.ask)
        self.to_agent, self.to_service = bytearray(), bytearray()
        self.piece = piece
        self.due = False

    def ask(self) -> None:
        """Be told that output is due, by either machine."""
        if not self.due:
            self.due = True
            asyncio.get_running_loop().call_soon(self.turn)

    def turn(self) -> None:
        """Move bytes once in each direction."""
        self.due = False
        self.to_service += self.agent.flush()
        self.to_agent += self.service.flush()
        for side, wire in ((self.agent, self.to_agent), (self.service, self.to_service)):
            if wire:
                taken = bytes(wire[: self.piece])
                del wire[: self.piece]
                side.feed(taken)
        if self.to_agent or self.to_service:
            self.ask()

    async def join(self, opener: Side, near: Sink, far: Sink) -> tuple[Stream, Stream]:
        """Open a stream from one machine to the other; return both ends of it."""
        other = self.agent if opener is self.service else self.service
        arrived: asyncio.Future[Stream] = asyncio.get_running_loop().create_future()

        def take(stream: Stream, opening: Opening) -> Sink:
            assert opening.body == b"{}"
            arrived.set_result(stream)
            return far

        other.answer = take
        stream = opener.connection.open_stream(OPENING, near)
        return stream, await arrived

    def check(self) -> None:
        """Judge what no end can see: no fault was contained, no area kept."""
        for side in (self.agent, self.service):
            assert not side.faults
            side.flush_all()
            assert not side.pool.out


class TestStreams(PipeContract):
    """Streams that the service opens, as all visitors' are, between our own."""

    bound = (1 << 20) + 262_144 + 1  # a raised window
    profile = PORTWAY
    piece = 1 << 20

    @pytest_asyncio.fixture
    async def ends(self) -> AsyncIterator[Ends]:
        """Join the two ends of a stream."""
        wire = Wire(self.profile, self.profile, self.piece)
        bell = Bell()
        near, far = Recorder(bell), Recorder(bell)
        one, two = await wire.join(self.opener(wire), near, far)
        yield Ends(End(one, near), End(two, far), bell)
        wire.check()

    def opener(self, wire: Wire) -> Side:
        """Who opens the stream."""
        return wire.service


class TestStreamsOfTheAgent(TestStreams):
    """Streams that the agent opens."""

    def opener(self, wire: Wire) -> Side:
        """The agent."""
        return wire.agent


class TestStreamsInSmallPieces(TestStreams):
    """The same, on a connection that breaks every frame to pieces."""

    piece = 1009


class TestStreamsTowardOfficialAgents(TestStreams):
    """The same under the profile of official agents: an abort is FIN, then RST."""

    profile = OFFICIAL_GO
    aborts_end_first = True


class TestLegOverAStream(PipeContract):
    """Memory, leg, socket, leg, stream: what a visitor's bytes go through."""

    carries_codes = False
    deaf_after_end = True
    bound = 1 << 26

    @pytest_asyncio.fixture
    async def ends(self) -> AsyncIterator[Ends]:
        """Join a Pipe in memory to a stream, by a socket."""
        wire = Wire(PORTWAY, PORTWAY, 1 << 20)
        bell = Bell()
        near, far = Recorder(bell), Recorder(bell)
        visitor, leg = Leg(), Leg()
        outer, inner = memory_pair()
        outer.attach(near)
        inner.attach(visitor)
        visitor.join(inner)
        here, there = await wire.join(wire.service, leg, far)
        leg.join(here)
        async with socket_between(visitor, leg):
            yield Ends(End(outer, near), End(there, far), bell)
            visitor.abort()
            leg.abort()
            await settled(visitor, leg)
        wire.check()
