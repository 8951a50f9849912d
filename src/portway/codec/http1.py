"""HTTP/1 heads, read strictly: what a visitor asks for and what an upstream answers.

Theory of operation. Two readers of one head that disagree about where it ends, whom it names or how
long its body is are how requests are smuggled past a proxy. So nothing is repaired and nothing is
passed on as it came: a head either matches one linear regular expression whole or is refused, its
framing and its host are taken out, and ``codec/headers.py`` writes them anew. What httptools
refuses and we accept is a bug (``tests/codec/test_http1_against_httptools.py``).

The expression is possessive (no backtracking), so a hostile head of a megabyte costs milliseconds.
After it has matched, every line is known to be ``name:value`` with clean bytes, and plain string
methods are enough; only a head that did not match is looked at line by line, to say why.

RFC 9112 is meant by every section number without another RFC in front.
"""

import re
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, cast

from portway.errors import HttpError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_HEAD = 1 << 20
"""Longest head taken where nothing else is said, in bytes, blank line included."""

MAX_FIELDS = 500
"""Most field lines in one head, likewise."""

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
# Only single characters are repeated possessively: CPython before 3.11.5 forgets to step back when a
# possessive group fails half-way, and would take what is malformed.
_FIELD_LINES = rb"((?:" + _TOKEN + rb"++:[\t\x20-\x7e\x80-\xff]*+\r\n)*)\r\n"
# One empty line before the request line is ignored (§2.2).
_REQUEST = re.compile(
    rb"(?:\r\n)?(" + _TOKEN + rb"++) ([!-~]++) HTTP/([0-9])\.([0-9])\r\n" + _FIELD_LINES
).fullmatch
# The reason phrase may be empty, and so may the space before it: servers do so, and it means nothing.
_RESPONSE = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*+))?\r\n" + _FIELD_LINES
).fullmatch

_FIELD_LINE = re.compile(_TOKEN + rb"++:[\t\x20-\x7e\x80-\xff]*+").fullmatch
_REQUEST_LINE = re.compile(_TOKEN + rb"++ [!-~]++ HTTP/[0-9]\.[0-9]").fullmatch
_MAX_DIGITS = 18
_AUTHORITY = re.compile(rb"([a-z0-9_.\-]{1,255}|\[[0-9a-f:.]{2,45}\])(?::([0-9]{0,5}))?").fullmatch
_ABSOLUTE = re.compile(rb"(?i:(https?)://)([^/?#]++)([^#]*+)").fullmatch
_OURS = re.compile(rb"\n(?:ngrok|x[-_]forwarded|forwarded)").search
_BEGINNING = re.compile(rb"\r|" + _TOKEN).match
_TABBED = re.compile(rb"(?:^|\n)(?i:transfer-encoding):[^\r\t]*+\t").search
_BARE_LF = re.compile(rb"(?:^|[^\r])\n").search

_SINGLE = frozenset((b"host", b"content-length", b"transfer-encoding"))
_SPECIAL_IN_REQUEST = _SINGLE | {
    b"connection", b"keep-alive", b"proxy-connection", b"proxy-authorization", b"te", b"upgrade", b"expect",
    b"http2-settings", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host",
}  # fmt: skip
_SPECIAL_IN_RESPONSE = frozenset((
    b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"proxy-connection", b"upgrade",
    b"ngrok-error-code", b"ngrok_error_code", b"ngrok-error_code", b"ngrok_error-code",
))  # fmt: skip


class Kind(IntEnum):
    """How the end of a body is known."""

    NONE = 0
    LENGTH = 1
    CHUNKED = 2
    CLOSE = 3
    """Only of a response: the body ends with the connection (§6.3 rule 8)."""


class Framing(NamedTuple):
    """The end of a message's body. ``length`` is its size in bytes, 0 unless the kind is LENGTH.

    All but those of a length are one of three constants: compare by identity where it must be quick,
    since members of enumerations are slow to reach.
    """

    kind: Kind
    length: int = 0


_LENGTH_KIND = Kind.LENGTH
NO_BODY = Framing(Kind.NONE)
CHUNKED = Framing(Kind.CHUNKED)
UNTIL_CLOSE = Framing(Kind.CLOSE)

