"""Recorded bytes of official clients, replayed.

Our service must understand them however they are cut, and our agent, doing the same things on the
same streams, must write the same bytes. The recordings are tests/data/captures; only what the clients
wrote is an oracle there.
"""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.kit.pair import Ear, Frame, Side, agent, frames_of, service

from portway.wire import OFFICIAL_SERVICE, STRICT, Opening, StreamType
from portway.wire.opening import RPC_TYPES
from portway.wire.states import SENDING

FOLDER = Path(__file__).resolve().parent.parent / "data" / "captures"
CLIENTS = ["python-sdk-1.4.0", "node-sdk-1.7.0", "go-sdk-2.1.1"]


@dataclass
class Exchange:
    """One recorded exchange: who wrote which frame."""

    name: str
    frames: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])


def exchanges(client: str) -> list[Exchange]:
    found = json.loads((FOLDER / f"{client}.json").read_text())["exchanges"]
    return [
        Exchange(entry["name"], [(frame["dir"], bytes.fromhex(frame["hex"])) for frame in entry["frames"]])
        for entry in found
        if entry.get("frames")
    ]


RECORDED = [(client, exchange) for client in CLIENTS for exchange in exchanges(client)]
NAMES = [f"{client}-{exchange.name}-{n}" for n, (client, exchange) in enumerate(RECORDED)]
recorded = pytest.mark.parametrize(("client", "exchange"), RECORDED, ids=NAMES)


def bytewise(raw: bytes) -> Iterator[bytes]:
    yield from (raw[n : n + 1] for n in range(len(raw)))


def whole(raw: bytes) -> Iterator[bytes]:
    yield raw


def at_random(seed: int) -> Callable[[bytes], Iterator[bytes]]:
    def cut(raw: bytes) -> Iterator[bytes]:
        choose = random.Random(seed)
        while raw:
            n = min(len(raw), choose.choice([1, 2, 5, 8, 11, 12, 20, 300]))
            yield raw[:n]
            raw = raw[n:]

    return cut


cuts = pytest.mark.parametrize("cut", [bytewise, whole, at_random(1), at_random(2), at_random(3)])


def test_the_recordings_are_there() -> None:
    assert len(RECORDED) > 60


@pytest.mark.row("S2", "S16")
@cuts
@pytest.mark.parametrize("client", CLIENTS)
def test_the_first_flight_is_understood(client: str, cut: Callable[[bytes], Iterator[bytes]]) -> None:
    raw = bytes.fromhex("".join((FOLDER / f"{client}.first-flight.hex").read_text().split()))
    side = service(STRICT)
    sent: dict[int, bytes] = {}
    for frame in frames_of(raw):
        if frame.type == 1:
            sent[frame.stream] = sent.get(frame.stream, b"") + frame.body
    for part in cut(raw):
        side.feed(part)
    understood = {
        stream.id: (opening, ear) for (stream, ear), opening in zip(side.arrived, side.openings, strict=True)
    }
    assert set(understood) == set(sent)
    for stream_id, body in sent.items():
        opening, ear = understood[stream_id]
        assert opening.type.to_bytes(4, "big") == body[:4]
        if opening.type in RPC_TYPES:
            assert opening.body == body[4:].rstrip()
            assert json.loads(opening.body)["Version"] == ["3", "2"]
        else:
            assert opening == Opening(StreamType.HEARTBEAT)
            assert ear.received == body[4:]
    assert side.faults == []
    assert not [frame for frame in side.frames() if frame.type in (0, 3)]


class Replay:
    """One machine that does what one side of a recording did, and hears the other."""

    def __init__(self, side: Side, own: str, cut: Callable[[bytes], Iterator[bytes]]) -> None:
        self.side = side
        self.own = own
        self.cut = cut
        self.ears: dict[int, Ear] = {}
        self.opened: set[int] = set()

    def run(self, exchange: Exchange) -> bytes:
        """Replay; return the bytes that the machine wrote."""
        written = bytearray()
        for who, raw in exchange.frames:
            if who != self.own:
                for part in self.cut(raw):
                    self.side.feed(part)
                for stream, ear in self.side.arrived:
                    self.ears[stream.id] = ear
            else:
                self.act(frames_of(raw)[0])
            written += self.side.flush_all()
        return bytes(written)

    def act(self, frame: Frame) -> None:
        connection = self.side.connection
        if frame.type == 3:
            connection.goaway(int.from_bytes(frame.body[4:8], "big"), frame.body[8:].decode())
        if frame.type != 1:
            return
        if frame.flags & 2:
            connection.slots.next_id = frame.stream
            ear = self.ears[frame.stream] = Ear()
            ear.pipe = connection.open_stream(frame.body, ear, urgent=True)
            self.opened.add(frame.stream)
            return
        pipe = self.ears[frame.stream].pipe
        assert pipe is not None
        if frame.body:
            assert pipe.send(frame.body) == len(frame.body)
        if frame.flags & 1:
            pipe.end()


