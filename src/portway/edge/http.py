"""A visitor's HTTP/1 connection: read a request, name the endpoint, forward, go on with the next.

Theory of operation. One request is under way at a time; what a visitor sends meanwhile is held.
::

    HEAD ── head ──▶ named by Host ── registry ── pool ── stream ── rebuilt head
      ▲               │ no body                    │ body
      │               ▼                            ▼
      │             WAIT ◀──────── last byte ─── BODY      bytes go where the stream lends space
      │               │ answered (http_response.py)
      └── keep alive ─┤── 101 ──▶ RAW    bytes both ways, each direction ends by itself
                      └── close ─▶ LINGER or CLOSED

*Reading.* Heads are read in the loop's buffer and parsed once; a partial head is kept. In BODY and
RAW a plain socket reads straight into what the stream lends, never more than the body's rest, and a
TLS one decrypts straight into it. A chunked body is scanned where it lies; what follows its end is
copied first and is the next request. A parked stream pauses the socket, never inside ``get_buffer``.

*Streams.* A stream is kept for the next request if that goes to the same member. A request that an
ended, reused stream could not have seen answered is sent once more over a fresh one, if it has no body
and is idempotent.

*Ends.* A complete answer ends in order. Whatever breaks in the middle of one resets the visitor's
socket: a clean end would let half an answer pass for a whole one. Behind an answer to a request
whose rest is unread the connection lingers, reading and dropping, since closing would reset it and
could take the answer with it.
"""

from asyncio import get_running_loop
from typing import TYPE_CHECKING, Final

from portway.codec.client_hello import ClientHelloError, parse
from portway.codec.headers import Forwarding, request_tail
from portway.codec.http1 import NO_BODY, RequestHead, find_head
from portway.codec.repeated import RequestReader
from portway.edge import pages
from portway.edge.http_exchange import IDEMPOTENT, ConnectionFacts, Exchange
from portway.edge.http_relay import Phase, RequestRelay
from portway.edge.http_response import Upstream
from portway.edge.http_watch import watch
from portway.edge.member import NoVerdict, Visitor
from portway.errors import HttpError, SessionClosed, StreamLimit
from portway.net.address import split_address, written

if TYPE_CHECKING:
    from portway.edge.ports import HttpEdge
    from portway.edge.registry import Endpoint
    from portway.net.tls import TlsPump

LINGER: Final = 30
"""Seconds for which the rest of a request is read and dropped behind its answer."""

TURN: Final = 32
"""Requests of one connection that are served before others have their turn."""

_HEAD, _BODY, _WAIT, _RAW, _LINGER = Phase


