"""The seams of one request: what its visitor, its upstream and a Traffic Policy are to each other.

::

    VisitorSide ──body, end──▶  Passage  ──send, end──▶ UpstreamSide
    (http1_side,               (http_passage)           (http1_upstream,
     http2_stream) ◀─head, write─┘     └◀─on_head, on_body─  http2_upstream)
                                │
                         RequestHooks (a policy)

A *passage* is one request from its head to the end of its answer. Its two sides know nothing of each
other: whichever version of HTTP each speaks, heads are the same two types, bodies are payload without
framing, and trailers are lines ``name:value``. All calls are made on the loop's thread and none awaits.

*Back-pressure.* Toward the upstream: ``send`` says how much was taken; who gets less is parked until
``on_room``. Toward the visitor: ``write`` takes all, and whoever writes looks at ``clogged``: bytes of the
answer are not consumed while it is set, until ``caught_up``. So what the edge holds of a body is
bounded by the window of the stream it came on, and a slow end slows the other one down.

*Upgrades.* An upgrade that was accepted is a head of status 101; from then on the bodies of both
directions are raw and end each by itself. How a version of HTTP says that is its side's business.

HTTP/1 to HTTP/1 without a policy has no passage: ``edge/http.py`` passes its bytes on under the framing
they came with.
"""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from portway.codec.http1 import RequestHead, ResponseHead
    from portway.edge.http_passage import Passage
    from portway.edge.member import Member

Lines = list[bytes]
"""Field lines ``name:value`` that a strict reader has verified."""


class VisitorSide(Protocol):
    """Where the answer goes. It calls the passage's ``begin``, ``body``, ``end``, ``caught_up``, ``abandon``
    and ``stalled``.
    """

    @property
    def clogged(self) -> bool:
        """The visitor is slow: consume nothing more, until the passage's ``caught_up``."""
        ...

    def interim(self, head: "ResponseHead") -> None:
        """Give an answer below 200 that is no upgrade."""
        ...

    def head(self, head: "ResponseHead") -> None:
        """Give the head of the answer. Status 101: bytes are raw from now on."""
        ...

    def write(self, data: bytes) -> None:
        """Give payload of the answer, never empty."""
        ...

    def end(self, trailers: Lines) -> None:
        """The answer is complete; of an upgraded request, this direction."""
        ...

    def cut(self) -> None:
        """The answer breaks off: the visitor must not take it for whole."""
        ...

    def on_room(self) -> None:
        """More of the request's body may be given."""
        ...


class UpstreamSide(Protocol):
    """Where the request goes. It calls the passage's ``on_…``, and nothing after ``abort``."""

    member: "Member"

    @property
    def reused(self) -> bool:
        """A request was served over the same connection before, so this one may have crossed its end."""
        ...

    def begin(self, head: "RequestHead", raw: bytes) -> None:
        """Send the head: as it is known here, and as written for the upstream in HTTP/1."""
        ...

    def send(self, data: bytes) -> int:
        """Send payload; return how many bytes were taken. Less than all: wait for ``on_room``."""
        ...

    def end(self, trailers: Lines) -> None:
        """The request is complete; of an upgraded one, this direction."""
        ...

    def consume(self, n: int) -> None:
        """Say that ``n`` bytes of ``on_body`` have left for good. Allowed at any time."""
        ...

    def abort(self) -> None:
        """Give the request up. Idempotent, and nothing if it is over."""
        ...


class Filter(Protocol):
    """Something that changes a body on its way. Pure: it is asked again with each piece."""

    def feed(self, data: bytes) -> bytes:
        """Take a piece; return what goes on now, perhaps nothing."""
        ...

    def end(self) -> bytes:
        """Return what goes on before the end of the body."""
        ...


class RequestHooks(Protocol):
    """What a policy does with one request. One object for each passage and policy.

    Each call must, now or later, lead to one of the passage's own calls named in its description; until
    then the passage waits, and back-pressure keeps what it holds within bounds.
    """

    def on_request(self) -> None:
        """The head is read, nothing has been forwarded: ``go_on``, ``forward``, ``answer`` or ``cut``."""
        ...

    def on_response(self, head: "ResponseHead") -> None:
        """The answer's head is here, nothing was given to the visitor: ``pass_on``, ``answer`` or ``cut``."""
        ...

    def on_unreached(self, status: int, code: int) -> bool:
        """No upstream took the request, which would now be answered so. True: the policy goes on instead."""
        ...

    def on_over(self) -> None:
        """The request is done with, in whatever way. Called once, and the last call."""
        ...


class RequestPolicy(Protocol):
    """A compiled policy, as the edge sees it."""

    def begin(self, passage: "Passage") -> RequestHooks:
        """Make what rules over one request. ``on_request`` follows at once."""
        ...
