"""Frames of HTTP/2 (RFC 9113 §4, §6): their numbers, how they are written, and what is wrong in one alone."""

from struct import Struct, iter_unpack
from typing import Final

from portway.errors import RemoteProtocolError

# Codes of RST_STREAM and GOAWAY (§7).
NO_ERROR: Final = 0
PROTOCOL_ERROR: Final = 1
INTERNAL_ERROR: Final = 2
FLOW_CONTROL_ERROR: Final = 3
STREAM_CLOSED: Final = 5
FRAME_SIZE_ERROR: Final = 6
REFUSED_STREAM: Final = 7
CANCEL: Final = 8
HTTP_1_1_REQUIRED: Final = 13

# Kinds.
DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

# Flags.
END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
WITH_PRIORITY: Final = 0x20

# Settings (§6.5.2; RFC 8441 §3).
TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MOST_STREAMS: Final = 3
STREAM_WINDOW: Final = 4
FRAME_SIZE: Final = 5
HEAD_SIZE: Final = 6
CONNECT_PROTOCOL: Final = 8

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client says first."""

FRAME_BYTES: Final = 16_384
"""Longest payload of a frame, as long as its reader does not say otherwise; ours never does."""

FIRST_WINDOW: Final = 65_535
"""Every window, before anything is said of it (§6.9.2)."""

MOST: Final = (1 << 31) - 1
"""The highest stream, and the largest window."""

HEADER: Final = Struct(">HBBBI")
"""Length in two parts, kind, flags, stream; its highest bit means nothing."""

U32: Final = Struct(">I")
TWO_U32: Final = Struct(">II")
_SETTING: Final = Struct(">HI")
_LONGEST_FRAME: Final = (1 << 24) - 1


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Write a frame."""
    size = len(payload)
    return HEADER.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def settings(values: dict[int, int]) -> bytes:
    """Write the payload of SETTINGS."""
    return b"".join(_SETTING.pack(*each) for each in values.items())


def read_settings(payload: bytes) -> dict[int, int]:
    """Read it: of one that is said twice the last counts. Raises RemoteProtocolError."""
    if len(payload) % _SETTING.size:
        raise RemoteProtocolError(FRAME_SIZE_ERROR, "SETTINGS is of a wrong length")
    values: dict[int, int] = {}
    for name, value in iter_unpack(_SETTING.format, payload):
        if name in (ENABLE_PUSH, CONNECT_PROTOCOL) and value > 1:
            raise RemoteProtocolError(PROTOCOL_ERROR, "a setting is neither 0 nor 1")
        if name == STREAM_WINDOW and value > MOST:
            raise RemoteProtocolError(FLOW_CONTROL_ERROR, "the setting of windows is too large")
        if name == FRAME_SIZE and not FRAME_BYTES <= value <= _LONGEST_FRAME:
            raise RemoteProtocolError(PROTOCOL_ERROR, "the setting of a frame's size is out of range")
        values[name] = value
    return values


def unpadded(payload: bytes) -> bytes:
    """Take the padding off (§6.1). Raises RemoteProtocolError."""
    if not payload:
        raise RemoteProtocolError(FRAME_SIZE_ERROR, "a padded frame is empty")
    padding = payload[0]
    if padding >= len(payload):
        raise RemoteProtocolError(PROTOCOL_ERROR, "a frame is all padding")
    return payload[1 : len(payload) - padding]


def block(stream: int, flags: int, payload: bytes) -> bytes:
    """Return the piece of a head that HEADERS brings: without padding and priority (§6.2)."""
    if flags & PADDED:
        payload = unpadded(payload)
    if flags & WITH_PRIORITY:
        check_priority(stream, payload[:5])
        payload = payload[5:]
    return payload


def check_priority(stream: int, payload: bytes) -> None:
    """Look at a priority (RFC 7540 §6.3), which is not heeded. Raises RemoteProtocolError."""
    length_is(payload, 5)
    if U32.unpack_from(payload)[0] & MOST == stream:
        raise RemoteProtocolError(PROTOCOL_ERROR, "a stream depends on itself")


def length_is(payload: bytes, size: int) -> None:
    """Raise RemoteProtocolError if a frame has another length than its kind has."""
    if len(payload) != size:
        raise RemoteProtocolError(FRAME_SIZE_ERROR, "a frame is of a wrong length")
