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

from portway.codec.headers import Forwarding, request_tail
from portway.codec.http1 import NO_BODY, RequestHead, find_head
from portway.codec.http2 import ALPN
from portway.codec.repeated import RequestReader
from portway.edge import pages
from portway.edge.ends import ends_of
from portway.edge.http1_side import Http1Side
from portway.edge.http2 import Http2Visitor
from portway.edge.http_ends import LINGER, VisitorEnds
from portway.edge.http_exchange import IDEMPOTENT, ConnectionFacts, Exchange
from portway.edge.http_naming import Misdirected, name, never_asked
from portway.edge.http_passage import Passage
from portway.edge.http_relay import Phase
from portway.edge.http_response import Upstream
from portway.edge.http_upstreams import Upstreams
from portway.edge.http_watch import watch
from portway.edge.member import NoVerdict, Visitor
from portway.edge.policy import EndpointPolicy
from portway.edge.policy_connect import admitted
from portway.edge.restriction import decide, mark
from portway.edge.tls_facts import mtls_fields
from portway.edge.tracer import traced
from portway.errors import HttpError, SessionClosed, StreamLimit
from portway.net.address import split_address
from portway.net.leg import hand_over

if TYPE_CHECKING:
    from portway.edge.ends import Ends
    from portway.edge.ports import HttpEdge
    from portway.edge.registry import Endpoint
    from portway.edge.restriction import Decision
    from portway.edge.tls_facts import TlsFacts
    from portway.net.tls import TlsPump

DRAIN_HEAD: Final = 2
"""Seconds that a visitor has for its head once the service ends."""

TURN: Final = 32
"""Requests of one connection that are served before others have their turn."""

_HEAD, _BODY, _WAIT, _RAW, _LINGER = Phase


