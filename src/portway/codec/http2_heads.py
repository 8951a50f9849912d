"""Heads of HTTP/2 as those of HTTP/1, and back.

What is valid is defined once, in ``codec/http1.py``. A head of HTTP/2 is checked for what only HTTP/2 can get
wrong (RFC 9113 §8.2, §8.3: names in capitals, pseudo-fields that are missing, doubled, unknown or late,
fields that speak of a connection, line ends inside of values) and written as lines, which the strict reader
judges like any other head. The other way, heads that were written for HTTP/1 are taken apart.

An extended CONNECT (RFC 8441) is written as the upgrade that it stands for, and the other way round.
"""

from base64 import b64encode
from hashlib import sha1
from typing import TYPE_CHECKING, Final, cast

from portway.codec.chunked import judge_trailers
from portway.codec.headers import without_named
from portway.codec.http1 import (
    CHUNKED,
    MAX_FIELDS,
    NO_BODY,
    UNTIL_CLOSE,
    RequestHead,
    ResponseHead,
    parse_request,
    parse_response,
)
from portway.errors import HttpError

if TYPE_CHECKING:
    from collections.abc import Callable

    from portway.codec.http2_hpack import Fields

_OF_A_CONNECTION: Final = frozenset((
    b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade",
))  # fmt: skip
_REQUEST_PSEUDO: Final = frozenset((b":method", b":scheme", b":authority", b":path", b":protocol"))
_ANSWER_PSEUDO: Final = frozenset((b":status",))
_NOT_IN_HTTP2: Final = _OF_A_CONNECTION | {b"host", b"http2-settings"}
_HANDSHAKE: Final = frozenset((b"sec-websocket-key", b"sec-websocket-accept"))
"""Of WebSocket over HTTP/1 only: RFC 8441 §5 has no use for them."""

_STATUS_DIGITS: Final = 3

ADDED: Final = 4
"""Fields that a head gets, at most, when it is written as lines."""

_SCHEME: Final = RequestHead._fields.index("scheme")
_new_request = cast("Callable[[type[RequestHead], tuple[object, ...]], RequestHead]", tuple.__new__)


def read_request(
    fields: "Fields",
    *,
    ended: bool,
    key: bytes = b"",
    most: int = MAX_FIELDS,
    read: "Callable[[bytes], RequestHead] | None" = None,
) -> RequestHead:
    """Read a request's head. ``ended``: no body follows. ``key`` is for the handshake of a WebSocket.

    ``read`` is for what repeats on a connection (``RequestReader.read``, which takes ADDED fields more than
    ``most``). Raises HttpError: 400 for what is malformed, and all that ``parse_request`` raises.
    """
    pseudo, lines, has_length = _lines(fields, _REQUEST_PSEUDO, 400, most)
    method, scheme, path = pseudo.get(b":method"), pseudo.get(b":scheme"), pseudo.get(b":path")
    authority, protocol = pseudo.get(b":authority"), pseudo.get(b":protocol")
    if method == b"CONNECT" and protocol is None:
        raise HttpError(501, "CONNECT is not served here.")
    if not method or not scheme or not path:
        raise HttpError(400, "The request lacks a pseudo-field.")
    if scheme not in (b"http", b"https"):
        raise HttpError(400, "The scheme is neither http nor https.")
    if path[0] != 0x2F and not (path == b"*" and method == b"OPTIONS"):
        raise HttpError(400, "The path is malformed.")
    if authority is not None:
        hosts = [line for line in lines if line.startswith(b"host:")]
        if hosts and hosts != [b"host:" + authority]:
            raise HttpError(400, ":authority and the Host field differ.")
        if not hosts:
            lines.append(b"host:" + authority)
    if protocol is not None:
        if method != b"CONNECT" or ended or has_length:
            raise HttpError(400, "The upgrade is malformed.")
        method = b"GET"
        lines += [b"connection:upgrade", b"upgrade:" + protocol]
        if protocol.lower() == b"websocket":
            lines.append(b"sec-websocket-key:" + key)
    elif not ended and not has_length:
        lines.append(b"transfer-encoding:chunked")
    raw = b"\r\n".join((method + b" " + path + b" HTTP/1.1", *lines, b"", b""))
    if raw.count(b"\n") != len(lines) + 2 or raw.count(b"\r") != len(lines) + 2:
        raise HttpError(400, "A field holds the end of a line.")
    head = parse_request(raw, most + ADDED) if read is None else read(raw)
    return _new_request(RequestHead, (*head[:_SCHEME], scheme, *head[_SCHEME + 1 :]))


