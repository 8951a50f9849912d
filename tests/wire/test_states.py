"""The table of a stream's life, every pair; and the machine, driven through every pair."""

from collections.abc import Callable

import pytest
from tests.kit.pair import Ear, Frame, Side, data, rst, service, wndinc

from portway.wire import OFFICIAL_RUST, PORTWAY, Profile, Stream
from portway.wire.states import MOVES, RECEIVING, SENDING, Event, State

S, E = State, Event

EXPECTED = """
              END         ABORT    PEER_END    PEER_RESET EXPIRED     SESSION_END
OPEN          ENDED       ABORTED  PEER_ENDED  GONE       OPEN        GONE
PEER_ENDED    GONE        GONE     PEER_ENDED  GONE       PEER_ENDED  GONE
ENDED         ENDED       ABORTED  GONE        GONE       ENDED       GONE
ABORTED       ABORTED     ABORTED  GONE        GONE       GONE        GONE
GONE          GONE        GONE     GONE        GONE       GONE        GONE
"""


def expected() -> dict[tuple[State, Event], State]:
    head, *lines = EXPECTED.strip().splitlines()
    events = [Event[name] for name in head.split()]
    return {
        (State[line.split()[0]], event): State[name]
        for line in lines
        for event, name in zip(events, line.split()[1:], strict=True)
    }


def test_the_table_is_what_the_specification_says() -> None:
    assert {(state, event): to for state, row in MOVES.items() for event, to in row.items()} == expected()


def test_every_pair_is_defined() -> None:
    assert len(expected()) == len(State) * len(Event)


def test_halves() -> None:
    assert {S.OPEN, S.PEER_ENDED} == SENDING
    assert {S.OPEN, S.ENDED} == RECEIVING


# -- the machine: each state by its shortest way, then each input


class Rig:
    """A service with one stream of its own in a given state, all output so far taken away."""

    def __init__(self, state: State, profile: Profile) -> None:
        self.side: Side = service(profile)
        self.stream: Stream
        self.ear: Ear
        self.stream, self.ear = self.side.open()
        if state in (S.PEER_ENDED, S.GONE):
            self.side.feed(data(2, b"", fin=True))
        if state in (S.ENDED, S.GONE):
            self.stream.end()
        if state is S.ABORTED:
            self.stream.abort()
        self.side.flush_all()
        assert self.stream.state is state
        self.heard = (self.ear.ended, list(self.ear.resets))

    def news(self) -> tuple[bool, list[int]]:
        return self.ear.ended is not self.heard[0], self.ear.resets[len(self.heard[1]) :]


def end(rig: Rig) -> None:
    rig.stream.end()


def abort(rig: Rig) -> None:
    rig.stream.abort()


def peer_end(rig: Rig) -> None:
    rig.side.feed(data(2, b"", fin=True))


def peer_data(rig: Rig) -> None:
    rig.side.feed(data(2, b"xyz"))


def peer_data_and_end(rig: Rig) -> None:
    rig.side.feed(data(2, b"xyz", fin=True))


def peer_reset(rig: Rig) -> None:
    rig.side.feed(rst(2, 7))


def peer_credit(rig: Rig) -> None:
    rig.side.feed(wndinc(2, 1000))


def expire(rig: Rig) -> None:
    rig.side.connection.on_deadline(1e9)


def session_end(rig: Rig) -> None:
    rig.side.connection.feed_eof(0.0)


FIN, RST4, RST6 = "FIN", "RST 4", "RST 6"
NEVER: tuple[bool, list[int]] = (False, [])

