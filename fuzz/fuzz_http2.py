"""Any bytes end an HTTP/2 connection with one GOAWAY or leave it in order, and say the same however they are
cut; hpack reads every block of fields as we do, or neither reads it.
"""

import random
from typing import TYPE_CHECKING, Final

from hpack import Decoder, HPACKError

from portway.codec import http2_frames as frames
from portway.codec.http2 import CONTINUATIONS, Http2
from portway.codec.http2_hpack import Reader
from portway.errors import HttpError, RemoteProtocolError

if TYPE_CHECKING:
    from portway.codec.http2 import Fields

LONGEST: Final = 4096
_HEAD_BYTES: Final = 5000
_WINDOW: Final = 70_000

_GET: Final = b"\x82\x87\x84\x41\x01a"
_GREETING: Final = frames.frame(frames.SETTINGS, 0, 0)
_TEXTS: Final = [
    frames.frame(1, 5, 1, _GET) + frames.frame(3, 0, 1, bytes(4)),
    frames.frame(1, 4, 1, _GET + b"\x0f\x0d\x013") + frames.frame(0, 1, 1, b"abc"),
    frames.frame(1, 0, 1, _GET[:3])
    + frames.frame(9, 4, 1, _GET[3:])
    + frames.frame(1, 5, 1, b"\x40\x01a\x01b"),
    frames.frame(1, 0x2D, 1, b"\x02\0\0\0\x03\x09" + _GET + b"\0\0") + frames.frame(0, 8, 1, b"\x01ab"),
    frames.frame(4, 0, 0, frames.settings({1: 0, 3: 1, 4: 99, 5: 20_000, 8: 1})) + frames.frame(4, 1, 0),
    frames.frame(8, 0, 0, b"\0\0\0\x01") + frames.frame(8, 0, 1, b"\x7f\xff\xff\xff"),
    frames.frame(2, 0, 1, bytes(5)) + frames.frame(6, 0, 0, bytes(8)) + frames.frame(7, 0, 0, bytes(8)),
    frames.frame(1, 4, 1, b"\x88") + frames.frame(0, 1, 1, b"abc") + frames.frame(1, 4, 1, b"\x48\x03103"),
    frames.frame(5, 4, 1, b"\0\0\0\x02" + _GET) + frames.frame(0xEE, 0, 1, b"x"),
]
_BLOCKS: Final = [
    _GET + b"\xbe",
    b"\x3f\x09\x40\x01a\x01b\x20\xbe",
    b"\x00\x84\x9c\x50\x2f\xff\x01x\x10\x01s\x82\x1c\x7f",
    b"\x40\x7f\x80\x01" + b"n" * 255 + b"\x00" + b"\xbe" * 20,
]
SEEDS: Final = [bytes((mode,)) + text for text in _TEXTS for mode in (0, 1)] + [
    b"\x02" + block for block in _BLOCKS
]
WORDS: Final = [*_TEXTS, *_BLOCKS, b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", _GREETING]


class _Owner:
    """Writes down what it is told; bodies in one piece, since they may be cut anywhere."""

    closed = False

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self.owed: list[tuple[int, int]] = []

    def on_head(self, stream: int, fields: "Fields", *, ended: bool) -> None:
        """A head comes once, unless it is an answer's."""
        self.told.append(("head", stream, fields, ended))

    def on_interim(self, stream: int, fields: "Fields") -> None:
        """Note it."""
        self.told.append(("interim", stream, fields))

    def on_payload(self, stream: int, data: bytes, size: int) -> None:
        """No body costs less than it has."""
        if not data or size < len(data):
            raise AssertionError("a body without bytes, or for less than it is")
        self.told.append(("payload", stream, data, size))
        self.owed.append((stream, size))

    def on_finished(self, stream: int, trailers: "Fields") -> None:
        """Note it."""
        self.told.append(("finished", stream, trailers))

    def on_stream_reset(self, stream: int, code: int, *, by_peer: bool) -> None:
        """Note it."""
        self.told.append(("reset", stream, code, by_peer))

    def on_window(self, stream: int) -> None:
        """Note it."""
        self.told.append(("window", stream))

    def on_settings(self) -> None:
        """Note it."""
        self.told.append(("settings", 0))

    def on_goaway(self, last: int, code: int) -> None:
        """Note it."""
        self.told.append(("goaway", 0, last, code))

    def on_idle_frame(self) -> None:
        """Note it."""
        self.told.append(("idle", 0))


def _run(text: bytes, cuts: list[int], *, client: bool) -> tuple[list[tuple[object, ...]], bytes, bool]:
    """Feed a connection; return what was told, what was said, and whether it went on."""
    owner = _Owner()
    core = Http2(
        owner, client=client, streams=9, stream_window=_WINDOW, connection_window=0, head_bytes=_HEAD_BYTES
    )
    if client:
        core.head(1, [(b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/")])
        core.head(3, [(b":method", b"HEAD"), (b":scheme", b"https"), (b":path", b"/")], end=True)
        core.feed(_GREETING)
    else:
        core.feed(frames.PREFACE + _GREETING)
    core.output()
    owner.told.clear()
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    try:
        for piece in pieces:
            core.feed(piece)
    except HttpError:
        said = core.output()
        core.feed(text)
        if core.output():
            raise AssertionError("it speaks after its end") from None
        return owner.told, said, False
    _in_order(core)
    said = core.output()
    for stream, size in owner.owed:
        core.consumed(stream, size)
    _in_order(core)
    _whole(core.output())
    return owner.told, said, True


def _in_order(core: Http2) -> None:
    """Look at what must hold at any time."""
    for number, stream in core._streams.items():  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        if not 0 <= stream.to_come <= _WINDOW or (stream.finished and stream.ended):
            raise AssertionError(f"stream {number} is not in order")
        if core.room(number) > frames.MOST:
            raise AssertionError("more room than there can be")
    if not 0 <= core._to_come <= _WINDOW:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        raise AssertionError("the connection's window is not in order")


def _whole(said: bytes) -> list[int]:
    """Return the kinds of the frames that are said; they are whole."""
    kinds: list[int] = []
    while said:
        high, low, kind, _, _ = frames.HEADER.unpack_from(said)
        size = frames.HEADER.size + (high << 8 | low)
        if len(said) < size:
            raise AssertionError("half a frame is said")
        kinds.append(kind)
        said = said[size:]
    return kinds


def _check_connection(text: bytes, mode: int) -> None:
    client = bool(mode & 1)
    told, said, lives = _run(text, [], client=client)
    kinds = _whole(said)
    if kinds.count(frames.GOAWAY) != (not lives) or (not lives and kinds[-1] != frames.GOAWAY):
        raise AssertionError("one GOAWAY, at the end, says that it is over")
    if kinds.count(frames.CONTINUATION) > CONTINUATIONS:
        raise AssertionError("heads that nobody gave")
    cuts = sorted({min(len(text), mode >> 1), len(text) // 2, *range(0, len(text), 7)} - {0})
    told_in_pieces, said_in_pieces, lives_in_pieces = _run(text, cuts, client=client)
    if lives_in_pieces != lives:
        raise AssertionError("whether it lives is a matter of the cuts")
    if _whole(said_in_pieces) != kinds or said_in_pieces != said:
        raise AssertionError("what is said is a matter of the cuts")
    # What is reset before it was looked at, and what comes with a fault, need not be told.
    reset = {each[1] for each in told_in_pieces if each[0] == "reset"}
    if lives and _but(told_in_pieces, reset) != _but(told, reset):
        raise AssertionError("what is told is a matter of the cuts")


def _but(told: list[tuple[object, ...]], streams: set[object]) -> list[tuple[object, ...]]:
    return [each for each in told if each[1] not in streams]


def _check_blocks(text: bytes) -> None:
    """Two blocks in a row: the second meets the table that the first has left."""
    reader, judge = Reader(_HEAD_BYTES), Decoder(_HEAD_BYTES)
    for block in (text, text):
        try:
            expected = [tuple(each) for each in judge.decode(block, raw=True)]
        except (HPACKError, IndexError):  # where nothing is where a text begins
            expected = None
        try:
            found = reader.read(block)
        except RemoteProtocolError:
            found = None
        if found != expected:
            raise AssertionError(f"{found} instead of {expected}")
        if found is None:
            return


def check(data: bytes) -> None:
    """The first byte chooses: a server's connection, a client's, or a block of fields."""
    if data:
        if data[0] % 4 == 2:
            _check_blocks(data[1:])
        else:
            _check_connection(data[1:], data[0])


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Add, double, drop and change frames."""
    text, found = data[1:], list[bytes]()
    while text:
        size = frames.HEADER.size + int.from_bytes(text[:3], "big")
        found.append(text[:size])
        text = text[size:]
    for _ in range(rng.randint(1, 3)):
        at = rng.randint(0, len(found))
        match rng.randint(0, 3):
            case 0:
                found.insert(at, rng.choice(_TEXTS))
            case 1 if found:
                found.insert(at, rng.choice(found))
            case 2 if found:
                del found[at - 1]
            case _:
                kind, flags = rng.randrange(11), rng.choice([0, 1, 4, 5, 8, 0x0D, 0x25])
                payload = rng.choice([b"", bytes(rng.randrange(9)), _GET, rng.choice(_BLOCKS)])
                found.insert(at, frames.frame(kind, flags, rng.choice([0, 1, 1, 2, 3, 5, 7]), payload))
    return data[:1] + b"".join(found)
