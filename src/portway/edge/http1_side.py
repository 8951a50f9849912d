"""The visitor's side of a passage in HTTP/1: answers written under a framing of our own.

A body of known length goes as it is, one of unknown length in chunks, to a visitor of HTTP/1.0 until the
connection closes. Whether the connection stays open is told with the head, as on the direct way.

A head waits for the body that comes in the same turn of the loop, and both are one write: a send costs as
much as a policy.
"""

from asyncio import get_running_loop
from typing import TYPE_CHECKING

from portway.codec.chunked import chunk, last_chunk
from portway.codec.headers import response_head
from portway.codec.http1 import CHUNKED, NO_BODY, UNTIL_CLOSE, ResponseHead

if TYPE_CHECKING:
    from portway.edge.http import HttpVisitor
    from portway.edge.http_exchange import Exchange
    from portway.edge.http_sides import Lines


class Http1Side:
    """Where the answer to one request of an HTTP/1 connection goes."""

    __slots__ = ("_chunking", "_exchange", "_head", "_keep", "_visitor")

    def __init__(self, visitor: "HttpVisitor", exchange: "Exchange") -> None:
        """Answer this request of this connection."""
        self._visitor = visitor
        self._exchange = exchange
        self._chunking = False
        self._keep = False
        self._head = b""  # waits to be written

    def __repr__(self) -> str:
        """Show whose it is."""
        return f"<Http1Side {self._visitor!r}>"

    @property
    def clogged(self) -> bool:
        """The visitor is slow."""
        return self._visitor.clogged

    def interim(self, head: ResponseHead) -> None:
        """Give an answer below 200; HTTP/1.0 knows none."""
        self._visitor.ticks = 0
        if self._exchange.head.minor == 1:
            self._visitor.write(response_head(head, keep_alive=True))

    def head(self, head: ResponseHead) -> None:
        """Give the head of the answer."""
        visitor, request = self._visitor, self._exchange.head
        visitor.ticks = 0
        if head.status == 101:
            visitor.write(response_head(head, keep_alive=True))
            visitor.only_the_end_tells()
            visitor.passage_switched()
            return
        if head.framing is UNTIL_CLOSE and request.minor == 1:
            head = head._replace(framing=CHUNKED)  # its end can then be told from a break
        in_chunks = head.framing is CHUNKED
        self._chunking = in_chunks and request.minor == 1
        to_close = head.framing is UNTIL_CLOSE or (in_chunks and not self._chunking)
        self._keep = (
            request.keep_alive and not to_close and not visitor.draining and not self._is_refusal(head)
        )
        self._head = response_head(head, keep_alive=self._keep, chunking=self._chunking)
        get_running_loop().call_soon(self._write_head)
        if to_close:
            visitor.only_the_end_tells()

    def write(self, data: bytes) -> None:
        """Give payload."""
        self._visitor.ticks = 0
        head, self._head = self._head, b""
        data = chunk(data) if self._chunking else data
        self._visitor.write(head + data if head else data)

    def end(self, trailers: "Lines") -> None:
        """The answer, or of an upgraded request this direction, is complete."""
        if self._exchange.status == 101:
            self._visitor.passage_ended()
            return
        self._write_head()
        if self._chunking:
            self._visitor.write(last_chunk(trailers))
        self._visitor.passage_over(keep=self._keep)

    def cut(self) -> None:
        """The answer breaks off."""
        self._head = b""
        self._visitor.cut()

    def on_room(self) -> None:
        """More of the request may be read."""
        self._visitor.passage_has_room()

    def _write_head(self) -> None:
        """Write the head, if it still waits."""
        head, self._head = self._head, b""
        if head:
            self._visitor.write(head)

    def _is_refusal(self, head: ResponseHead) -> bool:
        """Say whether the rest of the request had better not come; see the direct way."""
        exchange = self._exchange
        if exchange.head.framing is NO_BODY or self._visitor.request_sent:
            return False
        waiting = exchange.head.expect_continue and not exchange.continued and not exchange.bytes_in
        return waiting or head.status >= 400
