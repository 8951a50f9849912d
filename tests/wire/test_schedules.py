"""Two machines back to back under any schedule, with unequal profiles.

Hypothesis draws the schedule: who opens, writes, consumes, ends, aborts; which side flushes, and how
many bytes of it arrive when. After every step the invariants of docs/spec/wire.md are looked at from
outside; at the end everybody reads and writes on until all is done, and nothing may be left anywhere.
"""

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.kit.pair import Side

from portway.errors import StreamLimit
from portway.pipe import Sink
from portway.wire import (
    OFFICIAL_GO,
    OFFICIAL_RUST,
    OFFICIAL_SERVICE,
    PORTWAY,
    STRICT,
    Opening,
    Profile,
    Role,
    Stream,
    StreamType,
    pack_opening,
)
from portway.wire.output import AREA_SIZE
from portway.wire.states import RECEIVING, SENDING

PATTERN = bytes(n * 7 & 255 for n in range(1 << 16)) * 16
MOST_STREAMS = 12


def pattern(seed: int, start: int, n: int) -> bytes:
    """Bytes that tell which stream and which place they are from."""
    at = (seed * 101 + start) % (1 << 16)
    return PATTERN[at : at + n]


@dataclass
class Writer:
    """One end of one stream: a leg that writes a pattern and checks what it hears."""

    world: "World"
    side: Side
    seed: int
    stream: Stream | None = None
    peer: "Writer | None" = None
    sent: int = 0
    heard: int = 0
    consumed: int = 0
    parked: bool = False
    finished: bool = False
    cut: bool = False
    ended: bool = False
    reset: list[int] = field(default_factory=list[int])

    # -- what a leg does

    def write(self, n: int, *, lend: bool) -> None:
        """Write up to n bytes, unless parked."""
        stream = self.stream
        assert stream is not None
        if self.parked or self.over:
            return
        if not lend:
            data = pattern(self.seed, self.sent, n)
            taken = stream.send(data)
            self.sent += taken
            self.parked = taken < len(data)
            return
        view = stream.lend()
        if view is None:
            self.parked = True
            return
        n = min(n, len(view))
        view[:n] = pattern(self.seed, self.sent, n)
        self.sent += n
        self.parked = not stream.filled(n)

    def consume(self, n: int) -> None:
        stream = self.stream
        assert stream is not None
        n = min(n, self.heard - self.consumed)
        self.consumed += n
        stream.consume(n)

    def finish(self) -> None:
        assert self.stream is not None
        self.finished = True
        self.stream.end()

    def abort(self) -> None:
        assert self.stream is not None
        if not (self.reset or (self.finished and self.ended)):
            self.cut = True
        self.stream.abort()

    @property
    def over(self) -> bool:
        return self.finished or self.cut or bool(self.reset)

    # -- what a leg hears

    def on_data(self, view: memoryview) -> None:
        assert not self.ended
        assert not self.reset
        assert not self.cut
        assert self.peer is not None
        assert bytes(view) == pattern(self.peer.seed, self.heard, len(view))
        self.heard += len(view)
        assert self.heard <= self.peer.sent

    def on_end(self) -> None:
        assert not self.ended
        assert not self.reset
        assert self.peer is not None
        assert self.peer.finished or self.peer.cut
        if not self.peer.cut:
            assert self.heard == self.peer.sent, "an end before the data"
        self.ended = True

    def on_reset(self, code: int) -> None:
        assert not self.reset
        assert self.peer is not None
        self.reset.append(code)
        if self.world.ending and code == 14:
            return
        assert self.peer.cut, "only aborts reset streams here"
        # Who may not send RST 6 answers what still comes by RST 4.
        assert code == 6 or (code == 4 and not self.peer.side.connection.profile.reset_on_abort)

    def on_room(self) -> None:
        assert self.parked
        assert not self.over
        self.parked = False
        if self.world.eager:
            self.write(200_000, lend=True)


