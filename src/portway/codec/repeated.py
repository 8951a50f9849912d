"""Heads that repeat: most clients send the same fields again and again on one connection.

Only the request line changes, or a cookie and the Referer besides, or nothing at all; and an upstream's
small answers are often equal byte for byte. So one connection's readers remember the last head that they
read: what follows from equal bytes is equal. A request that differs from the last one only in values that
mean nothing to a proxy is that one with other values. They give exactly what ``parse_request`` and
``parse_response`` would give, for a third of the cost; heads above REMEMBERED bytes are not kept, so that
an idle connection stays small.
"""

import re
from typing import TYPE_CHECKING, cast

from portway.codec.http1 import MAX_FIELDS, RequestHead, ResponseHead, parse_request, parse_response

if TYPE_CHECKING:
    from collections.abc import Callable

REMEMBERED = 2048
"""Longest head, in bytes, that is remembered."""

# As in parse_request, for the one form of target and the one version whose meaning is in the fields alone.
_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]++) (/[!-\"$-~]*+) HTTP/1\.1").fullmatch

# The value of a field, as in parse_request.
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*+").fullmatch

_new_request = cast("Callable[[type[RequestHead], tuple[object, ...]], RequestHead]", tuple.__new__)


class RequestReader:
    """Reads the request heads of one connection."""

    __slots__ = ("_fields", "_last", "_lines", "_most", "_places")

    def __init__(self, most: int = MAX_FIELDS) -> None:
        """Remember nothing yet. ``most`` is how many fields a head may have."""
        self._most = most
        self._fields = b""
        self._last: RequestHead | None = None
        self._lines: list[bytes] = []  # those of _fields, once a head was compared with them
        self._places: list[int] = []  # where each of them is in the plain ones; -1 for the others

    def read(self, head: bytes) -> RequestHead:
        """Read a whole head as ``parse_request`` does; raise what it raises."""
        end = head.find(b"\r\n")
        fields = head[end:]
        last = self._last
        if last is not None:
            match = _LINE(head, 0, end)
            if match is not None:
                method, target = match.groups()
                plain = last.plain if fields == self._fields else self._other_values(fields, last.plain)
                if plain is not None and method != b"CONNECT":
                    self._fields = fields
                    # Up to the plain lines, and that some of them may be ours, all is as it was.
                    self._last = request = _new_request(
                        RequestHead, (method, target, *last[2:12], plain, last[13], len(head))
                    )
                    return request
        request = parse_request(head, self._most)
        if len(head) <= REMEMBERED and request.minor == 1 and request.scheme is None and end > 0:
            self._fields = fields
            self._last = request
            self._lines = []
        return request

    def _other_values(self, fields: bytes, plain: list[bytes]) -> list[bytes] | None:
        """Return the plain lines of ``fields`` if these differ from the last head's in plain values alone."""
        if len(fields) > REMEMBERED:
            return None
        before = self._lines or self._split(plain)
        lines = fields.split(b"\r\n")
        if len(lines) != len(before):
            return None
        plain = plain.copy()  # the last head has the other one
        for line, old, place in zip(lines, before, self._places, strict=True):
            if line != old:
                value = old.find(b":") + 1
                if place < 0 or line[:value] != old[:value] or not _VALUE(line, value):
                    return None
                plain[place] = line
        self._lines = lines
        return plain

    def _split(self, plain: list[bytes]) -> list[bytes]:
        """Make the lines of the last head, and say which of them are plain."""
        lines = self._lines = self._fields.split(b"\r\n")
        self._places = []
        place = 0
        for line in lines:
            found = place < len(plain) and line == plain[place]
            self._places.append(place if found else -1)
            place += found
        return lines


class AnswerReader:
    """Reads the answers' heads of one stream."""

    __slots__ = ("_last", "_method", "_most", "_raw")

    def __init__(self, most: int = MAX_FIELDS) -> None:
        """Remember nothing yet. ``most`` is how many fields a head may have."""
        self._most = most
        self._raw = b""
        self._method = b""
        self._last: ResponseHead | None = None

    def read(self, head: bytes, method: bytes) -> ResponseHead:
        """Read a whole head as ``parse_response`` does; raise what it raises."""
        if head == self._raw and method == self._method and self._last is not None:
            return self._last
        answer = parse_response(head, method, self._most)
        if len(head) <= REMEMBERED:
            self._raw = head
            self._method = method
            self._last = answer
        return answer