@pytest.mark.row("A1", "S7")
@recorded
def test_our_agent_writes_what_the_client_wrote(client: str, exchange: Exchange) -> None:
    side = agent(OFFICIAL_SERVICE)
    ours = frames_of(Replay(side, "agent", whole).run(exchange))
    theirs = [frames_of(raw)[0] for who, raw in exchange.frames if who == "agent"]
    # When credit goes back is each implementation's own; that it is the right sum is in test_window.
    assert [frame for frame in ours if frame.type != 2] == [frame for frame in theirs if frame.type != 2]


@pytest.mark.row("S2", "S16")
@cuts
@recorded
def test_our_service_hears_what_the_client_said(
    client: str, exchange: Exchange, cut: Callable[[bytes], Iterator[bytes]]
) -> None:
    if exchange.name == "data_on_unknown_stream":
        side = service(STRICT)
        side.feed(exchange.frames[1][1])
        assert side.frames() == []
        return
    side = service(STRICT)
    replay = Replay(side, "server", cut)
    ended: set[int] = set()
    said: dict[int, bytes] = {}
    credit: dict[int, int] = {}
    sent: dict[int, int] = {}
    goaway = False
    for who, raw in exchange.frames:
        frame = frames_of(raw)[0]
        if who == "agent":
            if frame.type == 1:
                said[frame.stream] = said.get(frame.stream, b"") + frame.body
                if frame.flags & 1:
                    ended.add(frame.stream)
            elif frame.type == 2:
                credit[frame.stream] = credit.get(frame.stream, 0) + frame.value
            goaway |= frame.type == 3
        elif frame.type == 1:
            sent[frame.stream] = sent.get(frame.stream, 0) + len(frame.body)
    replay.run(exchange)
    openings = {stream.id: opening for (stream, _), opening in zip(side.arrived, side.openings, strict=True)}
    for stream_id, body in said.items():
        ear = replay.ears[stream_id]
        if stream_id in replay.opened:
            assert ear.received == body
        else:
            opening = openings[stream_id]
            assert opening.error == ""
            if opening.type in RPC_TYPES:
                assert opening.body == body[4:].rstrip(b"\n")
            else:
                assert ear.received == body[4:]
        assert ear.ended == (stream_id in ended)
    assert side.faults == []
    assert side.connection.closed is goaway
    for stream_id, stream in side.connection.slots.streams.items():
        if stream.state in SENDING:
            assert stream.credit == 262_144 - sent.get(stream_id, 0) + credit.get(stream_id, 0)


@pytest.mark.row("S9")
@pytest.mark.parametrize("client", CLIENTS[:2])
@cuts
def test_the_malformed_goaway_of_rust_agents_ends_the_session(
    client: str, cut: Callable[[bytes], Iterator[bytes]]
) -> None:
    [entry] = [
        entry
        for entry in json.loads((FOLDER / f"{client}.json").read_text())["exchanges"]
        if entry["name"] == "malformed_goaway"
    ]
    raw = bytes.fromhex(entry["agent_bytes_hex_as_framed_by_length_field"])
    raw += bytes.fromhex(entry["bytes_following_on_the_wire_hex"])
    assert int.from_bytes(raw[:3], "big") == len(raw) - 8 - 8
    side = service(STRICT)
    stream, ear = side.open()
    side.flush_all()
    for part in cut(raw):
        side.feed(part)
    assert side.connection.closed
    assert ear.resets == [14]
    assert len(side.closed) == 1
    assert stream.send(b"x") == 0
    assert side.flush_all() == b""