class World:
    """Two machines, their wires, and all writers."""

    def __init__(self, agents: Profile, services: Profile) -> None:
        self.sides = (Side(Role.AGENT, agents), Side(Role.SERVICE, services))
        self.wires = (bytearray(), bytearray())  # what each side has sent
        self.writers: list[Writer] = []
        self.by_id: dict[int, Writer] = {}
        self.eager = False
        self.ending = False
        for side in self.sides:
            side.answer = self.arrive

    def open(self, who: int, *, urgent: bool, first: int) -> None:
        if len(self.writers) >= 2 * MOST_STREAMS:
            return
        side = self.sides[who]
        near = Writer(self, side, len(self.writers))
        far = Writer(self, self.sides[1 - who], len(self.writers) + 1)
        near.peer, far.peer = far, near
        kind = StreamType.HEARTBEAT if urgent else StreamType.PROXY
        opening = pack_opening(kind, b"" if urgent else b'{"Id":"x"}')
        opening += pattern(near.seed, 0, first)
        near.sent = first
        try:
            near.stream = side.connection.open_stream(opening, near, urgent)
        except StreamLimit:
            return
        self.by_id[near.stream.id] = far
        self.writers += [near, far]

    def arrive(self, stream: Stream, opening: Opening) -> Sink:
        writer = self.by_id[stream.id]
        writer.stream = stream
        return writer

    @property
    def live(self) -> list[Writer]:
        return [writer for writer in self.writers if writer.stream is not None]

    def flush(self, who: int) -> None:
        self.wires[who].extend(self.sides[who].flush())

    def deliver(self, who: int, n: int) -> None:
        wire = self.wires[who]
        taken = bytes(wire[:n])
        del wire[:n]
        self.sides[1 - who].feed(taken)

    # -- invariants

    def check(self) -> None:
        for side in self.sides:
            self.check_side(side)
        for writer in self.writers:
            # Never more on the way than a window, and never more kept than a window.
            if writer.peer is not None and writer.peer.stream is not None:
                window = max(writer.peer.stream.window, 262_144)
                outstanding = writer.sent - writer.peer.consumed
                if not (writer.over or writer.peer.over):
                    assert outstanding <= window
                assert writer.peer.heard - writer.peer.consumed <= 1 << 20

    def check_side(self, side: Side) -> None:
        connection = side.connection
        output = connection.output
        assert not connection.closed
        assert side.faults == []
        assert output.reserved >= 0
        assert output.pos + output.reserved <= AREA_SIZE
        assert output.reserved == sum(stream.turn for stream in connection.slots.streams.values())
        assert side.pool.out <= 1
        assert len(output.last) <= 20 * 2 * MOST_STREAMS
        assert len(output.first) <= 2 * MOST_STREAMS * (262_144 + 100)
        if output.first or output.pos or output.last or output.queue:
            assert side.asked, "something waits and no flush was asked for"
        for stream in connection.slots.streams.values():
            assert 0 <= stream.credit <= connection.profile.send_credit_cap
            assert 0 <= stream.grant <= stream.window <= max(262_144, connection.profile.receive_window)
            assert 0 <= stream.consumed < 131_072
            assert stream.grant + stream.consumed <= stream.window
            if stream.state not in SENDING:
                assert stream.credit == stream.turn == stream.waiting == 0
            if stream.state not in RECEIVING:
                assert stream.window == 0

    def finish(self) -> None:
        """Everybody reads, writes a last piece and ends; then nothing may be left."""
        goal = {id(writer): writer.sent + 300_000 for writer in self.live if not writer.over}
        for _ in range(1000):
            for who in (0, 1):
                self.flush(who)
                self.deliver(who, 1 << 30)
            for writer in self.live:
                writer.consume(1 << 30)
                if writer.over:
                    continue
                left = goal.setdefault(id(writer), writer.sent + 1000) - writer.sent
                if left > 0:
                    writer.write(min(left, 100_000), lend=bool(writer.seed & 2))
                else:
                    writer.finish()
            self.check()
            if (
                not any(self.wires)
                and all(w.over for w in self.writers)
                and not any(side.asked for side in self.sides)
            ):
                break
        else:
            raise AssertionError(f"stuck: {[w for w in self.live if not w.over]}")
        for writer in self.writers:
            assert writer.peer is not None
            if writer.peer.finished and not (
                writer.cut or writer.reset or writer.peer.cut or writer.peer.reset
            ):
                assert writer.heard == writer.peer.sent
                assert writer.ended
        for side in self.sides:
            side.connection.on_deadline(1e9)
            assert side.connection.streams == 0
            assert side.connection.raised == 0
            assert side.connection.collecting == 0
            assert side.connection.output.reserved == 0
            assert not side.connection.output.queue
            assert side.pool.out == 0
            side.connection.goaway(0)
            assert len(side.flush_all()) == 16

    def break_off(self, who: int) -> None:
        """One side ends the session in the middle of it, the other hears of it whenever it does."""
        self.ending = True
        self.sides[who].connection.goaway(0, "enough")
        last = bytearray()
        while (view := self.sides[who].connection.take_output()) is not None:
            last += view
        assert last.endswith(b"enough")
        assert self.sides[who].flush_all() == b""
        self.sides[1 - who].feed(bytes(self.wires[who] + last))
        for side in self.sides:
            assert len(side.closed) == 1
            assert side.faults == []
            assert side.connection.streams == side.connection.raised == side.connection.collecting == 0
            assert side.connection.output.reserved == 0
            assert side.flush_all() == b""
            assert side.pool.out == 0
        for writer in self.live:
            assert writer.cut or writer.reset or (writer.finished and writer.ended)
            assert writer.stream is not None
            assert writer.stream.send(b"x") == 0