Special = dict[bytes, list[bytes]]
"""Values, in order, of the fields that a proxy must understand, by lower-case name.

Like the list of plain lines it is never changed once read: equal heads may share it.
"""


class RequestHead(NamedTuple):
    """A request's head that can be served. Bytes are as received unless said otherwise."""

    method: bytes
    target: bytes
    """Origin form or ``*``: an absolute target has lost its scheme and authority."""
    minor: int
    """Of the version HTTP/1.minor: 0 or 1."""
    scheme: bytes | None
    """``http`` or ``https`` if the target was absolute and said so, else None."""
    host: str
    """Whom the visitor asks for: lower case, no port, no trailing dot; ``[::1]`` keeps brackets."""
    port: int | None
    authority: bytes
    """Value of the Host field, to be passed on unchanged."""
    framing: Framing
    keep_alive: bool
    upgrade: bytes | None
    """Protocol asked for by ``Connection: upgrade``, in lower case; never h2c."""
    expect_continue: bool
    special: Special
    plain: list[bytes]
    """The other field lines, ``name:value``, verified and in order."""
    suspect: bool
    """Whether some name may be one that only the service sets."""
    size: int
    """Bytes of the head, blank line included."""

    @property
    def version(self) -> str:
        """``HTTP/1.0`` or ``HTTP/1.1``."""
        return "HTTP/1.1" if self.minor else "HTTP/1.0"

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """All fields as name and value; the ones a proxy must understand come first."""
        return _pairs(self.special, self.plain)


class ResponseHead(NamedTuple):
    """An upstream's head that can be relayed."""

    status: int
    reason: bytes
    minor: int
    framing: Framing
    keep_alive: bool
    """Whether the upstream will read another request after this answer."""
    special: Special
    plain: list[bytes]
    size: int
    upgrade: bytes | None
    """Value of Upgrade, when ``Connection`` names it."""

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """All fields as name and value; the ones a proxy must understand come first."""
        return _pairs(self.special, self.plain)


# A named tuple's own call goes through a function written in Python; these do not.
_new_request = cast("Callable[[type[RequestHead], tuple[object, ...]], RequestHead]", tuple.__new__)
_new_response = cast("Callable[[type[ResponseHead], tuple[object, ...]], ResponseHead]", tuple.__new__)
_new_framing = cast("Callable[[type[Framing], tuple[Kind, int]], Framing]", tuple.__new__)


def find_head(buffer: bytes | bytearray, start: int = 0, status: int = 400, most: int = MAX_HEAD) -> int:
    """Return the position behind the first head in ``buffer``, or -1 while it is incomplete.

    ``start`` says how far earlier calls have looked, so that a dripped head costs linear time.
    Raise HttpError(``status``) for an early sign that no head will come, or when it is longer than
    ``most`` bytes, where 400 becomes 431.
    """
    end = buffer.find(b"\r\n\r\n", start - 3 if start > 3 else 0)
    if end >= 0 and end + 4 <= most:
        return end + 4
    if len(buffer) >= most:
        raise HttpError(431 if status == 400 else status, f"The head has more than {most} bytes.")
    if _BARE_LF(buffer, start - 1 if start > 1 else 0):
        raise HttpError(status, "A line ends with a bare LF.")
    if not start and buffer and not _BEGINNING(buffer):
        raise HttpError(status, "This is not HTTP.")
    return -1