class HttpVisitor(VisitorEnds):
    """One connection of the http or the https listener."""

    __slots__ = (
        "_endpoint", "_ends", "_forwarding", "_judged", "_most", "_named", "_reader", "_scheme", "_slot",
        "_sni", "_tail", "_tail_of", "_unwritten", "_version", "_visitor", "limits", "tls",
    )  # fmt: skip

    def __init__(
        self,
        edge: "HttpEdge",
        *,
        scheme: str,
        pump: "TlsPump | None",
        first: bytes,
        tls: "TlsFacts | None" = None,
        ends: "Ends | None" = None,
    ) -> None:
        """Serve ``http`` or ``https``; ``first`` are bytes that were read before: of TLS, the hello.

        ``tls`` is what is known of the visitor's TLS; ``ends`` are known when they are not the socket's.
        """
        super().__init__(edge, pump, first)
        self._scheme = scheme
        self.tls = tls
        self._ends = ends
        self._sni = tls.sni if tls is not None else ""
        self._endpoint: Endpoint | None = None
        self._named = ""  # who was asked for last,
        self._version: int = -1  # and when that was looked up
        self._judged: Decision | None = None  # by the restriction of its account
        self.limits = edge.config.limits
        self._most = self.limits.head_bytes
        self._reader = RequestReader(self.limits.head_fields)
        self._tail_of: list[bytes] | None = None
        self._tail = b""
        self._unwritten = 0

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
        client, server = self._ends or ends_of(transport)
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
        self._facts.tls = self.tls
        self._forwarding = Forwarding(client_ip, self._scheme, trusted=self._edge.config.trust_forwarded)
        self._slot = watch().add(self)
        self.draining = self._edge.draining

    def _secured(self, pump: "TlsPump") -> bool:
        agreed = pump.agreed
        if self.tls is not None:
            self.tls.agreed = agreed
            self._forwarding.extra = mtls_fields(self.tls)
            if self.tls.gate is not None and not self.tls.gate.secured(self.tls):
                self._endpoint, self._facts.gate = self.tls.gate.visited[0], self.tls.gate
                self.cut()
                return False
        self._facts.tls_version = agreed.version
        self._facts.tls_cipher = agreed.cipher
        self.ticks = 0
        if agreed.alpn != ALPN:
            return True
        watch().discard(self, self._slot)
        shared = Upstreams(self._edge, self._visitor, self._facts, self._forwarding)
        successor = Http2Visitor(shared, pump, self.tls, draining=self.draining)
        successor.bytes_in, successor.bytes_out = self.bytes_in, self.bytes_out
        hand_over(self._transport, successor)
        return False

    def _caught_up(self) -> None:
        if self._passage is not None:
            self._passage.caught_up()
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
        if self._passage is not None:
            self._passage.abandon()
        if self._upstreams is not None:
            self._upstreams.close()
        if self._endpoint is None and (named := never_asked(self._edge, self._sni)) is not None:
            self._meet(named)
        if self._endpoint is not None and self._edge.wishes.tcp(self._endpoint):
            self._edge.events.emit(
                self._facts.event(self._endpoint, self._edge.wall(), self.bytes_in, self.bytes_out)
            )

    def drain(self) -> None:
        """End behind the running request, or now if there is none. Upgraded connections go on.

        Who has just come, or begun a head, is still served: it was accepted before the end began.
        """
        self.draining = True
        self.ticks = 0
        if self.arriving and self._endpoint is not None and not self._partial:
            self._finish(linger=False)

    @property
    def arriving(self) -> bool:
        """It has still to say what it wants, or the rest of that."""
        return self._phase is _HEAD and not self._held

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
        upstream = self._upstream
        if upstream is not None and upstream.member is not None and not upstream.member.usable:
            upstream.close()  # an agent that drains waits for this
            self._upstream = None
        if self._upstreams is not None:
            self._upstreams.tidy()
        if self._pump is not None and not self._pump.secure:
            limit = limits.tls_handshake
        elif self._partial or self._endpoint is None:
            limit = limits.head
        else:
            limit = limits.idle
        if self.draining:
            limit = min(limit or DRAIN_HEAD, DRAIN_HEAD)
        if not limit or self.ticks < limit:
            return
        if self._partial:
            self._refuse(408, "The head of the request did not arrive in time.")
        else:
            self._finish(linger=False)

    def _stalled(self) -> None:
        """Nothing has moved for too long."""
        exchange = self._exchange
        if self._passage is not None:
            self._passage.stalled()
        elif exchange is None or exchange.status or self._phase is _RAW:
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
        if edge.tracer is not None:
            exchange.trace = edge.tracer.begin(head)
            head = traced(head, exchange.trace)
        self._expect(head.framing)
        endpoint = self._endpoint
        version: int = edge.registry.version
        known = head.host == self._named and version == self._version and head.scheme is None
        try:
            if endpoint is None or not known:
                endpoint = name(edge, head, self._scheme, self._sni, self.tls)
                self._judged = decide(edge, endpoint, self._facts.client_ip)
            if self._judged is not None:
                self._facts.judged = self._judged.word
                mark(self._judged, exchange, endpoint)
            entered = not endpoint.gates or admitted(self._facts, endpoint, edge.config.region)
        except Misdirected as error:
            self._named = ""
            if exchange.endpoint is not None:
                self._meet(exchange.endpoint)
            self._fail(exchange, error.status, error.code)
            return tail
        if not known:
            self._named, self._version = head.host, version
            self._meet(endpoint)
        if not entered:
            self._exchange = None  # it is the connection that is refused
            self.cut()
            return b""
        exchange.asks(endpoint)
        if endpoint.pool.http2 or (
            endpoint.policy is not None and not self._is_passed_by(exchange, endpoint)
        ):
            self._pass(exchange, endpoint, tail)
            return tail if head.framing is NO_BODY else b""
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

    def _meet(self, endpoint: "Endpoint") -> None:
        """The connection is for this endpoint now: its end is told there."""
        if endpoint is not self._endpoint:
            self._endpoint = endpoint
            endpoint.counters.connections += 1

    def _shared(self) -> Upstreams:
        """Return what passages of this connection share."""
        if self._upstreams is None:
            self._upstreams = Upstreams(self._edge, self._visitor, self._facts, self._forwarding)
            self._upstreams.traffic = self
        return self._upstreams

    def _is_passed_by(self, exchange: Exchange, endpoint: "Endpoint") -> bool:
        """Say whether no rule of its policy matches a request, so that it is merely relayed."""
        policy = endpoint.policy
        if not isinstance(policy, EndpointPolicy) or not policy.glances:
            return False
        exchange.glance = policy.glance(self._shared(), endpoint, exchange)
        return exchange.glance is None

    def _pass(self, exchange: Exchange, endpoint: "Endpoint", tail: bytes) -> None:
        """Serve a request through a passage: a policy may change it, or its upstream speaks another HTTP."""
        self._exchange = None  # the passage tells of it
        passage = self._passage = Passage(self._shared(), Http1Side(self, exchange), exchange)
        self._enter(self._phase)
        passage.begin(endpoint)
        if exchange.head.framing is not NO_BODY:
            if tail and self._passage is passage:
                self._relay(tail)
        elif exchange.head.upgrade is None:
            passage.end([])

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
        assert upstream.member is not None
        exchange.given_to(upstream.member)
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