# state, input → next state, frames to our own peer, what the Sink hears: (end, resets)
CASES: list[tuple[State, Callable[[Rig], None], State, list[str], tuple[bool, list[int]]]] = [
    (S.OPEN, end, S.ENDED, [FIN], NEVER),
    (S.OPEN, abort, S.ABORTED, [RST6], NEVER),
    (S.OPEN, peer_end, S.PEER_ENDED, [], (True, [])),
    (S.OPEN, peer_data, S.OPEN, [], NEVER),
    (S.OPEN, peer_data_and_end, S.PEER_ENDED, [], (True, [])),
    (S.OPEN, peer_reset, S.GONE, [FIN], (False, [7])),
    (S.OPEN, peer_credit, S.OPEN, [], NEVER),
    (S.OPEN, expire, S.OPEN, [], NEVER),
    (S.OPEN, session_end, S.GONE, [], (False, [14])),
    (S.PEER_ENDED, end, S.GONE, [FIN], NEVER),
    (S.PEER_ENDED, abort, S.GONE, [RST6], NEVER),
    (S.PEER_ENDED, peer_end, S.PEER_ENDED, [], NEVER),
    (S.PEER_ENDED, peer_data, S.GONE, [RST4], (False, [4])),
    (S.PEER_ENDED, peer_data_and_end, S.GONE, [RST4], (False, [4])),
    (S.PEER_ENDED, peer_reset, S.GONE, [FIN], (False, [7])),
    (S.PEER_ENDED, peer_credit, S.PEER_ENDED, [], NEVER),
    (S.PEER_ENDED, expire, S.PEER_ENDED, [], NEVER),
    (S.PEER_ENDED, session_end, S.GONE, [], (False, [14])),
    (S.ENDED, end, S.ENDED, [], NEVER),
    (S.ENDED, abort, S.ABORTED, [RST6], NEVER),
    (S.ENDED, peer_end, S.GONE, [], (True, [])),
    (S.ENDED, peer_data, S.ENDED, [], NEVER),
    (S.ENDED, peer_data_and_end, S.GONE, [], (True, [])),
    (S.ENDED, peer_reset, S.GONE, [], (False, [7])),
    (S.ENDED, peer_credit, S.ENDED, [], NEVER),
    (S.ENDED, expire, S.ENDED, [], NEVER),
    (S.ENDED, session_end, S.GONE, [], (False, [14])),
    (S.ABORTED, end, S.ABORTED, [], NEVER),
    (S.ABORTED, abort, S.ABORTED, [], NEVER),
    (S.ABORTED, peer_end, S.GONE, [], NEVER),
    (S.ABORTED, peer_data, S.ABORTED, [], NEVER),
    (S.ABORTED, peer_data_and_end, S.GONE, [], NEVER),
    (S.ABORTED, peer_reset, S.GONE, [], NEVER),
    (S.ABORTED, peer_credit, S.ABORTED, [], NEVER),
    (S.ABORTED, expire, S.GONE, [], NEVER),
    (S.ABORTED, session_end, S.GONE, [], NEVER),
    (S.GONE, end, S.GONE, [], NEVER),
    (S.GONE, abort, S.GONE, [], NEVER),
    (S.GONE, peer_end, S.GONE, [], NEVER),
    (S.GONE, peer_data, S.GONE, [RST4], NEVER),
    (S.GONE, peer_data_and_end, S.GONE, [RST4], NEVER),
    (S.GONE, peer_reset, S.GONE, [], NEVER),
    (S.GONE, peer_credit, S.GONE, [], NEVER),
    (S.GONE, expire, S.GONE, [], NEVER),
    (S.GONE, session_end, S.GONE, [], NEVER),
]
INPUTS = {case[1] for case in CASES}


def told(frames: list[Frame]) -> list[str]:
    names: list[str] = []
    for frame in frames:
        assert frame.stream == 2
        assert frame.type in (0, 1)
        if frame.type:
            assert (frame.flags, frame.body) == (1, b"")
        names.append(FIN if frame.type else f"RST {frame.value}")
    return names


def test_all_pairs_are_listed() -> None:
    assert {(case[0], case[1]) for case in CASES} == {(state, given) for state in State for given in INPUTS}


@pytest.mark.row("S7")
@pytest.mark.parametrize(("state", "given", "after", "frames", "heard"), CASES)
def test_every_state_takes_every_input(
    state: State,
    given: Callable[[Rig], None],
    after: State,
    frames: list[str],
    heard: tuple[bool, list[int]],
) -> None:
    rig = Rig(state, PORTWAY)
    given(rig)
    assert rig.stream.state is after
    assert told(rig.side.frames()) == frames
    assert rig.news() == heard
    assert rig.side.connection.streams == (after is not S.GONE)
    # What may not send has nothing to send with, and nothing can change that.
    if after not in SENDING:
        assert rig.stream.credit == 0
        assert rig.stream.lend() is None
        assert rig.stream.send(b"x") == 0
        rig.stream.end()
        rig.stream.abort()
    if after is S.GONE:
        assert rig.side.frames() == []


@pytest.mark.row("S10")
@pytest.mark.parametrize(
    ("state", "frames"),
    [
        (S.OPEN, ["FIN", "RST 6"]),
        (S.PEER_ENDED, ["FIN", "RST 6"]),
        (S.ENDED, ["RST 6"]),
        (S.ABORTED, []),
        (S.GONE, []),
    ],
)
def test_an_abort_toward_an_official_agent_is_fin_then_reset(state: State, frames: list[str]) -> None:
    rig = Rig(state, OFFICIAL_RUST)
    rig.stream.abort(0)  # code 0 would not stop its writer: 6 is sent
    assert told(rig.side.frames()) == frames
