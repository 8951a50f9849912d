"""Whatever arrives on a session, and however it is cut, the machine goes on or raises the one documented
error; it means the same in every cut; it keeps no more than its limits; and a GOAWAY is the last
thing that it says.

An input is either raw bytes or a program: four bytes for each frame, which choose its type and flags,
its stream and its body, so that small inputs reach what only large or nearly right frames do.
"""

import random
import struct
from typing import Final

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
            if not self.closed or "wrote 3" in {what for _, what, _, _ in self.log}:
                raise AssertionError("a session goes on behind an error") from error
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
        if self.fault is not None and self.log[-1][1] != "wrote 3":
            raise AssertionError("an error that the peer does not hear of")


_RAW: Final = 0x80
"""Set in the first byte: what follows the first three are the bytes of the session."""

_LITERAL: Final = 0xF0
"""In a body's place: that many of the program's next bytes are the body, up to 15."""

_CREDITS: Final = [1, 6, 131_072, 0x7FFFFFFF, 0x80000001, 0, 0xFFFFFFFF]


def expand(program: bytes) -> bytes:
    """Return the frames that a program stands for, at most 4 MB of them."""
    frames: list[bytes] = []
    size = at = 0
    while at + 4 <= len(program) and size < 4_000_000:
        kind, name, what, lie = program[at : at + 4]
        at += 4
        stream = IDS[name & 15] if name >= 0xF0 else name
        if what >= _LITERAL:
            body = program[at : at + (what & 15)]
            at += what & 15
        elif kind >> 4 in (0, 2):
            body = _CREDITS[what % len(_CREDITS)].to_bytes(4, "big")
        elif what & 1:
            body = bytes(min(LENGTHS[(what >> 1) % len(LENGTHS)], 300_000))
        else:
            body = BODIES[(what >> 1) % len(BODIES)]
        length = LENGTHS[lie & 15] if 0 < lie <= len(LENGTHS) - 1 else len(body)
        frames.append(length.to_bytes(3, "big") + bytes([kind]) + stream.to_bytes(4, "big") + body)
        size += len(body) + 8
    return b"".join(frames)


def cut(seed: bytes, raw: bytes) -> list[bytes]:
    """Cut into pieces, mostly small ones near the start."""
    rng = random.Random(seed)
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


def check(data: bytes) -> None:
    """The first byte chooses role, profile and form, two more the cuts."""
    if len(data) < 4:
        return
    mode = data[0]
    role, profile = _ROLES[mode & 1], PROFILES[mode >> 1 & 3]
    raw = data[3:] if mode & _RAW else expand(data[3:])
    whole, pieces = Machine(role, profile), Machine(role, profile)
    whole.feed(raw, 1.0)
    for piece in cut(data[1:3], raw):
        pieces.feed(piece, 1.0)
    same = (str(whole.fault), whole.closed) == (str(pieces.fault), pieces.closed)
    if not same or heard(whole) != heard(pieces):
        differ = set(heard(whole)) ^ set(heard(pieces))
        raise AssertionError(f"a cut changed the meaning: {whole.fault!r} {pieces.fault!r} {differ}")
    whole.connection.feed_eof(2.0)
    if whole.connection.streams or whole.connection.collecting or whole.closed != 1:
        raise AssertionError(f"left behind: {whole.connection!r}")


_ROLES: Final = list(Role)
_SYN, _DATA, _FIN, _RST, _CREDIT, _BYE = 0x12, 0x10, 0x11, 0x00, 0x20, 0x30


def _made(mode: int, *ops: tuple[int, int, int, int]) -> bytes:
    return bytes([mode, 0, 7]) + b"".join(map(bytes, ops))


SEEDS: Final = [
    data
    for role in (0, 1)
    for profile in range(4)
    for first in [3 - role if role else 2]
    for data in [
        _made(
            role | profile << 1,
            (_SYN, first, 0, 0), (_SYN, first + 2, 4, 0), (_DATA, first + 2, 9, 0), (_FIN, first + 2, 1, 0),
            (_CREDIT, first + 2, 2, 0), (_RST, first, 1, 0), (_SYN, first + 4, 6, 0), (_DATA, first + 4,
                0xF4, 0),
        ) + b"pong",
        _made(role | profile << 1, (_SYN, first, 17, 0), (_DATA, first, 13, 0), (_DATA, first, 15, 0),
        (_DATA, first, 19, 0)),
        _made(role | profile << 1, (_SYN, first, 10, 0), (_DATA, 3, 1, 0), (_BYE, 0, 0xF8, 0)) + bytes(8),
    ]
]  # fmt: skip
SEEDS.extend([bytes([data[0] | _RAW]) + data[1:3] + expand(data[3:])[:2000] for data in SEEDS[:6]])
LONGEST: Final = 2048


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Add, change, double and drop whole frames of a program."""
    if len(data) < 8 or data[0] & _RAW:
        at = rng.randint(0, len(data))
        return (
            data[:at]
            + struct.pack(">II", rng.choice([0x412, 0x410, 0x420, 0x400]), rng.choice(IDS))
            + data[at:]
        )
    head, ops = data[:3], [data[at : at + 4] for at in range(3, len(data), 4)]
    parity = rng.randint(0, 1)
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(ops))
        match rng.randint(0, 4):
            case 0:
                del ops[at : at + rng.randint(1, 3)]
            case 1:
                ops[at:at] = ops[at : at + rng.randint(1, 4)]
            case 2:
                head = bytes([rng.randrange(8)]) + rng.randbytes(2)
            case _:
                kind = rng.choice(
                    [_SYN, _SYN, _DATA, _DATA, _FIN, 0x13, _RST, _CREDIT, _BYE, rng.randrange(256)]
                )
                name = rng.randint(1, 20) * 2 + parity if rng.random() < 0.9 else rng.randint(0xF0, 0xFF)
                lie = rng.randrange(12) if rng.random() < 0.03 else 0
                ops.insert(at, bytes([kind, name, rng.randrange(0xF0), lie]))
    return head + b"".join(ops)
