"""Server-sent events, rewritten as they pass (WHATWG HTML §9.2).

An :class:`EventStream` cuts a stream into messages at their blank lines and hands each to a function the
moment it is complete, which may change what it says. A message that nobody changed goes on byte for byte,
comments, odd line ends and all; a changed one is written anew, its other fields where they were. What is held
is one unfinished message, at most MOST bytes.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MOST: Final = 1 << 20
"""Bytes of one message."""

_BLANK: Final = re.compile(rb"\r\n\r\n?|\r\n\n|\n\r\n?|\n\n|\r\r\n?").search
_LINE_END: Final = re.compile(rb"\r\n|\n|\r").split
_BOM: Final = b"\xef\xbb\xbf"


class EventTooLong(Exception):
    """A message is longer than MOST bytes: it cannot be changed, and must not pass unchanged."""


@dataclass(slots=True)
class Message:
    """One event. ``data`` holds all data lines, joined with LF; None: there is no such field."""

    lines: list[bytes]
    data: bytes | None = None
    event: bytes | None = None
    id: bytes | None = None
    retry: bytes | None = None

    @classmethod
    def read(cls, raw: bytes) -> "Message":
        """Read a message without its blank line."""
        lines = _LINE_END(raw)
        message = cls(lines)
        data: list[bytes] = []
        for line in lines:
            name, value = _field(line)
            if name == b"data":
                data.append(value)
            elif name == b"event":
                message.event = value
            elif name == b"id":
                message.id = value
            elif name == b"retry":
                message.retry = value
        message.data = b"\n".join(data) if data else None
        return message

    def write(self) -> bytes:
        """Write it with its blank line, data and retry as they are now."""
        out: list[bytes] = []
        written = False
        for line in self.lines:
            name, _ = _field(line)
            if name == b"data":
                if not written and self.data is not None:
                    out += [b"data: " + each for each in _LINE_END(self.data)]
                written = True
            elif name == b"retry":
                out.append(b"retry: " + (self.retry or b""))
            else:
                out.append(line)
        return b"\n".join(out) + b"\n\n"


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name, value.removeprefix(b" ")


class EventStream:
    """One stream on its way. ``change`` gets each message and says whether it changed it."""

    __slots__ = ("_begun", "_change", "_cut", "_held", "_looked", "_most")

    def __init__(self, change: Callable[[Message], bool], most: int = MOST) -> None:
        """Rewrite with this function; bear messages of at most so many bytes."""
        self._change = change
        self._held = bytearray()
        self._looked = 0
        self._begun = False
        self._cut: bytes | None = None
        """Of a line end that may have been cut in two: what its LF becomes if it still comes."""
        self._most = most

    def feed(self, data: bytes) -> bytes:
        """Return what is complete by now. Raises EventTooLong, and whatever the function raises."""
        held = self._held
        out: list[bytes] = []
        if self._cut is not None and data:
            if data[:1] == b"\n":
                out.append(self._cut)
                data = data[1:]
            self._cut = None
        held += data
        start = 0
        while (end := self._end(start)) >= 0:
            raw = bytes(held[start:end])
            passed = self._pass(raw)
            out.append(passed)
            start = self._looked = end
            if end == len(held) and raw.endswith(b"\r"):
                self._cut = b"\n" if passed is raw else b""
        del held[:start]
        # A line end of two bytes may be cut in two: look at the last three again.
        self._looked = max(0, len(held) - 3)
        if len(held) > self._most:
            raise EventTooLong
        return b"".join(out)

    def end(self) -> bytes:
        """Return what is left: no message, as its blank line is missing; readers drop it."""
        rest = bytes(self._held)
        self._held.clear()
        return rest

    def _end(self, start: int) -> int:
        """Return where the message that begins there ends, blank line included; -1 while it does not."""
        found = _BLANK(self._held, max(start, self._looked))
        return found.end() if found is not None else -1

    def _pass(self, raw: bytes) -> bytes:
        text = raw.rstrip(b"\r\n")
        if not self._begun:
            self._begun = True
            text = text.removeprefix(_BOM)
        if not text:
            return raw
        message = Message.read(text)
        return message.write() if self._change(message) else raw
