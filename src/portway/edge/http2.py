"""A visitor's HTTP/2 connection: streams of requests, each of which has a passage.

Theory of operation. ``codec/http2.py`` knows the protocol; this knows what it costs. Bytes of the socket go
through the TLS pump into ``Http2.feed``, which calls the ``on_…`` here; what is to be sent is queued in flows
and goes out once a turn (``http2_flow.py``). A head is written as lines of HTTP/1 and read by the strict
reader, so a request of HTTP/2 is valid, named and served exactly as one of HTTP/1 is.

*Back-pressure.* A request's body: the visitor gets credit back when the agent's stream has taken the bytes,
so at most a stream's window waits here. An answer's body: queued up to ``CLOGGED`` bytes, then its
upstream gets no credit. A visitor that does not read its socket is not read either: otherwise answers
to its pings and bad requests would pile up.

*Bounds* (``http2_bounds.py``; all are named in ``docs/limits.md``). Streams above the limit are refused.
Resets that leave upstreams with work, and frames that carry nothing, are counted; too many end the
connection with GOAWAY 11. A connection without a request, a head that does not get finished and a stream on
which nothing moves end after their limits of time.

*Ends.* An answer that breaks resets its stream alone. A drain announces the end, a second later says which
streams are still served, refuses later ones and closes behind the last answer.
"""

import secrets
from base64 import b64encode
from typing import TYPE_CHECKING, Final

from portway.codec import http2
from portway.codec.http2_heads import ADDED, read_request, read_trailers
from portway.codec.repeated import RequestReader
from portway.edge.http2_bounds import bounded
from portway.edge.http2_flow import Http2Link
from portway.edge.http2_stream import Http2Stream
from portway.edge.http_exchange import Exchange
from portway.edge.http_naming import Misdirected, name, never_asked
from portway.edge.http_socket import HttpSocket
from portway.edge.http_watch import watch
from portway.edge.policy_connect import admitted
from portway.edge.restriction import decide, mark
from portway.errors import HttpError

if TYPE_CHECKING:
    from portway.codec.http1 import RequestHead
    from portway.codec.http2 import Fields
    from portway.edge.http_upstreams import Upstreams
    from portway.edge.registry import Endpoint
    from portway.edge.tls_facts import TlsFacts
    from portway.net.tls import TlsPump


_CONNECT: Final = (b":method", b"CONNECT")

MISDIRECTED: Final = 421
"""For another connection than this (RFC 9110 §15.5.20)."""


