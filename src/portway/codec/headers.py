"""Heads written anew for the next hop: what is dropped, what is added, what is kept.

A head goes on without the fields that spoke of the connection it came on (RFC 9110 §7.6.1), with
its framing and Host written by us, and with what the upstream needs to know of the visitor:
``X-Forwarded-For`` and ``-Proto`` appended, ``-Host`` kept or set. Names that only the service
may set (``Ngrok-…``) and spellings with underscores, which many application servers take for the
same name, never pass.
"""

from portway.codec.http1 import CHUNKED, NO_BODY, UNTIL_CLOSE, RequestHead, ResponseHead, Special

_CRLF = b"\r\n"
_HARMLESS_OPTIONS = frozenset((b"keep-alive", b"close", b"upgrade", b"te", b"http2-settings", b""))
_ZERO = ord("0")
_KEEP_ALIVE = [b"keep-alive"]  # what every browser sends
_STATUS = [f"HTTP/1.1 {status} ".encode() for status in range(1000)]
_FORWARDED_PREFIX = b"x-forwarded-"


class Forwarding:
    """What upstreams are told of one visitor's connection; made once for all its requests."""

    __slots__ = ("address", "extra", "lines", "plain", "scheme", "trusted")

    def __init__(self, address: str, scheme: str, *, trusted: bool = True) -> None:
        """Take the visitor's IP, ``http`` or ``https``, and whether its own claims are passed on."""
        self.address = address.encode("ascii", "replace")
        self.scheme = scheme.encode("ascii")
        self.trusted = trusted
        self.extra: list[bytes] = []
        """Further lines for all its requests, such as who has shown a certificate."""
        self.lines = [b"X-Forwarded-For: " + self.address, b"X-Forwarded-Proto: " + self.scheme]
        """What is said of a visitor that says nothing of the like itself; the host comes behind them."""
        self.plain = _CRLF.join([*self.lines, b"X-Forwarded-Host: "])


def request_tail(head: RequestHead, forwarding: Forwarding | None, *, for_service: bool = False) -> bytes:
    """Write what follows the target in the head that the upstream gets, blank line included.

    Its version is HTTP/1.1. It is the same for heads with the same fields.

    ``for_service``: the upstream is the service's own API, whose clients say which version they speak.
    ``forwarding`` None: the head's plain lines are all that it shall have, see :func:`upstream_lines`.
    """
    special = head.special
    plain = head.plain
    if head.suspect and forwarding is not None:
        plain = [
            line
            for line in plain
            if not _is_ours(line, trusted=forwarding.trusted) or (for_service and _is_version(line))
        ]
    authority = head.authority
    lines = [b" HTTP/1.1\r\nHost: " + authority]
    understood = 1  # Host
    options = special.get(b"connection")
    if options is not None:
        understood = 2
        if options != _KEEP_ALIVE:
            plain = without_named(plain, special)
    lines += plain
    if len(special) > understood:
        _add_request_framing(head, lines)
    if forwarding is not None:
        if head.suspect:
            _add_forwarded(head, forwarding, lines)
        else:
            lines.append(forwarding.plain + authority)
        if forwarding.extra:
            lines += forwarding.extra
    lines.append(b"\r\n")
    return _CRLF.join(lines)


def upstream_lines(head: RequestHead, forwarding: Forwarding | None) -> list[bytes]:
    """Return the field lines that the upstream gets besides Host and framing, for who wants to change them.

    A head whose plain lines are these is written with a ``forwarding`` of None.
    """
    plain = head.plain
    if head.suspect and forwarding is not None:
        plain = [line for line in plain if not _is_ours(line, trusted=forwarding.trusted)]
    if b"connection" in head.special:
        plain = without_named(plain, head.special)
    lines = [*plain]
    if forwarding is not None:
        if head.suspect:
            _add_forwarded(head, forwarding, lines)
        else:
            lines += [*forwarding.lines, b"X-Forwarded-Host: " + head.authority]
        lines += forwarding.extra
    return lines


