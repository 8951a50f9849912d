"""WebSocket frames, the server's side: bytes to messages and back (RFC 6455).

`FrameReader.feed` takes whatever has come and returns the events that are complete. It is strict where a
server must be: frames of a client are masked, reserved bits are zero, control frames are short and whole,
fragments come in order, texts are UTF-8. What breaks a rule raises `WebSocketError`, which says the close
code to answer with.
"""

from base64 import b64encode
from enum import IntEnum
from hashlib import sha1
from typing import NamedTuple

import msgspec

from portway.errors import PortwayError

MAX_MESSAGE = 16 * 1024 * 1024
"""Longest message taken, fragments together, in bytes."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_NO_CODE = 1005


class Opcode(IntEnum):
    """What a frame is (section 5.2)."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class WebSocketError(PortwayError):
    """The client broke the protocol. ``code`` is the close code to answer with (section 7.4.1)."""

    def __init__(self, code: int, message: str) -> None:
        """Make an error with its close code."""
        super().__init__(message)
        self.code = code


class Message(msgspec.Struct, frozen=True):
    """A whole message: text, or bytes."""

    data: str | bytes


class Ping(msgspec.Struct, frozen=True):
    """The client asks whether we are there: answer with a pong of the same payload."""

    payload: bytes


class Close(msgspec.Struct, frozen=True):
    """The client ends. ``code`` is 1005 when it said none."""

    code: int
    reason: str


WebSocketEvent = Message | Ping | Close


def accept_key(key: bytes) -> bytes:
    """Return the value of Sec-WebSocket-Accept for a Sec-WebSocket-Key (section 4.2.2)."""
    return b64encode(sha1(key.strip() + _GUID, usedforsecurity=False).digest())


def frame(opcode: Opcode, payload: bytes) -> bytes:
    """Return one whole frame of a server: final and not masked."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big")
    return head + payload


def close_frame(code: int = 1000, reason: str = "") -> bytes:
    """Return the frame that ends a connection; the reason is cut to what fits."""
    text = reason.encode()[:123].decode(errors="ignore").encode()
    return frame(Opcode.CLOSE, b"" if code == _NO_CODE else code.to_bytes(2, "big") + text)


class FrameReader:
    """Reads the frames of one client."""

    def __init__(self, most: int = MAX_MESSAGE) -> None:
        """Take messages of at most so many bytes."""
        self._most = most
        self._buffer = bytearray()
        self._parts: list[bytes] = []
        self._kind: Opcode | None = None
        self._size = 0

    def feed(self, data: bytes) -> list[WebSocketEvent]:
        """Return the events that these bytes complete, in order. Raises WebSocketError."""
        self._buffer += data
        events: list[WebSocketEvent] = []
        while (found := self._next()) is not None:
            final, opcode, payload = found
            event = control(opcode, payload) if opcode >= Opcode.CLOSE else None
            if opcode < Opcode.CLOSE:
                event = self._fragment(opcode, payload, final=final)
            if event is not None:
                events.append(event)
        return events

    def _next(self) -> tuple[bool, Opcode, bytes] | None:
        """Take one frame off the buffer; None while it is incomplete."""
        buffer = self._buffer
        head = read_frame_head(buffer)
        if head is None:
            return None
        if head.size + self._size > self._most:
            raise WebSocketError(1009, f"a message is longer than {self._most} bytes")
        end = head.start + head.size
        if len(buffer) < end:
            return None
        payload = unmask(bytes(buffer[head.start - 4 : head.start]), bytes(buffer[head.start : end]))
        del buffer[:end]
        return head.final, head.opcode, payload

    def _fragment(self, opcode: Opcode, payload: bytes, *, final: bool) -> Message | None:
        if (opcode is Opcode.CONTINUATION) is (self._kind is None):
            raise WebSocketError(1002, "fragments come out of order")
        kind = self._kind = self._kind or opcode
        self._parts.append(payload)
        self._size += len(payload)
        if not final:
            return None
        whole = b"".join(self._parts)
        self._parts, self._kind, self._size = [], None, 0
        return Message(_text(whole) if kind is Opcode.TEXT else whole)


class FrameHead(NamedTuple):
    """What stands before a payload."""

    final: bool
    opcode: Opcode
    size: int
    start: int
    """Where the payload begins; the mask is the four bytes before it."""


def read_frame_head(buffer: bytearray) -> FrameHead | None:
    """Read the head of a client's frame at the start of a buffer; None while its size is not known.

    The mask may not have come yet. Raises WebSocketError.
    """
    if len(buffer) < 2:
        return None
    final, opcode = bool(buffer[0] & 0x80), _opcode(buffer[0])
    if not buffer[1] & 0x80:
        raise WebSocketError(1002, "a frame of a client must be masked")
    size, start = buffer[1] & 0x7F, 2
    if opcode >= Opcode.CLOSE and (size > 125 or not final):
        raise WebSocketError(1002, "a control frame must be short and whole")
    if size > 125:
        start = 4 if size == 126 else 10
        if len(buffer) < start:
            return None
        size = int.from_bytes(buffer[2:start], "big")
    return FrameHead(final, opcode, size, start + 4)


def control(opcode: Opcode, payload: bytes) -> Ping | Close | None:
    """Read a control frame; None for a pong. Raises WebSocketError."""
    if opcode is Opcode.PING:
        return Ping(payload)
    if opcode is Opcode.PONG:
        return None
    if not payload:
        return Close(_NO_CODE, "")
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not _may_close_with(code):
        raise WebSocketError(1002, "the close code is invalid")
    return Close(code, _text(payload[2:]))


def _opcode(first: int) -> Opcode:
    if first & 0x70:
        raise WebSocketError(1002, "no extension was agreed on")
    try:
        return Opcode(first & 0x0F)
    except ValueError:
        raise WebSocketError(1002, "the opcode is unknown") from None


def unmask(mask: bytes, payload: bytes) -> bytes:
    """Undo the mask: one exclusive or over all of it, as numbers, is what Python does fastest."""
    size = len(payload)
    if not size:
        return b""
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise WebSocketError(1007, "a text is not UTF-8") from None


def _may_close_with(code: int) -> bool:
    return (1000 <= code < 1015 and code not in (1004, 1005, 1006)) or 3000 <= code < 5000
