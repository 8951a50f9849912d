"""The visitor's side of a passage in HTTP/2: one stream."""

from typing import TYPE_CHECKING

from portway.codec import http2
from portway.codec.http2_heads import answer_fields, trailer_fields
from portway.edge import pages
from portway.edge.http2_flow import Flow
from portway.edge.http_heads import own_head
from portway.edge.http_passage import Passage

if TYPE_CHECKING:
    from portway.codec.http1 import ResponseHead
    from portway.edge.http2 import Http2Visitor
    from portway.edge.http2_flow import Http2Link
    from portway.edge.http_exchange import Exchange
    from portway.edge.http_sides import Lines
    from portway.errors import HttpError


class Http2Stream(Flow):
    """One request of a visitor's connection, and its answer."""

    __slots__ = ("_owed", "_passage", "_request_ended", "_visitor")

    def __init__(self, visitor: "Http2Visitor", link: "Http2Link", stream: int, *, ended: bool) -> None:
        """Take a request's head; ``ended``: it has no body."""
        super().__init__(link, stream)
        self._visitor = visitor
        self._passage: Passage | None = None
        self._request_ended = ended
        self._owed = 0

    def __repr__(self) -> str:
        """Show the stream and its passage."""
        return f"<Http2Stream {self.id} waiting={self.waiting} {self._passage!r}>"

    def serve(self, exchange: "Exchange") -> Passage:
        """Make the passage of the request."""
        passage = self._passage = Passage(self._visitor.upstreams, self, exchange)
        return passage

    def begun(self) -> None:
        """The passage has begun: a request without a body is complete."""
        passage = self._passage
        if passage is not None and self._request_ended:
            passage.end([])

    def refuse(self, status: int, reason: str) -> None:
        """Answer a head that could not be read: nobody is named, so no page of an endpoint."""
        lines, body = pages.error_answer(status, pages.GENERAL, detail=reason)
        self.head(own_head(status, lines, len(body)))
        self.write(body)
        self.end([])

    # -- from the visitor

    def on_payload(self, data: bytes, size: int) -> None:
        """Take bytes of the body; the visitor gets credit when the upstream has taken them."""
        self.ticks = 0
        passage = self._passage
        self._owed += size
        if passage is None or passage.body(data):
            self._pay()

    def on_finished(self, trailers: "Lines") -> None:
        """The request is complete."""
        self.ticks = 0
        self._request_ended = True
        if self._passage is not None:
            self._passage.end(trailers)

    def malformed(self, error: "HttpError") -> None:
        """The trailers cannot be read."""
        self._request_ended = True
        if self._passage is not None:
            self._passage.malformed(error)

    def abandon(self) -> None:
        """The stream is gone."""
        self._pay()  # others share the window of its connection
        if self._passage is not None:
            self._passage.abandon()

    def stalled(self) -> None:
        """Nothing has moved for too long."""
        passage = self._passage
        if passage is None or passage.over:
            self.cut()
        else:
            self.ticks = 0
            passage.stalled()

    # -- the passage's side

    def interim(self, head: "ResponseHead") -> None:
        """Give an answer below 200."""
        self.ticks = 0
        self._link.core.head(self.id, answer_fields(head))
        self._link.touch()

    def head(self, head: "ResponseHead") -> None:
        """Give the head of the answer."""
        self.ticks = 0
        self.start(answer_fields(head))

    def write(self, data: bytes) -> None:
        """Give payload."""
        self._visitor.piece()
        if not self.waiting:
            self.ticks = 0
        self.put(data)

    def end(self, trailers: "Lines") -> None:
        """The answer is complete."""
        self.finish(trailer_fields(trailers))

    def cut(self) -> None:
        """The answer breaks off."""
        self._pay()
        self._visitor.reset_stream(self, http2.INTERNAL_ERROR)
        if self._passage is not None and self._passage.exchange.last:
            self._visitor.drain()  # its other requests are not judged by what this one asked

    def on_room(self) -> None:
        """The upstream has taken what waited."""
        self._pay()

    def _pay(self) -> None:
        owed, self._owed = self._owed, 0
        if owed:
            self._visitor.consumed(self.id, owed)

    # -- the flow's side

    def moved(self, size: int) -> None:
        """Bytes of the answer have been sent."""
        self._visitor.moved(size)

    def drained(self) -> None:
        """What had waited is sent."""
        if self._passage is not None:
            self._passage.caught_up()

    def ended(self) -> None:
        """The end is sent; what is missing of the request is not wanted any more (RFC 9113 §8.1)."""
        passage = self._passage
        self._pay()
        if self._request_ended:
            self._visitor.over(self)
        elif passage is None or passage.over:
            self._visitor.reset_stream(self, http2.NO_ERROR)