class Step:
    """How a drawn step acts."""

    @staticmethod
    def act(world: World, action: str, which: int, amount: int) -> None:
        if action == "open":
            world.open(which & 1, urgent=which & 6 == 6, first=amount & 4095)
        elif action == "flush":
            world.flush(which & 1)
        elif action == "deliver":
            world.deliver(which & 1, amount)
        elif live := world.live:
            writer = live[which % len(live)]
            if action == "lend":
                writer.write(amount, lend=True)
            elif action == "send":
                writer.write(amount, lend=False)
            elif action == "consume":
                writer.consume(amount)
            elif action == "end" and not writer.over:
                writer.finish()
            elif action == "abort":
                writer.abort()


ACTIONS = [
    "open", "open", "lend", "lend", "lend", "lend", "send", "send", "send", "consume", "consume", "consume",
    "flush", "flush", "flush", "deliver", "deliver", "deliver", "end", "abort",
]  # fmt: skip
steps = st.lists(
    st.tuples(
        st.sampled_from(ACTIONS),
        st.integers(0, 63),
        st.sampled_from([1, 7, 8, 100, 4000, 40_000, 131_072, 300_000, 1_000_000]),
    ),
    max_size=120,
)
AGENTS = [PORTWAY, OFFICIAL_SERVICE, STRICT]
SERVICES = [PORTWAY, OFFICIAL_RUST, OFFICIAL_GO, STRICT]


@pytest.mark.row("S5", "S6", "S25")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(AGENTS), st.sampled_from(SERVICES), st.booleans(), steps)
@example(PORTWAY, PORTWAY, True, [("open", 1, 1)] * 10 + [("flush", 1, 1), ("deliver", 1, 1 << 20)])
# A writer whose reader aborts by FIN alone, and who then runs out of credit.
@example(
    OFFICIAL_SERVICE, PORTWAY, False, [("open", 0, 1), ("flush", 0, 1), ("deliver", 0, 100), ("abort", 0, 1)]
)
# A stream that used up its credit within a turn, and got more credit before the turn lapsed.
@example(
    PORTWAY, PORTWAY, False, [("open", 1, 1), ("open", 1, 1), ("lend", 0, 300_000), ("send", 1, 300_000)]
)
def test_any_schedule(
    agents: Profile, services: Profile, eager: bool, schedule: list[tuple[str, int, int]]
) -> None:
    play(agents, services, schedule, eager=eager)


@pytest.mark.long
@pytest.mark.timeout(1800)
@settings(max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(AGENTS), st.sampled_from(SERVICES), st.booleans(), steps)
def test_any_schedule_for_long(
    agents: Profile, services: Profile, eager: bool, schedule: list[tuple[str, int, int]]
) -> None:
    play(agents, services, schedule, eager=eager)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(AGENTS), st.sampled_from(SERVICES), st.booleans(), steps, st.integers(0, 1))
@example(PORTWAY, PORTWAY, False, [("open", 0, 1), ("abort", 0, 1)], 0)
def test_the_session_may_end_at_any_step(
    agents: Profile, services: Profile, eager: bool, schedule: list[tuple[str, int, int]], who: int
) -> None:
    world = World(agents, services)
    world.eager = eager
    for action, which, amount in schedule:
        Step.act(world, action, which, amount)
    world.break_off(who)


def play(agents: Profile, services: Profile, schedule: list[tuple[str, int, int]], *, eager: bool) -> None:
    world = World(agents, services)
    world.eager = eager
    for action, which, amount in schedule:
        Step.act(world, action, which, amount)
        world.check()
    world.eager = False
    world.finish()


@pytest.mark.parametrize("services", SERVICES, ids=lambda profile: profile.name)
@pytest.mark.parametrize("agents", AGENTS, ids=lambda profile: profile.name)
def test_many_writers_at_full_speed(agents: Profile, services: Profile) -> None:
    """Every parked stream gets its turn: none gets less than a quarter of another."""
    world = World(agents, services)
    for n in range(10):
        world.open(n & 1, urgent=False, first=10)
    for who in (0, 1):
        world.flush(who)
        world.deliver(who, 1 << 30)
    world.eager = True
    for writer in world.writers:
        writer.write(200_000, lend=True)
    for n in range(300):
        for who in (0, 1):
            world.flush(who)
            world.deliver(who, 100_000 if n % 3 else 1 << 30)
        for writer in world.writers:
            writer.consume(1 << 30)
            writer.write(200_000, lend=True)
        world.check()
    for side in world.sides:
        sent = [writer.sent for writer in world.writers if writer.side is side]
        assert min(sent) > 1_000_000
        assert max(sent) < 4 * min(sent)
    world.eager = False
    world.finish()
