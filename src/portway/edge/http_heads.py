"""Heads that the edge makes or changes for one passage."""

from typing import TYPE_CHECKING

from portway.codec.http1 import CHUNKED, NO_BODY, Framing, Kind, RequestHead, ResponseHead
from portway.edge import pages

if TYPE_CHECKING:
    from portway.edge.http_sides import Lines

CONTINUE = ResponseHead(100, b"Continue", 1, NO_BODY, True, {}, [], 0, None)
"""Tells a visitor to send the body that it announced."""


def own_head(status: int, lines: "Lines", length: int) -> ResponseHead:
    """Return the head of an answer of ours, of HTTP/1.1 and with a body of this length."""
    framing = Framing(Kind.LENGTH, length) if length else NO_BODY
    special = {b"content-length": [b"%d" % length]}
    return ResponseHead(status, pages.phrase(status).encode(), 1, framing, True, special, lines, 0, None)


def request_of_unknown_length(head: RequestHead) -> RequestHead:
    """Return a head that says nothing of its body's length."""
    if head.framing is NO_BODY:
        return head
    special = {name: values for name, values in head.special.items() if name != b"content-length"}
    special[b"transfer-encoding"] = [b"chunked"]
    return head._replace(framing=CHUNKED, special=special)


def answer_of_unknown_length(head: ResponseHead) -> ResponseHead:
    """Return a head that says nothing of its body's length."""
    special = {name: values for name, values in head.special.items() if name != b"content-length"}
    special[b"transfer-encoding"] = [b"chunked"]
    return head._replace(framing=CHUNKED, special=special)