def parse_request(head: bytes, most: int = MAX_FIELDS) -> RequestHead:
    """Read a whole request head, blank line included, with at most so many fields.

    Raise HttpError: 400 malformed or ambiguous, 417 unknown expectation, 431 too many fields,
    501 CONNECT, 505 a version other than 1.0 and 1.1.
    """
    match = _REQUEST(head)
    if match is None:
        raise _why(head)
    method, target, major, minor_digit, blob = match.groups()
    if major != b"1" or minor_digit not in b"01":
        raise HttpError(505, "Only HTTP/1.0 and HTTP/1.1 are spoken here.")
    minor = 1 if minor_digit == b"1" else 0
    special, plain = _split(blob, _SPECIAL_IN_REQUEST, 400, most)
    hosts = special.get(b"host")
    if hosts is None or len(hosts) != 1:
        raise HttpError(400, "A request needs exactly one Host field.")
    authority = hosts[0]
    host, port = parse_authority(authority)
    scheme: bytes | None = None
    if method == b"CONNECT":
        raise HttpError(501, "CONNECT is not served here.")
    if target[0] != 0x2F:  # "/"
        scheme, target = _other_target(method, target, (host, port))
    elif b"#" in target:
        raise HttpError(400, "The request target holds a fragment.")
    lower = head.lower()
    options = _options(special) if b"connection" in special else ()
    framing = NO_BODY
    if b"content-length" in special or b"transfer-encoding" in special:
        framing = _framing(special, blob, minor, 400) or NO_BODY
    return _new_request(
        RequestHead,
        (
            method,
            target,
            minor,
            scheme,
            host,
            port,
            authority,
            framing,
            minor == 1 and b"close" not in options,
            _upgrade(special, options, minor, framing) if b"upgrade" in options else None,
            b"expect" in special and _expects(special, minor, framing),
            special,
            plain,
            (b"\nx" in lower or b"\nn" in lower or b"\nf" in lower) and _OURS(lower) is not None,
            len(head),
        ),
    )


def parse_response(head: bytes, method: bytes, most: int = MAX_FIELDS) -> ResponseHead:
    """Read a whole response head to a request of ``method``; raise HttpError(502).

    ``most`` is how many fields it may have.
    """
    match = _RESPONSE(head)
    if match is None:
        raise HttpError(502, "The upstream's answer is not valid HTTP/1.")
    minor_digit, digits, reason, blob = match.groups()
    minor = 1 if minor_digit == b"1" else 0
    status = int(digits)
    special, plain = _split(blob, _SPECIAL_IN_RESPONSE, 502, most)
    options = _options(special) if b"connection" in special else ()
    if minor == 1:
        keep_alive = b"close" not in options
    else:
        keep_alive = b"keep-alive" in options and b"close" not in options
    framing = _framing(special, blob, minor, 502) or UNTIL_CLOSE
    if status < 200 or status in (204, 304) or method == b"HEAD":
        framing = NO_BODY
    upgrade = special.get(b"upgrade") if b"upgrade" in options else None
    if status == 101 and not (upgrade and upgrade[0]):
        raise HttpError(502, "The upstream switches protocols without saying to which.")
    return _new_response(
        ResponseHead,
        (
            status,
            reason or b"",
            minor,
            framing,
            keep_alive and framing is not UNTIL_CLOSE,
            special,
            plain,
            len(head),
            upgrade[0].lower() if upgrade else None,
        ),
    )


@lru_cache(maxsize=4096)
def parse_authority(authority: bytes) -> tuple[str, int | None]:
    """Split a Host value into lower-case name and port; raise HttpError(400) if it is malformed.

    User information, blanks, non-ASCII names and empty ones are refused; one trailing dot is dropped.
    """
    match = _AUTHORITY(authority.lower())
    if match is None:
        raise HttpError(400, "The Host field is malformed.")
    name, digits = match.groups()
    if name[-1] == 0x2E:  # "."
        name = name[:-1]
        if not name:
            raise HttpError(400, "The Host field is malformed.")
    port = int(digits) if digits else None
    if port is not None and not 0 < port < 65_536:
        raise HttpError(400, "The Host field names an impossible port.")
    return name.decode("ascii"), port


def _split(blob: bytes, wanted: frozenset[bytes], status: int, most: int) -> tuple[Special, list[bytes]]:
    """Sort verified field lines into those that must be understood and the rest."""
    lines = blob.split(b"\r\n")
    lines.pop()
    if len(lines) > most:
        if status == 400:
            raise HttpError(431, f"The request has more than {most} fields.")
        raise HttpError(status, f"The upstream's answer has more than {most} fields.")
    special: Special = {}
    plain: list[bytes] = []
    for line in lines:
        name, _, value = line.partition(b":")
        name = name.lower()
        if name in wanted:
            if name in special:
                special[name].append(value.strip(b" \t"))
            else:
                special[name] = [value.strip(b" \t")]
        else:
            plain.append(line)
    return special, plain


