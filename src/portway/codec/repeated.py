"""Heads that repeat: most clients send the same fields again and again on one connection.

Only the request line changes, or not even that, and an upstream's small answers are often equal byte
for byte. So one connection's readers remember the last head that they read: what follows from equal
bytes is equal. They give exactly what ``parse_request`` and ``parse_response`` would give, for a
third of the cost; heads above REMEMBERED bytes are not kept, so that an idle connection stays small.
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

_new_request = cast("Callable[[type[RequestHead], tuple[object, ...]], RequestHead]", tuple.__new__)


class RequestReader:
    """Reads the request heads of one connection."""

    __slots__ = ("_fields", "_last", "_most")

    def __init__(self, most: int = MAX_FIELDS) -> None:
        """Remember nothing yet. ``most`` is how many fields a head may have."""
        self._most = most
        self._fields = b""
        self._last: RequestHead | None = None

    def read(self, head: bytes) -> RequestHead:
        """Read a whole head as ``parse_request`` does; raise what it raises."""
        end = head.find(b"\r\n")
        fields = head[end:]
        last = self._last
        if last is not None and fields == self._fields:
            match = _LINE(head, 0, end)
            if match is not None:
                method, target = match.groups()
                if method != b"CONNECT":
                    return _new_request(RequestHead, (method, target, *last[2:-1], len(head)))
        request = parse_request(head, self._most)
        if len(head) <= REMEMBERED and request.minor == 1 and request.scheme is None and end > 0:
            self._fields = fields
            self._last = request
        return request


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