class HttpVisitor(RequestRelay):
    """One connection of the http or the https listener."""

    __slots__ = (
        "_edge", "_endpoint", "_facts", "_forwarding", "_most", "_partial", "_reader", "_scheme", "_serving",
        "_slot", "_sni", "_tail", "_tail_of", "_unwritten", "_visitor", "draining", "keep_alive", "limits",
    )  # fmt: skip

    def __init__(self, edge: "HttpEdge", *, scheme: str, pump: "TlsPump | None", first: bytes) -> None:
        """Serve ``http`` or ``https``; ``first`` are bytes that were read before: of TLS, the hello."""
        super().__init__(pump, first)
        self._edge = edge
        self._scheme = scheme
        self._sni = _server_name(first) if pump is not None and first else ""
        self._partial = bytearray()
        self._endpoint: Endpoint | None = None
        self.limits = edge.config.limits
        self._most = self.limits.head_bytes
        self._reader = RequestReader(self.limits.head_fields)
        self._tail_of: list[bytes] | None = None
        self._tail = b""
        self._serving = False
        self._unwritten = 0
        self.keep_alive = False
        """The connection stays open behind the running answer."""
        self.draining = False
        """The running answer is the last."""

    def __repr__(self) -> str:
        """Show who it is and what is under way."""
        flags = "".join(
            f" {name}"
            for name, on in (("eof", self._eof), ("paused", self._paused), ("clogged", self.clogged))
            if on
        )
        return f"<HttpVisitor {self._scheme} {self._phase.value}{flags} {self._upstream!r}>"

    # -- the socket

    def _opened(self) -> None:
        transport = self._transport
        client = written(transport.get_extra_info("peername"))
        server = written(transport.get_extra_info("sockname"))
        self._visitor = Visitor(client, server, self._scheme)
        client_ip, client_port = split_address(client)
        server_ip, server_port = split_address(server)
        self._facts = ConnectionFacts(
            self._edge.wall(),
            self._scheme,
            client_ip,
            client_port,
            server_ip,
            server_port,
            self._sni,
        )
        self._forwarding = Forwarding(client_ip, self._scheme, trusted=self._edge.config.trust_forwarded)
        self._slot = watch().add(self)

    def _secured(self, pump: "TlsPump") -> None:
        agreed = pump.agreed
        self._facts.tls_version = agreed.version
        self._facts.tls_cipher = agreed.cipher
        self.ticks = 0

    def _caught_up(self) -> None:
        if self._upstream is not None:
            self._upstream.pay()
        if self._phase is _HEAD and self._held:
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        watch().discard(self, self._slot)
        self._closed = True
        self._enter(_LINGER)
        exchange, upstream = self._exchange, self._upstream
        if exchange is not None:
            exchange.aborted = True
            self._told(exchange)
        if upstream is not None:
            upstream.leave()
            self._upstream = None
        if self._endpoint is not None and self._edge.config.access_events:
            self._edge.events.emit(
                self._facts.event(self._endpoint, self._edge.wall(), self.bytes_in, self.bytes_out)
            )

    def drain(self) -> None:
        """End behind the running request, or now if there is none. Upgraded connections go on."""
        self.draining = True
        if self._phase is _HEAD and not self._partial and not self._held:
            self._finish(linger=False)

    # -- time

    def tick(self) -> None:
        """Another second has passed: enforce the limits."""
        self.ticks += 1
        unwritten = self.unwritten
        if unwritten != self._unwritten:
            self._unwritten = unwritten
            self.ticks = 0
        limits = self.limits
        phase = self._phase
        if phase is _HEAD:
            self._tick_head()
        elif phase is _LINGER:
            if self.ticks >= LINGER:
                self._reset()
        elif limits.idle and self.ticks >= limits.idle:
            self._stalled()

    def _tick_head(self) -> None:
        """Between requests a visitor may idle; a head that has begun, or TLS, must get done."""
        limits = self.limits
        if self._pump is not None and not self._pump.secure:
            limit = limits.tls_handshake
        elif self._partial or self._endpoint is None:
            limit = limits.head
        else:
            limit = limits.idle
        if not limit or self.ticks < limit:
            return
        if self._partial:
            self._refuse(408, "The head of the request did not arrive in time.")
        else:
            self._finish(linger=False)

    def _stalled(self) -> None:
        """Nothing has moved for too long."""
        exchange = self._exchange
        if exchange is None or exchange.status or self._phase is _RAW:
            self.cut()
        elif self._phase is _BODY:
            self._fail(exchange, 408, pages.GENERAL)
        else:
            self._fail(exchange, 504, pages.TIMEOUT)

    def _ended(self) -> None:
        # A whole request is still answered, except over TLS: no HTTP client half-closes that, so
        # close_notify says that nobody listens any more.
        phase = self._phase
        if phase is _BODY:
            self.cut()
        elif phase is _WAIT:
            if self._pump is not None:
                self._abandon()
        elif phase is _RAW:
            self._end_raw()
        elif phase is _LINGER or (phase is _HEAD and not self._held):
            self._finish(linger=False)

    # -- heads

    def _heads(self, data: bytes) -> None:
        """Serve the requests in ``data``, one after the other as far as that goes."""
        self._serving = True
        turn = TURN
        while data and self._phase is _HEAD and turn and not self.clogged:
            data = self._head(data)
            turn -= 1
        self._serving = False
        if data and (self._phase is _HEAD or self._phase is _WAIT):
            self._hold(data)
            if not turn:
                get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        """Serve on, after others had their turn."""
        if self._phase is _HEAD and self._held and not (self._closed or self.clogged):
            self._next()

    def _next(self) -> None:
        """The connection is free for its next request."""
        self.ticks = 0
        if self._held:
            held, self._held = self._held, b""
            self._heads(held)
        if self._held or self._unsent:
            return  # paused for a reason
        if self._phase is _HEAD and self._eof:
            self._finish(linger=False)
        else:
            self._resume()

    def _head(self, data: bytes) -> bytes:
        """Read one head and start its request; return what follows it and was not used."""
        try:
            end = -1 if self._partial else data.find(b"\r\n\r\n") + 4
            if end < 4 or end > self._most:
                data, end = self._partial_head(data)
                if end < 0:
                    return b""
            head = self._reader.read(data if end == len(data) else data[:end])
        except HttpError as error:
            self._refuse(error.status, error.reason)
            return b""
        return self._start(head, data[end:])

    def _partial_head(self, data: bytes) -> tuple[bytes, int]:
        """Join pieces of a head; return all of them and where the head ends, -1 for not yet."""
        looked = len(self._partial)
        if not looked:
            self.ticks = 0  # a drip is no progress: the head's time starts with its first byte
        self._partial += data
        end = find_head(self._partial, looked, most=self._most)
        if end < 0:
            return b"", end
        whole, self._partial = bytes(self._partial), bytearray()
        return whole, end

    def _start(self, head: RequestHead, tail: bytes) -> bytes:
        """Find who serves a request and forward it; return what follows it and was not used."""
        edge = self._edge
        self.ticks = 0
        exchange = self._exchange = Exchange(head, None, edge.wall())
        self._expect(head.framing)
        if (head.scheme is not None and head.scheme != self._scheme.encode()) or (
            self._sni and head.host != self._sni
        ):
            self._fail(exchange, 421, pages.GENERAL)
            return tail
        endpoint = edge.registry.find(self._scheme, head.host, head.port or 0)
        if endpoint is None:
            self._fail(exchange, 404, pages.OFFLINE)
            return tail
        if endpoint is not self._endpoint:
            self._endpoint = endpoint
            endpoint.counters.connections += 1
        endpoint.counters.requests += 1
        exchange.endpoint = endpoint
        if head.plain is not self._tail_of:  # the reader gives the same list for the same fields
            self._tail_of = head.plain
            self._tail = request_tail(head, self._forwarding, for_service=endpoint.own)
        raw = head.method + b" " + head.target + self._tail
        if head.framing is NO_BODY and head.method in IDEMPOTENT:
            exchange.again = raw
        if self._forward(exchange, endpoint, raw) and self._phase is _BODY:
            if tail:
                self._relay(tail)
            return b""
        return tail

    def _forward(self, exchange: Exchange, endpoint: "Endpoint", raw: bytes) -> bool:
        """Send a head over the kept stream or a fresh one; False when the visitor was refused."""
        now = self._edge.now()
        upstream = self._upstream
        if upstream is not None and not (upstream.reusable and upstream.member is endpoint.pool.pick(now)):
            upstream.close()
            upstream = None
        if upstream is None:
            upstream = Upstream(self)
            try:
                member, pipe = endpoint.pool.open(self._visitor, upstream, now)
            except (StreamLimit, SessionClosed, NoVerdict) as error:
                self._upstream = None
                self._fail(exchange, *pages.unserved(error))
                return False
            upstream.attach(member, pipe)
            self._upstream = upstream
            self._join(pipe)
        exchange.reused = upstream.served > 0
        upstream.expect(exchange)
        self._send(raw)
        return True

    # -- from the stream

    def answered(self, upstream: Upstream) -> None:
        """The answer is complete and written."""
        if upstream is not self._upstream:
            return
        keep = self.keep_alive and not self.draining
        if self._phase is _BODY or self._unsent:
            upstream.abort()
            keep = False
        self._finished(keep=keep)

    def unanswered(self, upstream: Upstream, *, began: bool, reset: int | None = None) -> None:
        """The stream ended or was cut before an answer whose head could be given to the visitor."""
        exchange = self._exchange
        if upstream is not self._upstream or exchange is None:
            return
        self._upstream = None
        endpoint = exchange.endpoint
        assert endpoint is not None
        if began:
            self._fail(exchange, 502, pages.INVALID_ANSWER)
        elif exchange.again and (upstream.served or reset is not None):
            again, exchange.again = exchange.again, b""
            if reset is not None and not upstream.served and upstream.member is not None:
                endpoint.pool.busy(upstream.member, self._edge.now())
            self._unsent = b""
            self._forward(exchange, endpoint, again)
        else:
            self._fail(exchange, 502, pages.UNREACHABLE if reset is None else pages.NOT_FORWARDED)

    def switched(self, upstream: Upstream) -> None:
        """The upstream has accepted an upgrade: bytes go both ways from now on."""
        if self._phase is not _WAIT or upstream is not self._upstream:
            return
        self._enter(_RAW)
        held, self._held = self._held, b""
        if held:
            self._relay(held)
        if self._eof:
            self._end_raw()
        elif not self._unsent:
            self._resume()

    def upstream_ended(self, upstream: Upstream) -> None:
        """The upstream of an upgraded connection writes no more."""
        if self._eof and not self._unsent:
            self._finish_raw()
            return
        self._write_end()

    # -- answers of ours, and ends

    def _refuse(self, status: int, reason: str) -> None:
        """Answer a head that could not be read: nobody is named, so no page of an endpoint."""
        self._partial = bytearray()
        self.write(pages.error_page(status, pages.GENERAL, detail=reason))
        self._finish(linger=True)

    def _malformed(self, exchange: Exchange, error: HttpError) -> None:
        if exchange.status:
            self.cut()
        else:
            self._fail(exchange, error.status, pages.GENERAL, error.reason)

    def _fail(self, exchange: Exchange, status: int, code: int, detail: str = "") -> None:
        """Answer a request ourselves."""
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
        self.write(page)
        self._finished(keep=keep)

    def _finished(self, *, keep: bool) -> None:
        """A request is done with, by an answer of the upstream's or of ours."""
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

    def _told(self, exchange: Exchange) -> None:
        """Count a finished request and tell of it."""
        self._exchange = None
        if exchange.endpoint is not None:
            exchange.endpoint.counters.bytes_in += exchange.bytes_in
            exchange.endpoint.counters.bytes_out += exchange.bytes_out
        if self._edge.config.access_events:
            self._edge.events.emit(exchange.event(self._facts, self._edge.wall()))

    def _finish(self, *, linger: bool) -> None:
        """The last answer is written."""
        if self._upstream is not None:
            self._upstream.close()
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
        self._finish(linger=False)

    def cut(self) -> None:
        """Reset the visitor's socket: what it got is not complete."""
        self._enter(_LINGER)
        if self._exchange is not None:
            self._exchange.aborted = True
        if self._upstream is not None:
            self._upstream.abort()
            self._upstream = None
        self._reset()

    def _end_raw(self) -> None:
        """Pass on the visitor's end of an upgraded connection."""
        if self._unsent:
            self._paused = True  # upstream_has_room comes back here
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


def _server_name(hello: bytes) -> str:
    """Return the name that the visitor gave in its hello, "" for none."""
    try:
        found = parse(hello)
    except ClientHelloError:
        return ""
    return found.sni or "" if found is not None else ""