def _pairs(special: Special, plain: list[bytes]) -> list[tuple[bytes, bytes]]:
    pairs = [(name, value) for name, values in special.items() for value in values]
    for line in plain:
        name, _, value = line.partition(b":")
        pairs.append((name, value.strip(b" \t")))
    return pairs


def _options(special: Special) -> list[bytes]:
    """Return the members of all Connection fields in lower case."""
    return [option.strip(b" \t") for option in b",".join(special[b"connection"]).lower().split(b",")]


def _framing(special: Special, blob: bytes, minor: int, status: int) -> Framing | None:
    """Apply §6.3; None when no field speaks of a body. Anything ambiguous raises."""
    lengths = special.get(b"content-length")
    codings = special.get(b"transfer-encoding")
    if codings is None:
        if lengths is None:
            return None
        if len(lengths) != 1 or not lengths[0].isdigit() or len(lengths[0]) > _MAX_DIGITS:
            raise HttpError(status, "Content-Length is not one plain number.")
        length = int(lengths[0])
        return _new_framing(Framing, (_LENGTH_KIND, length)) if length else NO_BODY
    if lengths is not None:
        raise HttpError(status, "Content-Length and Transfer-Encoding contradict each other.")
    if minor == 0:
        raise HttpError(status, "HTTP/1.0 knows no Transfer-Encoding.")
    # A tab is white space, and yet some readers take one for a part of the value: a known disguise.
    if len(codings) != 1 or codings[0].lower() != b"chunked" or (b"\t" in blob and _TABBED(blob)):
        raise HttpError(status, "The only transfer coding spoken here is chunked.")
    return CHUNKED


def _upgrade(
    special: Special, options: list[bytes] | tuple[()], minor: int, framing: Framing
) -> bytes | None:
    """Return the protocol to upgrade to, or None when the wish is to be ignored (RFC 9110 §7.8).

    h2c is ignored: its bytes would pass unread beside every rule. So is an upgrade with a body,
    whose end two readers might see in different places.
    """
    values = special.get(b"upgrade")
    if values is None or len(values) != 1 or minor == 0 or framing is not NO_BODY or not options:
        return None
    protocol = values[0].lower()
    return None if not protocol or b"h2c" in protocol or b"," in protocol else protocol


def _expects(special: Special, minor: int, framing: Framing) -> bool:
    """Say whether the visitor waits for 100 before it sends the body (RFC 9110 §10.1.1)."""
    if [value.lower() for value in special[b"expect"]] != [b"100-continue"]:
        raise HttpError(417, "The only expectation known here is 100-continue.")
    return minor == 1 and framing is not NO_BODY


def _other_target(method: bytes, target: bytes, named: tuple[str, int | None]) -> tuple[bytes | None, bytes]:
    """Bring a target that is not in origin form into it (§3.2); return scheme and target."""
    if target == b"*" and method == b"OPTIONS":
        return None, target
    match = _ABSOLUTE(target)
    if match is None:
        raise HttpError(400, "The request target is malformed.")
    scheme, authority, path = match.groups()
    if parse_authority(authority) != named:
        # §3.2.2 would let the target win. Who sends two names wants two readers to disagree.
        raise HttpError(400, "The request target and the Host field name different hosts.")
    if not path:
        path = b"*" if method == b"OPTIONS" else b"/"
    elif path[0] != 0x2F:
        path = b"/" + path
    return scheme.lower(), path


def _why(head: bytes) -> HttpError:
    """Say what is wrong with a request head that did not match."""
    line, *lines = head.removeprefix(b"\r\n").split(b"\r\n")
    if not _REQUEST_LINE(line):
        return HttpError(400, "The request line is malformed.")
    for bad in lines:
        if bad and not _FIELD_LINE(bad):
            if bad[0] in b" \t":
                return HttpError(400, "A field is folded over several lines.")
            if b"\n" in bad or b"\r" in bad:
                return HttpError(400, "A line ends with a bare CR or LF.")
            return HttpError(400, "A field line is malformed.")
    return HttpError(400, "The head of the request is malformed.")
