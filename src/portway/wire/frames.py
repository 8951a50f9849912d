"""The frames of a session: header layout, types, codes, ids.

A frame is an 8-byte header and a body. The header is 24 bits of length (of the body), 4 bits of
type, 4 bits of flags and 32 bits of stream id, all big-endian. docs/spec/wire.md, Frames.
"""

from enum import Enum, IntEnum
from struct import Struct
from typing import Final

HEADER: Final = 8
"""Bytes of a frame header."""

MAX_LENGTH: Final = 0xFF_FFFF
"""The longest body that the length field can say."""

MAX_STREAM_ID: Final = 0x7FFF_FFFF
"""Stream ids have 31 bits; past this one no stream can be opened."""

MAX_CREDIT: Final = 0x7FFF_FFFF
"""Credit has 31 bits; increments beyond are cut to it."""

INITIAL_WINDOW: Final = 262_144
"""Bytes a stream may carry each way before the first WNDINC; not negotiated."""

RAISED_WINDOW: Final = 1 << 20
"""Bytes of a receive window after its one raise, toward Go agents."""

OWN_WINDOW: Final = 3 << 19
"""The same between our own ends: half as much again as four initial windows, since steps of credit and a
busy machine leave a part of any window unused on a long link."""

NEAR_WINDOW: Final = 1 << 19
"""The same while the peer is near: what one busy stream may have on its way is what others wait behind."""

FLAG_FIN: Final = 0x1
"""On DATA: the sender has finished writing."""

FLAG_SYN: Final = 0x2
"""On DATA: this frame opens its stream."""


class FrameType(IntEnum):
    """The four frame types; a receiver skips every other one."""

    RST = 0
    DATA = 1
    WNDINC = 2
    GOAWAY = 3


class ErrorCode(IntEnum):
    """Why a stream was reset (RST) or a session ended (GOAWAY)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 4
    STREAM_REFUSED = 5
    STREAM_CANCELLED = 6
    STREAM_RESET = 7
    FRAME_SIZE_ERROR = 8
    ACCEPT_QUEUE_FULL = 9
    ENHANCE_YOUR_CALM = 10
    REMOTE_GONE_AWAY = 11
    STREAMS_EXHAUSTED = 12
    WRITE_TIMEOUT = 13
    SESSION_CLOSED = 14
    PEER_EOF = 15


class Role(Enum):
    """Which end of a session we are. It decides the ids of the streams that each end opens."""

    AGENT = "agent"
    SERVICE = "service"

    @property
    def first_id(self) -> int:
        """The id of the first stream this end opens: both skip their lowest."""
        return 3 if self is Role.AGENT else 2

    @property
    def parity(self) -> int:
        """What the ids of the streams this end opens leave when divided by two."""
        return self.first_id & 1


# The first word of a header holds length, type and flags: length << 8 | type << 4 | flags.
DATA_WORD: Final = FrameType.DATA << 4
FIN_WORD: Final = FrameType.DATA << 4 | FLAG_FIN
SYN_WORD: Final = FrameType.DATA << 4 | FLAG_SYN
RST_WORD: Final = 4 << 8 | FrameType.RST << 4
WNDINC_WORD: Final = 4 << 8 | FrameType.WNDINC << 4

_TWO = Struct(">II")
_THREE = Struct(">III")
pack_head: Final = _TWO.pack
"""(word, id) as the 8 bytes of a header."""
pack_head_into: Final = _TWO.pack_into
unpack_head: Final = _TWO.unpack_from
_pack_three: Final = _THREE.pack
unpack_u32: Final = Struct(">I").unpack_from
pack_u32_into: Final = Struct(">I").pack_into


def fin(stream_id: int) -> bytes:
    """Return the frame that ends one direction: an empty DATA with FIN."""
    return pack_head(FIN_WORD, stream_id)


def rst(stream_id: int, code: int) -> bytes:
    """Return the frame that cuts a stream."""
    return _pack_three(RST_WORD, stream_id, code)


def wndinc(stream_id: int, increment: int) -> bytes:
    """Return the frame that gives the peer more credit; ``increment`` is 1 to 2³¹-1."""
    return _pack_three(WNDINC_WORD, stream_id, increment)


def goaway(last_id: int, code: int, text: bytes) -> bytes:
    """Return the frame that ends the session. Its length counts the fixed eight bytes too."""
    word = (8 + len(text)) << 8 | FrameType.GOAWAY << 4
    return pack_head(word, 0) + pack_head(last_id, code) + text
