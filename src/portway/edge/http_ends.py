"""How a request and a visitor's HTTP/1 connection end: answers of ours, keep-alive, lingering, cuts.

A complete answer ends in order. Whatever breaks in the middle of one resets the visitor's socket. Behind an
answer to a request whose rest is unread the connection lingers, reading and dropping.
"""

from typing import TYPE_CHECKING, Final

from portway.edge import pages
from portway.edge.http_relay import Phase, RequestRelay

if TYPE_CHECKING:
    from portway.edge.http_exchange import ConnectionFacts, Exchange
    from portway.edge.http_upstreams import Upstreams
    from portway.edge.ports import HttpEdge
    from portway.errors import HttpError
    from portway.net.tls import TlsPump

LINGER: Final = 30
"""Seconds for which the rest of a request is read and dropped behind its answer."""

_HEAD, _BODY, _WAIT, _RAW, _LINGER = Phase


class VisitorEnds(RequestRelay):
    """A visitor's connection that knows how to end requests, and itself."""

    __slots__ = ("_edge", "_facts", "_partial", "_serving", "_upstreams", "draining", "keep_alive")

    def __init__(self, edge: "HttpEdge", pump: "TlsPump | None", first: bytes) -> None:
        """Start before the first head."""
        super().__init__(pump, first)
        self._edge = edge
        self._facts: ConnectionFacts
        self._partial = bytearray()
        self._serving = False
        self._upstreams: Upstreams | None = None  # made for the first request that has a passage
        self.keep_alive = False
        """The connection stays open behind the running answer."""
        self.draining = False
        """The running answer is the last."""

    def _next(self) -> None:
        """The connection is free for its next request."""
        raise NotImplementedError

    def _wall(self) -> float:
        return self._edge.wall()

    # -- answers of ours, and ends

    def _refuse(self, status: int, reason: str) -> None:
        """Answer a head that could not be read: nobody is named, so no page of an endpoint."""
        self._partial = bytearray()
        self.write(pages.error_page(status, pages.GENERAL, detail=reason))
        self._finish(linger=True)

    def _malformed(self, exchange: "Exchange", error: "HttpError") -> None:
        if exchange.status:
            self.cut()
        else:
            self._fail(exchange, error.status, pages.GENERAL, error.reason)

    def _fail(self, exchange: "Exchange", status: int, code: int, detail: str = "") -> None:
        """Answer a request of the direct way ourselves."""
        head = exchange.head
        keep = self._phase is not _BODY and head.keep_alive and not self.draining
        if self._upstream is not None and not self._upstream.reusable:
            self._upstream.abort()
            self._upstream = None
        self._unsent = b""
        exchange.status = status
        exchange.code = code
        page = pages.error_page(
            status,
            code,
            html=pages.wants_html(head.headers),
            host=head.authority.decode("ascii"),
            detail=detail,
            body=head.method != b"HEAD",
            keep_alive=keep,
        )
        exchange.page = page
        exchange.bytes_out += len(page) - page.index(b"\r\n\r\n") - 4
        self.write(page)
        self._finished(keep=keep)

    def _finished(self, *, keep: bool) -> None:
        """A request is done with, by an answer of the upstream's or of ours."""
        self._passage = None
        exchange = self._exchange
        if exchange is not None:
            self._told(exchange)
        if self._closed:
            return
        if not keep:
            self._finish(linger=self._phase is _BODY or bool(self._held))
            return
        self._enter(_HEAD)
        if not self._serving:
            self._next()

    def _told(self, exchange: "Exchange") -> None:
        """Count a finished request and tell of it."""
        self._exchange = None
        exchange.count()
        if self._edge.wishes.http(exchange.endpoint):
            self._edge.events.emit(exchange.event(self._facts, self._edge.wall(), self._edge.wishes))

    def _finish(self, *, linger: bool) -> None:
        """The last answer is written."""
        if self._upstream is not None:
            self._upstream.close()
        if self._upstreams is not None:
            self._upstreams.close()
        self._enter(_LINGER)
        self._held = self._unsent = b""
        self.ticks = 0
        if not linger or self._eof:
            self._close()
            return
        self._write_end()
        self._resume()

    def _abandon(self) -> None:
        """The visitor does not want its answer any more."""
        if self._upstream is not None:
            self._upstream.abort()
        if self._exchange is not None:
            self._exchange.aborted = True
            self._told(self._exchange)
        if self._passage is not None:
            self._passage.abandon()
        self._finish(linger=False)

    def cut(self) -> None:
        """Reset the visitor's socket: what it got is not complete."""
        self._enter(_LINGER)
        if self._exchange is not None:
            self._exchange.aborted = True
        if self._upstream is not None:
            self._upstream.abort()
            self._upstream = None
        if self._passage is not None:
            self._passage.abandon()
        self._reset()

    def _end_raw(self) -> None:
        """Pass on the visitor's end of an upgraded connection."""
        if self._unsent:
            self._paused = True  # upstream_has_room comes back here
            return
        passage = self._passage
        if passage is not None:
            passage.end([])
            if passage.over:
                self._finish_raw()
            return
        self._pipe.end()
        if self._upstream is None or self._upstream.ended:
            self._finish_raw()

    def _finish_raw(self) -> None:
        """Both directions of an upgraded connection have ended."""
        exchange = self._exchange
        if exchange is not None:
            self._told(exchange)
        self._upstream = None
        self._finish(linger=False)

    # -- from a passage

    def passage_has_room(self) -> None:
        """More of the request's body is taken."""
        phase = self._phase
        if phase is _BODY or phase is _RAW or (phase is _WAIT and not self._held):
            self._resume()

    def passage_switched(self) -> None:
        """An upgrade was accepted: bytes go both ways from now on."""
        self._enter(_RAW)
        held, self._held = self._held, b""
        if held:
            self._relay(held)
        if self._eof:
            self._end_raw()

    def passage_ended(self) -> None:
        """The upstream of an upgraded connection writes no more."""
        if self._eof:
            self._finish_raw()
        else:
            self._write_end()

    def passage_over(self, *, keep: bool) -> None:
        """The answer is complete and written."""
        self._finished(keep=keep and not self.draining and self._phase is not _BODY)