class Http2Visitor(HttpSocket):
    """One connection of the https listener that speaks HTTP/2."""

    __slots__ = (
        "_bounds", "_core", "_endpoint", "_final", "_link", "_read", "_slot", "_streams", "_tls",
        "_unwritten", "draining", "limits", "upstreams",
    )  # fmt: skip

    def __init__(
        self, upstreams: "Upstreams", pump: "TlsPump", tls: "TlsFacts | None", *, draining: bool = False
    ) -> None:
        """Serve what comes out of the pump; ``upstreams`` is what all requests share."""
        super().__init__(pump, b"")
        upstreams.facts.version = "HTTP/2.0"
        self.upstreams = upstreams
        upstreams.traffic = self
        self.limits = limits = upstreams.edge.config.limits
        self.draining = draining
        """It ends behind what is under way."""
        self._tls = tls
        self._endpoint: Endpoint | None = None
        self._streams: dict[int, Http2Stream] = {}
        self._bounds, self._core = bounded(self, limits, client=False)
        self._read = RequestReader(limits.head_fields + ADDED).read
        self._final = False  # no stream that is opened from now on is served
        self._unwritten = 0

    def __repr__(self) -> str:
        """Show how much is under way."""
        return f"<Http2Visitor streams={len(self._streams)} {self._bounds!r} clogged={self.clogged}>"

    # -- the socket

    def _opened(self) -> None:
        self._link = Http2Link(self._core, self.write)
        self._slot = watch().add(self)
        if self.draining:
            self._core.goaway(soon=True)
        self._link.touch()

    def _take(self, data: bytes) -> None:
        try:
            self._core.feed(data)
        except HttpError:
            self._end()
            return
        if self._endpoint is not None and not self._core.in_head:
            self.ticks = 0  # a drip is progress in a body, not in a head
        self._link.touch()
        self._close_if_done()

    def pause_writing(self) -> None:
        """The visitor is slow: send no more, and read no more."""
        self.clogged = self._link.stuck = True
        self._pause()

    def _caught_up(self) -> None:
        self._link.resume()
        if not self.clogged:
            self._resume()

    def _ended(self) -> None:
        # close_notify says that nobody listens any more.
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        watch().discard(self, self._slot)
        self._closed = True
        self._abandon_all()
        self.upstreams.close()
        edge, facts = self.upstreams.edge, self.upstreams.facts
        if self._endpoint is None and (named := never_asked(edge, facts.server_name)) is not None:
            self._meet(named)
        endpoint = self._endpoint
        if endpoint is not None and edge.wishes.tcp(endpoint):
            edge.events.emit(facts.event(endpoint, edge.wall(), self.bytes_in, self.bytes_out))

    def drain(self) -> None:
        """Serve what is under way, that on its way to us too, and no more."""
        if self.draining or self._closed:
            return
        self.draining = True
        self._core.goaway(soon=True)
        self._link.flush()

    @property
    def arriving(self) -> bool:
        """It has still to say what it wants, or the rest of that."""
        return self._endpoint is None and not self._streams

    def cut(self) -> None:
        """Reset the connection."""
        self._abandon_all()
        self._reset()

    def _end(self, code: int | None = None) -> None:
        """Close, after what the core has said of it; ``code``: after a GOAWAY with this."""
        if self._closed:
            return
        self._abandon_all()
        if code is not None:
            self._core.goaway(code)
        self._link.flush()
        self.upstreams.close()
        self._close()

    def _abandon_all(self) -> None:
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            self._link.forget(stream)
            stream.abandon()

    def _close_if_done(self) -> None:
        if self._final and not self._streams:
            self._end()

    # -- time

    def tick(self) -> None:
        """Another second has passed: enforce the limits."""
        self.ticks += 1
        self.upstreams.tidy()
        self._bounds.second()
        limits = self.limits
        unwritten = self.unwritten
        if unwritten != self._unwritten:
            self._unwritten = unwritten
            self.ticks = 0
        for stream in list(self._streams.values()):
            stream.ticks += 1
            if limits.idle and stream.ticks >= limits.idle:
                stream.stalled()
        if self.draining and not self._final:
            self._final = True
            self._core.goaway()
            self._link.touch()
            self._close_if_done()
            return
        in_head = self._core.in_head
        limit = limits.head if in_head or self._endpoint is None else limits.idle
        if limit and self.ticks >= limit and (in_head or not self._streams or self.clogged):
            self._end(http2.NO_ERROR)

    # -- what the visitor says

    @property
    def closed(self) -> bool:
        """Nothing more is wanted from this connection."""
        return self._closed

    def on_head(self, stream: int, fields: "Fields", *, ended: bool) -> None:
        """Begin a request."""
        self.ticks = 0
        self._bounds.request()
        if self._final or len(self._streams) >= self.limits.http2_streams:
            self._core.reset(stream, http2.REFUSED_STREAM)
            self._count_reset()
            return
        made = self._streams[stream] = Http2Stream(self, self._link, stream, ended=ended)
        key = b64encode(secrets.token_bytes(16)) if _CONNECT in fields else b""
        most = self.limits.head_fields
        try:
            head = read_request(fields, ended=ended, key=key, most=most, read=self._read)
        except HttpError as error:
            made.refuse(error.status, error.reason)
            return
        self._start(made, head)

    def _start(self, stream: Http2Stream, head: "RequestHead") -> None:
        upstreams = self.upstreams
        edge, facts = upstreams.edge, upstreams.facts
        exchange = Exchange(head, None, edge.wall())
        if edge.tracer is not None:
            exchange.trace = edge.tracer.begin(head)
        passage = stream.serve(exchange)
        try:
            endpoint = name(edge, head, facts.scheme, facts.server_name, self._tls)
            if (judged := decide(edge, endpoint, facts.client_ip)) is not None:
                facts.judged = judged.word
                mark(judged, exchange, endpoint)
            entered = not endpoint.gates or admitted(facts, endpoint, edge.config.region)
        except Misdirected as error:
            if exchange.endpoint is not None:
                self._meet(exchange.endpoint)
            if error.status == MISDIRECTED and head.upgrade is not None:
                self._to_http1(stream)
            else:
                passage.fail(error.status, error.code)
            return
        self._meet(endpoint)
        if not entered:
            self.cut()
            return
        exchange.asks(endpoint)
        passage.begin(endpoint)
        stream.begun()

    def _meet(self, endpoint: "Endpoint") -> None:
        """The connection is for this endpoint now: its end is told there."""
        if endpoint is not self._endpoint:
            self._endpoint = endpoint
            endpoint.counters.connections += 1

    def _to_http1(self, stream: Http2Stream) -> None:
        """Refuse an upgrade for another name than the connection's, so that a browser tries again.

        One that shares connections between names repeats a GET that got 421, but not a WebSocket's CONNECT.
        Told that HTTP/1.1 is required (RFC 9113 §7) it does so, over a connection of its own.
        """
        del self._streams[stream.id]
        self._link.forget(stream)
        stream.abandon()
        self._core.reset(stream.id, http2.HTTP_1_1_REQUIRED)

    def on_interim(self, stream: int, fields: "Fields") -> None:
        """Never comes from a visitor."""

    def on_payload(self, stream: int, data: bytes, size: int) -> None:
        """Take bytes of a request's body."""
        self.ticks = 0
        found = self._streams.get(stream)
        if found is None:
            self._core.consumed(stream, size)
            return
        self._bounds.moved(size)
        found.on_payload(data, size)

    def on_finished(self, stream: int, trailers: "Fields") -> None:
        """A request's body is complete."""
        self.ticks = 0
        found = self._streams.get(stream)
        if found is None:
            return
        try:
            lines = read_trailers(trailers, 400) if trailers else []
        except HttpError as error:
            found.malformed(error)
            return
        found.on_finished(lines)

    def on_stream_reset(self, stream: int, code: int, *, by_peer: bool) -> None:
        """A request is not wanted any more, or ended by an illegal frame."""
        found = self._streams.pop(stream, None)
        if found is None:
            self.on_idle_frame()
            return
        self._link.forget(found)
        found.abandon()
        self._count_reset()

    def on_window(self, stream: int) -> None:
        """The visitor takes more of an answer."""
        self._link.on_window(stream)

    def on_settings(self) -> None:
        """The visitor has said what it takes; the core keeps to it."""

    def on_goaway(self, last: int, code: int) -> None:
        """The visitor opens nothing more: close behind the last answer."""
        self.drain()

    def on_idle_frame(self) -> None:
        """Count a frame that carries nothing."""
        if not self._bounds.idle_frame():
            self._end(http2.ENHANCE_YOUR_CALM)

    def _count_reset(self) -> None:
        if not self._bounds.reset():
            self._end(http2.ENHANCE_YOUR_CALM)

    # -- from the streams

    def piece(self) -> None:
        """A piece of an answer has come."""
        self._bounds.piece()

    def moved(self, size: int) -> None:
        """Bytes of an answer have been sent."""
        self._bounds.moved(size)

    def consumed(self, stream: int, size: int) -> None:
        """The upstream has taken bytes of a request's body."""
        self._core.consumed(stream, size)
        self._link.touch()

    def reset_stream(self, stream: Http2Stream, code: int) -> None:
        """Cut a stream whose answer broke off, or whose answer needs no more of the request."""
        self._streams.pop(stream.id, None)
        self._link.cut(stream)
        self._core.reset(stream.id, code)
        self._link.touch()
        self._close_if_done()

    def over(self, stream: Http2Stream) -> None:
        """A stream has had its whole answer, and all of its request has come."""
        self._bounds.answered()
        self._streams.pop(stream.id, None)
        self._close_if_done()