def answer_lines(head: ResponseHead) -> list[bytes]:
    """Return the field lines that the visitor gets besides framing."""
    return without_named(head.plain, head.special) if b"connection" in head.special else head.plain


def response_head(head: ResponseHead, *, keep_alive: bool, chunking: bool = True) -> bytes:
    """Write the head that the visitor gets, blank line included. Its version is HTTP/1.1.

    ``keep_alive`` says whether the visitor's connection stays open behind this answer;
    ``chunking`` is False for a visitor of HTTP/1.0, whose body comes without its coding.
    """
    special = head.special
    plain = head.plain
    lines = [_STATUS[head.status] + head.reason]
    if b"connection" in special:
        plain = without_named(plain, special)
    lines += plain
    framing = head.framing
    if framing is CHUNKED:
        if chunking:
            lines.append(b"Transfer-Encoding: chunked")
    elif framing is NO_BODY:
        if b"content-length" in special and head.status >= 200 and head.status != 204:
            lines.append(b"Content-Length: " + special[b"content-length"][0])  # of HEAD, of 304, or zero
    elif framing is not UNTIL_CLOSE:
        digits = special[b"content-length"][0]  # as it came, but not with zeros that some read as octal
        lines.append(b"Content-Length: " + (digits if digits[0] != _ZERO else str(framing.length).encode()))
    if head.upgrade and head.status in (101, 426):
        lines.append(b"Connection: Upgrade\r\nUpgrade: " + special[b"upgrade"][0])
    elif not keep_alive and head.status >= 200:
        lines.append(b"Connection: close")
    lines.append(b"\r\n")
    return _CRLF.join(lines)


def _is_ours(line: bytes, *, trusted: bool) -> bool:
    """Say whether a field is one that the visitor may not send, or not in this spelling."""
    name = line.partition(b":")[0].lower()
    spelled = name.replace(b"_", b"-")
    if spelled.startswith(b"ngrok-"):
        return True
    if spelled.startswith(_FORWARDED_PREFIX):
        return not trusted or name != spelled
    return name == b"forwarded" and not trusted


def _is_version(line: bytes) -> bool:
    """Say whether a field is the version of the API that its client speaks."""
    return line.partition(b":")[0].lower() == b"ngrok-version"


def without_named(plain: list[bytes], special: Special) -> list[bytes]:
    """Drop the fields that Connection names."""
    named = {option.strip(b" \t") for option in b",".join(special[b"connection"]).lower().split(b",")}
    named -= _HARMLESS_OPTIONS
    if not named:
        return plain
    return [line for line in plain if line.partition(b":")[0].lower() not in named]


def _add_request_framing(head: RequestHead, lines: list[bytes]) -> None:
    special = head.special
    if head.framing is CHUNKED:
        lines.append(b"Transfer-Encoding: chunked")
    elif b"content-length" in special:
        lines.append(b"Content-Length: %d" % head.framing.length)
    if head.expect_continue:
        lines.append(b"Expect: 100-continue")
    if head.upgrade is not None:
        lines.append(b"Connection: Upgrade\r\nUpgrade: " + special[b"upgrade"][0])
    if b"te" in special and b"trailers" in b",".join(special[b"te"]).lower():
        lines.append(b"TE: trailers")  # trailers do pass this hop


def _add_forwarded(head: RequestHead, forwarding: Forwarding, lines: list[bytes]) -> None:
    """Append to what earlier proxies said if it is trusted, else say it alone."""
    special: Special = head.special if forwarding.trusted else {}
    values = (forwarding.address, forwarding.scheme)
    for name, own in zip((b"X-Forwarded-For", b"X-Forwarded-Proto"), values, strict=True):
        before = [value for value in special.get(name.lower(), ()) if value]
        lines.append(name + b": " + b", ".join([*before, own]))
    host = [value for value in special.get(b"x-forwarded-host", ()) if value]
    lines.append(b"X-Forwarded-Host: " + (b", ".join(host) or head.authority))
