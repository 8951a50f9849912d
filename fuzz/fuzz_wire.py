"""Fuzz the session machine with frames that are nearly right.

Invariant: whatever arrives, and however it is cut, the machine either goes on or raises the one
documented error; it means the same in every cut; it keeps no more than its limits; and a GOAWAY is
the last thing that it says.

Run ``python fuzz/fuzz_wire.py --seconds 10 [--seed 1]``.
"""

import argparse
import random
import struct
import time

from portway.errors import PortwayError, RemoteProtocolError
from portway.pipe import Sink
from portway.wire import (
    AREA_SIZE,
    OFFICIAL_GO,
    OFFICIAL_RUST,
    PORTWAY,
    STRICT,
    Connection,
    Opening,
    Profile,
    Role,
    Stream,
    pack_opening,
)
from portway.wire.arrival import COLLECT_LIMIT
from portway.wire.opening import RPC_TYPES

PROFILES = [STRICT, OFFICIAL_RUST, OFFICIAL_GO, PORTWAY]
IDS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0x7FFFFFFF, 0x7FFFFFFE, 0x80000000, 0x80000003]
LENGTHS = [0, 1, 4, 5, 8, 100, 5000, 131_072, 262_144, 262_145, 0xFFFFFF]
BODIES = [
    pack_opening(0, b'{"Version":["3"]}'),
    pack_opening(1, b'{"Id":"","Opts":{"a":"}\\""}}\n'),
    pack_opening(3, b'{"Id":"x"}') + b"GET / HTTP/1.1\r\n\r\n",
    pack_opening(0xFFFFFFFF) + b"ping",
    pack_opening(5, b"{}"),
    b"\0\0\0\x03" + b"\xff" * 8,
    b"\0\0\0\x01" + b'{"a":' * 20,
    b"\0\0\0\x63?",
    b"ping",
]


class Areas:
    """A pool that counts."""

    def __init__(self) -> None:
        self.out = 0

    def borrow(self) -> bytearray:
        self.out += 1
        return bytearray(AREA_SIZE)

    def give_back(self, area: bytearray, /) -> None:
        self.out -= 1


class Echo:
    """A Sink that consumes, echoes, and now and then fails, ends or aborts; by what it hears only."""

    def __init__(self, machine: "Machine", stream: Stream | None) -> None:
        self.machine = machine
        self.stream = stream
        self.heard = 0
        self.deaf = False

    def on_data(self, view: memoryview) -> None:
        if self.stream is None:
            return
        self.stream.consume(len(view))
        if self.deaf:
            return
        before = self.heard
        self.heard += len(view)
        if before < 1000 <= self.heard:
            self.stream.send(b"x" * 1000)
        if before < 6000 <= self.heard:
            self.stream.abort()
        if before < 140_000 <= self.heard:
            raise ValueError("a leg fails")

    def on_end(self) -> None:
        if self.stream is not None:
            self.machine.log.append((self.stream.id, "end", b"", self.heard))
            self.stream.end()

    def on_reset(self, code: int) -> None:
        if self.stream is not None:
            self.machine.log.append((self.stream.id, "reset", b"", code))

    def on_room(self) -> None:
        pass


class Machine:
    """One machine under attack."""

    def __init__(self, role: Role, profile: Profile) -> None:
        self.areas = Areas()
        self.log: list[tuple[int, str, bytes, int]] = []
        self.closed = 0
        self.fault: RemoteProtocolError | None = None
        self.faults: list[BaseException] = []
        self.connection = Connection(role, self, self.areas, profile=profile)
        for kind in (3, 5, 0xFFFFFFFF):
            sink = Echo(self, None)
            sink.stream = self.connection.open_stream(pack_opening(kind, b"{}"), sink, kind != 3)

    def on_open(self, stream: Stream, opening: Opening) -> Sink | None:
        self.log.append((stream.id, f"open {opening.type} {opening.error}", opening.body, 0))
        if opening.type == 99:
            return None
        sink = Echo(self, stream)
        # Bytes behind a request are nobody's, and how many the machine itself drops depends on the cuts.
        sink.deaf = opening.type in RPC_TYPES
        return sink

    def on_output(self) -> None:
        pass

    def on_closed(self, cause: PortwayError | None) -> None:
        self.closed += 1

    def on_fault(self, stream: Stream, error: BaseException) -> None:
        self.faults.append(error)

    def feed(self, raw: bytes, now: float) -> None:
        """Feed, flush, and look at the limits."""
        connection = self.connection
        if self.closed:
            return
        try:
            connection.feed(memoryview(raw), now)
        except RemoteProtocolError as error:
            self.fault = error
            connection.goaway(error.code, str(error))
        output = connection.output
        # Answers may be as many as one feed provokes: twelve bytes of RST for nine of DATA.
        if len(output.first) + len(output.last) > 200_000 + 3 * len(raw):
            raise AssertionError(f"{len(output.first)} and {len(output.last)} bytes wait")
        if connection.collecting > COLLECT_LIMIT + 65_537 or connection.streams > 4200:
            raise AssertionError(f"kept too much: {connection!r} {connection.collecting}")
        self.flush()
        if any(not isinstance(error, ValueError) for error in self.faults):
            raise AssertionError(f"a Sink was driven into {self.faults}")
        if bool(self.closed) is not connection.closed or self.closed > 1:
            raise AssertionError("on_closed is called once, when closed")
        deadline = connection.deadline()
        if deadline is not None and deadline <= now:
            connection.on_deadline(now)

    def flush(self) -> None:
        """Take all output; no frame may be malformed, and none may follow a GOAWAY."""
        raw = bytearray()
        while (view := self.connection.take_output()) is not None:
            raw += view
        self.connection.wake()
        at = 0
        while at < len(raw):
            word, stream = struct.unpack_from(">II", raw, at)
            length, kind, flags = word >> 8, word >> 4 & 15, word & 15
            at += 8 + length
            wrong = kind > 3 or (kind != 1 and flags) or (stream == 0) is not (kind == 3) or at > len(raw)
            if wrong or (kind == 3 and at != len(raw)):
                raise AssertionError(f"wrote a wrong frame: {word:08x} {stream}")
            self.log.append((stream, f"wrote {kind}", b"", 0))
        if self.areas.out:
            raise AssertionError("the area was not given back")