def read_answer(
    fields: "Fields", method: bytes, *, ended: bool, upgrade: bytes | None = None, most: int = MAX_FIELDS
) -> ResponseHead:
    """Read the head of an answer to a request of ``method``; raise HttpError(502).

    A final answer whose body has an unknown length is CHUNKED. ``upgrade``: the request asked for this
    protocol, so a 200 accepts it, and is given as the 101 that it stands for.
    """
    pseudo, lines, has_length = _lines(fields, _ANSWER_PSEUDO, 502, most)
    status = pseudo.get(b":status", b"")
    if status == b"101":
        raise HttpError(502, "HTTP/2 knows no status 101.")
    if len(status) != _STATUS_DIGITS:  # else a reason phrase would be read behind it
        raise HttpError(502, "The status is not of three digits.")
    if upgrade is not None and status == b"200" and not ended:
        status = b"101"
        lines += [b"connection:upgrade", b"upgrade:" + upgrade]
    elif not status.startswith(b"1") and not has_length:
        if not ended:
            lines.append(b"transfer-encoding:chunked")
        elif method != b"HEAD" and status not in (b"204", b"304"):
            lines.append(b"content-length:0")
    raw = b"\r\n".join((b"HTTP/1.1 " + status, *lines, b"", b""))
    if raw.count(b"\n") != len(lines) + 2 or raw.count(b"\r") != len(lines) + 2:
        raise HttpError(502, "A field of the answer holds the end of a line.")
    head = parse_response(raw, method, most + ADDED)
    if (head.framing is NO_BODY) != ended and head.status >= 200 and not ended:
        return head._replace(framing=NO_BODY)  # 204 and the like: DATA without bytes may follow
    return head


def accepted(key: bytes) -> bytes:
    """Return the line of HTTP/1 that accepts the handshake of a WebSocket with this key (RFC 6455 §4.2.2)."""
    proof = sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest()
    return b"Sec-WebSocket-Accept: " + b64encode(proof)


def read_trailers(fields: "Fields", status: int) -> list[bytes]:
    """Read a trailer section; raise HttpError(``status``)."""
    _, lines, _ = _lines(fields, frozenset(), status, MAX_FIELDS)
    section = b"\r\n".join(lines)
    if section.count(b"\n") + 1 > max(len(lines), 1):
        raise HttpError(status, "A trailer field holds the end of a line.")
    return judge_trailers(section, status)


def request_fields(raw: bytes, scheme: bytes) -> "Fields":
    """Write the head of a request, as it was written for an upstream of HTTP/1, in HTTP/2."""
    line, *lines = raw[:-4].split(b"\r\n")
    method, path, _ = line.split(b" ")
    authority, upgrade = b"", b""
    plain: Fields = []
    for each in lines:
        name, _, value = each.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        if name == b"host":
            authority = value
        elif name == b"upgrade":
            upgrade = value
        elif name not in _NOT_IN_HTTP2:
            plain.append((name, value))
    if upgrade:
        plain = [field for field in plain if field[0] not in _HANDSHAKE]
        method = b"CONNECT"
    fields = [(b":method", method), (b":scheme", scheme), (b":authority", authority), (b":path", path)]
    if upgrade:
        fields.append((b":protocol", upgrade))
    return fields + plain


def answer_fields(head: ResponseHead) -> "Fields":
    """Write the head of an answer in HTTP/2; an accepted upgrade is a 200."""
    special, plain = head.special, head.plain
    switched = head.status == 101
    fields = [(b":status", b"200" if switched else b"%d" % head.status)]
    if b"connection" in special:
        plain = without_named(plain, special)
    for line in plain:
        name, _, value = line.partition(b":")
        name = name.lower()
        if not (name in _NOT_IN_HTTP2 or (switched and name in _HANDSHAKE)):
            fields.append((name, value.strip(b" \t")))
    if head.framing is NO_BODY:
        if b"content-length" in special and head.status >= 200 and head.status != 204:
            fields.append((b"content-length", special[b"content-length"][0]))
    elif head.framing is not CHUNKED and head.framing is not UNTIL_CLOSE:
        fields.append((b"content-length", b"%d" % head.framing.length))
    return fields


def trailer_fields(lines: list[bytes]) -> "Fields":
    """Write trailers in HTTP/2."""
    fields: Fields = []
    for line in lines:
        name, _, value = line.partition(b":")
        fields.append((name.lower(), value.strip(b" \t")))
    return fields


def _lines(
    fields: "Fields", allowed: frozenset[bytes], status: int, most: int
) -> tuple[dict[bytes, bytes], list[bytes], bool]:
    """Take pseudo-fields apart from lines, and say whether there is a Content-Length."""
    pseudo: dict[bytes, bytes] = {}
    lines: list[bytes] = []
    cookies: list[bytes] = []
    has_length = False
    if len(fields) > most:
        raise HttpError(431 if status == 400 else status, f"The head has more than {most} fields.")
    for name, value in fields:
        if name[:1] == b":":
            if name not in allowed or name in pseudo or lines or cookies:
                raise HttpError(status, "A pseudo-field is unknown, doubled or late.")
            pseudo[name] = value
            continue
        if b":" in name or name != name.lower() or value != value.strip(b" \t"):
            raise HttpError(status, "A field is malformed.")
        if name in _OF_A_CONNECTION or (name == b"te" and value != b"trailers"):
            raise HttpError(status, "A field speaks of a connection of HTTP/1.")
        if name == b"cookie":
            cookies.append(value)  # may come in pieces (§8.2.3)
            continue
        has_length = has_length or name == b"content-length"
        lines.append(name + b":" + value)
    if cookies:
        lines.append(b"cookie:" + b"; ".join(cookies))
    return pseudo, lines, has_length
