"""The first bytes of a stream: its type, then a request or a proxy header.

Every stream begins with four bytes, big-endian: its type. What follows::

    heartbeat   nothing: 4-byte values, echoed
    proxy       8 bytes of length, *little*-endian, that many bytes of JSON; then raw bytes
    RPC types   one JSON object; no length, no end mark: it is complete when its last brace is

``Collector`` gathers that from pieces of any size in bounded memory. It never raises: what is
wrong with an opening is said in ``Opening.error``, because it costs one stream, never a session.
"""

import re
from enum import IntEnum
from struct import Struct
from typing import Final

import msgspec

from portway.wire.dialect import MAX_BYTES, MAX_DEPTH

MAX_BODY: Final = MAX_BYTES
"""Longest request or proxy header, in bytes: each is one control message."""


class StreamType(IntEnum):
    """The types of streams that the protocol knows."""

    AUTH = 0
    BIND = 1
    UNBIND = 2
    PROXY = 3
    RESTART = 4
    STOP = 5
    UPDATE = 6
    BIND_LABELS = 7
    SRV_INFO = 8
    STOP_TUNNEL = 9
    PATCH = 10
    HEARTBEAT = 0xFFFF_FFFF


RPC_TYPES: Final = frozenset(StreamType) - {StreamType.PROXY, StreamType.HEARTBEAT}
"""The types whose opening is one JSON object."""


class Opening(msgspec.Struct, frozen=True):  # made for each stream: a data class takes seven times as long
    """A complete opening: what a peer asks of a new stream."""

    type: int
    """A StreamType, or a number that we do not know."""
    body: bytes = b""
    """The JSON text of the request or proxy header; empty for heartbeats and unknown types."""
    error: str = ""
    """What is wrong with it, as a sentence for the peer; ``body`` is then empty."""


_PROXY: Final = StreamType.PROXY  # slow to reach through its enumeration
_TYPE = Struct(">I")
_LENGTH = Struct("<q")
_PROXY_HEAD: Final = 12


def pack_opening(type: int, body: bytes = b"") -> bytes:  # noqa: A002 - the protocol's own word
    """Return the bytes that open a stream of this type, to be sent in one SYN frame."""
    if type == _PROXY:
        return _TYPE.pack(type) + _LENGTH.pack(len(body)) + body
    return _TYPE.pack(type) + body


_OUTSIDE = re.compile(rb'["{}\[\]]')
_INSIDE = re.compile(rb'["\\]')
_BLANK: Final = b" \t\r\n"


def read_proxy(view: memoryview) -> tuple[Opening, int] | None:
    """Read a proxy opening that begins ``view`` and is wholly in it; return it and its length, or None.

    The usual case, without a ``Collector``: what opens with one frame costs a third less.
    """
    if len(view) < _PROXY_HEAD or _TYPE.unpack_from(view)[0] != _PROXY:
        return None
    end = _PROXY_HEAD + _LENGTH.unpack_from(view, 4)[0]
    if not _PROXY_HEAD <= end <= len(view) or end > _PROXY_HEAD + MAX_BODY:
        return None
    return Opening(_PROXY, bytes(view[_PROXY_HEAD:end])), end