def frame(rng: random.Random) -> bytes:
    """Return a frame that is likely to be right."""
    kind = rng.choice([0, 1, 1, 1, 1, 1, 1, 2, 2, rng.randint(0, 15)])
    flags = rng.choice([0, 0, 0, 1, 2, 2, 3, rng.randint(0, 15)])
    stream = rng.choice(IDS) if rng.random() < 0.2 else rng.randint(2, 40)
    if kind == 3 and rng.random() < 0.9:
        kind = 2
    if kind in (0, 2):
        body = rng.choice([1, 6, 131_072, 0x7FFFFFFF, rng.getrandbits(32)]).to_bytes(4, "big")
    elif rng.random() < 0.6:
        body = rng.choice(BODIES)
    else:
        body = bytes(min(rng.choice(LENGTHS), 300_000))
    length = len(body)
    if rng.random() < 0.01:
        length = rng.choice(LENGTHS)
    return length.to_bytes(3, "big") + bytes([kind << 4 | flags]) + stream.to_bytes(4, "big") + body


def mutate(rng: random.Random, raw: bytes) -> bytes:
    """Change a few bytes."""
    data = bytearray(raw)
    for _ in range(rng.choice([0, 0, 0, 1, 3])):
        at = rng.randrange(len(data))
        match rng.randint(0, 2):
            case 0:
                data[at] = rng.randint(0, 255)
            case 1:
                del data[at : at + rng.randint(1, 9)]
            case _:
                data[at:at] = rng.randbytes(rng.randint(1, 9))
        if not data:
            break
    return bytes(data)


def cut(rng: random.Random, raw: bytes) -> list[bytes]:
    """Cut into pieces, mostly small ones near the start."""
    pieces: list[bytes] = []
    at = 0
    while at < len(raw):
        step = rng.choice([1, 3, 8, 12, 100, 10_000, len(raw)])
        pieces.append(raw[at : at + step])
        at += step
    return pieces


def heard(machine: Machine) -> list[tuple[int, str, bytes, int]]:
    """What must not depend on cuts: who opened, ended and was reset, per stream."""
    kept = [entry for entry in machine.log if entry[1] not in ("wrote 2", "wrote 1", "wrote 0")]
    return sorted(kept)


def attack(rng: random.Random) -> tuple[Machine, int]:
    """One session; return the machine and how many bytes it was fed."""
    role, profile = rng.choice(list(Role)), rng.choice(PROFILES)
    parity = 1 - role.parity
    frames: list[bytes] = []
    for _ in range(rng.randint(1, 40)):
        made = frame(rng)
        if made[3] & 2 and rng.random() < 0.95:  # most openings have the right parity
            made = made[:7] + bytes([made[7] & 0xFE | parity]) + made[8:]
        frames.append(made)
    raw = mutate(rng, b"".join(frames))
    whole, pieces = Machine(role, profile), Machine(role, profile)
    whole.feed(raw, 1.0)
    for piece in cut(rng, raw):
        pieces.feed(piece, 1.0)
    same = (str(whole.fault), whole.closed) == (str(pieces.fault), pieces.closed)
    if not same or heard(whole) != heard(pieces):
        differ = set(heard(whole)) ^ set(heard(pieces))
        raise AssertionError(f"a cut changed the meaning: {whole.fault!r} {pieces.fault!r} {differ}")
    whole.connection.feed_eof(2.0)
    if whole.connection.streams or whole.connection.collecting or whole.closed != 1:
        raise AssertionError(f"left behind: {whole.connection!r}")
    return whole, len(raw)


def main() -> None:
    """Run for the time given; the seed is printed so that a failure can be repeated."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    chosen = options.parse_args()
    print(f"seed {chosen.seed}", flush=True)
    rng = random.Random(chosen.seed)
    until = time.monotonic() + chosen.seconds
    sessions = faults = size = 0
    while time.monotonic() < until:
        machine, fed = attack(rng)
        sessions += 1
        faults += machine.fault is not None
        size += fed
    print(f"{sessions} sessions, {size >> 20} MiB, {faults} ended by the documented error")


if __name__ == "__main__":
    main()
