"""The chunked transfer coding: where a body ends, found in place (RFC 9112 §7.1).

A relay does not need the chunks, only the place where the last one ends. ``ChunkScanner.scan``
is given each piece of the body where it lies (in the frame being filled, in the buffer just
received), says how much of it belongs to the body, and copies nothing. The bytes go on as they
came, so the scanner is as strict as the strictest reader behind it: sizes of at most fifteen hex
digits, CR LF only, extensions well-formed and few, trailers well-formed, few, and never of a name that
would change what the head said.
"""

import re

from portway.errors import HttpError

MAX_LINE = 4096
"""Longest chunk-size line with its extensions, in bytes."""

MAX_EXTENSIONS = 16_384
"""Bytes of extensions and line ends beyond what the data itself accounts for, per body."""

MAX_TRAILERS = 65_536
"""Longest trailer section, in bytes."""

MAX_TRAILER_FIELDS = 100

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
# Only single characters are repeated possessively: CPython before 3.11.5 forgets to step back when a
# possessive group fails half-way, and would take what is malformed. No part here matches in two ways.
_EXTENSION = rb";" + _TOKEN + rb"++(?:=(?:" + _TOKEN + rb'++|"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t -~])*"))?'
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15}+)((?:" + _EXTENSION + rb")*)\r\n").match
_TRAILER_LINE = re.compile(rb"(" + _TOKEN + rb"++):[\t\x20-\x7e\x80-\xff]*+").fullmatch

_FORBIDDEN_TRAILERS = frozenset((
    b"authorization", b"connection", b"content-encoding", b"content-length", b"content-range",
    b"content-type", b"cookie", b"expect", b"forwarded", b"host", b"keep-alive", b"proxy-authorization",
    b"proxy-connection", b"set-cookie", b"te", b"trailer", b"transfer-encoding", b"upgrade",
))  # fmt: skip
_FORBIDDEN_PREFIXES = (b"x-forwarded", b"ngrok")


class ChunkScanner:
    """Finds the end of one chunked body. ``status`` is that of the HttpError it raises."""

    __slots__ = ("_excess", "_line", "_rest", "_trailers", "done", "status", "trailers")

    def __init__(self, status: int = 400) -> None:
        """Start before the first chunk; ``status`` is 400 for a request, 502 for a response."""
        self.status = status
        self.done = False
        self.trailers: list[bytes] = []
        """Lines ``name:value`` of the trailer section, once ``done``."""
        self._rest = 0  # of the chunk's data and its CR LF, still to come
        self._line = b""  # a line of which the end has not come yet
        self._trailers: bytes | None = (
            None  # what has come of the section, CR LF of the last chunk's line first
        )
        self._excess = 0

    def __repr__(self) -> str:
        """Show how far the body is."""
        return f"<ChunkScanner {'done' if self.done else f'rest={self._rest}'}>"

    def scan(self, view: memoryview | bytes, payload: list[bytes] | None = None) -> int:
        """Return how many bytes of ``view`` belong to the body; fewer than all only when ``done``.

        ``payload`` receives the data without its framing. Raise HttpError on anything malformed.
        """
        pos, size = 0, len(view)
        while pos < size and not self.done:
            if self._trailers is not None:
                pos = self._scan_trailers(view, pos)
            elif self._rest:
                pos = self._skip_data(view, pos, size, payload)
            else:
                pos = self._size_line(view, pos)
        return pos

    def _skip_data(self, view: memoryview | bytes, pos: int, size: int, payload: list[bytes] | None) -> int:
        """Pass over data; the two bytes behind it must be CR LF."""
        rest = self._rest
        if rest > 2:
            step = min(rest - 2, size - pos)
            if payload is not None:
                payload.append(bytes(view[pos : pos + step]))
            pos += step
            rest -= step
        while rest <= 2 and rest and pos < size:
            if view[pos] != b"\n\r"[rest - 1]:
                raise HttpError(self.status, "A chunk is longer than it says.")
            pos += 1
            rest -= 1
        self._rest = rest
        return pos

    def _size_line(self, view: memoryview | bytes, pos: int) -> int:
        """Read a size line, which may have begun in an earlier view."""
        if not self._line:
            match = _SIZE_LINE(view, pos)
            if match is not None:
                self._begin_chunk(match)
                return match.end()
        kept = len(self._line)
        line = self._line + bytes(view[pos : pos + MAX_LINE - kept])
        match = _SIZE_LINE(line)
        if match is not None:
            self._line = b""
            self._begin_chunk(match)
            return pos + match.end() - kept
        if b"\n" in line or len(line) >= MAX_LINE or not _could_begin(line):
            raise HttpError(self.status, "A chunk's size line is malformed.")
        self._line = line
        return pos + len(line) - kept

    def _begin_chunk(self, match: re.Match[bytes]) -> None:
        size = int(match[1], 16)
        # Empty-ish chunks with long extensions cost the receiver more than they carry.
        self._excess = max(0, self._excess + match.end() - match.start() - 16 - 2 * size)
        if self._excess > MAX_EXTENSIONS or match.end() - match.start() > MAX_LINE:
            raise HttpError(self.status, "The body has more chunk extensions than data.")
        if size:
            self._rest = size + 2
        else:
            self._trailers = b"\r\n"

    def _scan_trailers(self, view: memoryview | bytes, pos: int) -> int:
        """Collect the trailer section up to its blank line, then judge it whole."""
        seen = self._trailers or b""
        grown = seen + bytes(view[pos : pos + MAX_TRAILERS - len(seen)])
        end = grown.find(b"\r\n\r\n", max(0, len(seen) - 3))
        if end < 0:
            if len(grown) >= MAX_TRAILERS:
                raise HttpError(self.status, "The trailer section is too long.")
            self._trailers = grown
            return pos + len(grown) - len(seen)
        self.trailers = judge_trailers(grown[2:end], self.status)
        self.done = True
        return pos + end + 4 - len(seen)


def judge_trailers(section: bytes, status: int) -> list[bytes]:
    """Return the lines of a trailer section without its blank line; raise HttpError(``status``)."""
    lines = section.split(b"\r\n") if section else []
    if len(lines) > MAX_TRAILER_FIELDS:
        raise HttpError(status, "There are too many trailer fields.")
    for line in lines:
        match = _TRAILER_LINE(line)
        if match is None:
            raise HttpError(status, "A trailer field is malformed.")
        name = match[1].lower().replace(b"_", b"-")
        if name in _FORBIDDEN_TRAILERS or name.startswith(_FORBIDDEN_PREFIXES):
            raise HttpError(status, "A trailer field would change what the head said.")
    return lines


def chunk(data: bytes) -> bytes:
    """Write one chunk; of no data, nothing, since an empty chunk would be the last."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def last_chunk(trailers: list[bytes]) -> bytes:
    """Write the end of a chunked body with these trailer lines."""
    return b"\r\n".join((b"0", *trailers, b"", b""))


def _could_begin(line: bytes) -> bool:
    """Say whether an unfinished line may still become a size line: fail early, not at the limit."""
    digits = line.lstrip(b"0123456789abcdefABCDEF")
    return len(line) - len(digits) <= 15 and (not digits or (digits[0] in b";\r" and digits != line))