class JsonScanner:
    """Finds the end of one JSON object in a growing buffer, without looking at a byte twice.

    It counts braces outside strings; whether the text is right is the decoder's business.
    """

    __slots__ = ("_depth", "_in_string", "_position")

    def __init__(self) -> None:
        """Start before the object."""
        self._position = 0
        self._depth = 0
        self._in_string = False

    def scan(self, buffer: bytearray) -> int:
        """Return the object's end in ``buffer``, or -1 when it is not complete yet.

        Raise ValueError with a sentence when this is no object or nests too deep.
        """
        position = self._position
        if not self._depth:
            position = self._start(buffer, position)
            if position < 0:
                return -1
        while True:
            found = (_INSIDE if self._in_string else _OUTSIDE).search(buffer, position)
            if found is None:
                self._position = len(buffer)
                return -1
            position = found.end()
            mark = found.group()
            if mark == b"\\":
                if position == len(buffer):  # the escaped character is still to come
                    self._position = position - 1
                    return -1
                position += 1
            elif mark == b'"':
                self._in_string = not self._in_string
            elif mark in b"{[":
                self._depth += 1
                if self._depth > MAX_DEPTH:
                    raise ValueError(f"request nests deeper than {MAX_DEPTH} levels")
            else:
                self._depth -= 1
                if not self._depth:
                    return position

    def _start(self, buffer: bytearray, position: int) -> int:
        """Step over white space to the first brace and past it; -1 when it has not come."""
        while position < len(buffer) and buffer[position] in _BLANK:
            position += 1
        self._position = position
        if position == len(buffer):
            return -1
        if buffer[position] != 0x7B:
            raise ValueError("request is not a JSON object")
        self._depth = 1
        return position + 1


class Collector:
    """Gathers the opening of one stream from pieces."""

    __slots__ = ("_buffer", "_length", "_scanner", "_type", "opening")

    def __init__(self) -> None:
        """Start before the first byte."""
        self.opening: Opening | None = None
        """Set once complete."""
        self._buffer = bytearray()
        self._type: int = -1
        self._length = -1
        self._scanner: JsonScanner | None = None

    @property
    def held(self) -> int:
        """Bytes kept so far."""
        return len(self._buffer)

    def take(self, view: memoryview) -> int:
        """Take from the stream's next bytes; return how many belong to the opening.

        Bytes that are not the opening's are left once ``opening`` is set.
        """
        used = 0
        if self._type < 0:
            used = self._fill(view, _TYPE.size)
            if len(self._buffer) < _TYPE.size:
                return used
            self._type = _TYPE.unpack(self._buffer)[0]
            self._buffer.clear()
            if self._type == StreamType.PROXY:
                pass
            elif self._type in RPC_TYPES:
                self._scanner = JsonScanner()
            else:
                self.opening = Opening(self._type)
                return used
        rest = view[used:]
        return used + (self._take_header(rest) if self._scanner is None else self._take_request(rest))

    def _fill(self, view: memoryview, size: int) -> int:
        """Move bytes to the buffer until it holds ``size``; return how many."""
        used = min(len(view), size - len(self._buffer))
        self._buffer += view[:used]
        return used

    def _take_header(self, view: memoryview) -> int:
        """Collect a proxy header: length, then exactly that many bytes."""
        used = 0
        if self._length < 0:
            used = self._fill(view, _LENGTH.size)
            if len(self._buffer) < _LENGTH.size:
                return used
            length: int = _LENGTH.unpack(self._buffer)[0]
            self._buffer.clear()
            if not 0 <= length <= MAX_BODY:
                self._fail(f"proxy header of {length} bytes")
                return used
            self._length = length
        used += self._fill(view[used:], self._length)
        if len(self._buffer) == self._length:
            self._complete(bytes(self._buffer))
        return used

    def _take_request(self, view: memoryview) -> int:
        """Collect a request: up to the end of one JSON object, and the white space after it."""
        assert self._scanner is not None
        before = len(self._buffer)
        self._buffer += view[: MAX_BODY + 1 - before]
        try:
            end = self._scanner.scan(self._buffer)
        except ValueError as error:
            self._fail(str(error))
            return len(view)
        if end > MAX_BODY or (end < 0 and len(self._buffer) > MAX_BODY):
            self._fail(f"request longer than {MAX_BODY} bytes")
            return len(view)
        if end < 0:
            return len(view)
        self._complete(bytes(self._buffer[:end]).lstrip())
        used = end - before
        while used < len(view) and view[used] in _BLANK:
            used += 1
        return used

    def _complete(self, body: bytes) -> None:
        self.opening = Opening(self._type, body)
        self._buffer.clear()

    def _fail(self, error: str) -> None:
        self.opening = Opening(self._type, error=error)
        self._buffer.clear()
