"""A passage: one request from its head to the end of its answer, whatever its two sides speak.

Theory of operation. The visitor's side makes a passage when it has a request's head, and tells it what
comes behind; the passage finds an upstream side and passes on what that says. In between stands the
endpoint's policy, if it has one.

::

    begin ─▶ policy's on_request ─ go_on ─▶ member picked, head sent ─▶ on_head ─▶ policy's on_response
               │        │                        │ nobody there                        │ pass_on
               │     forward (again, with        ▼                                     ▼
               ▼     another endpoint)         fail ─▶ answer ─▶ over ◀── on_end ── the visitor
             answer, cut

*Held bytes.* The request's body may come before anybody takes it, and the answer's before the policy has
judged its head. Both wait here; the windows of the streams they came on are what bounds them.

*Again.* A request without a body and with a method that may be repeated is sent once more, over a fresh
stream, when a reused stream ended before a byte of the answer, or when an agent would not take it.

*Ends.* What breaks before the answer's head gets a page of ours; what breaks after it is cut. An answer
that is complete before its request is leaves the rest of the request unread: its upstream is aborted.
"""

from typing import TYPE_CHECKING, Final

from portway.codec.headers import request_tail
from portway.codec.http1 import NO_BODY, RequestHead, ResponseHead
from portway.edge import pages
from portway.edge.http_exchange import IDEMPOTENT
from portway.edge.http_heads import CONTINUE, answer_of_unknown_length, own_head, request_of_unknown_length
from portway.edge.http_held import Held
from portway.edge.member import Answered, NoVerdict
from portway.edge.tracer import traced
from portway.errors import HttpError, SessionClosed, StreamLimit

if TYPE_CHECKING:
    from portway.codec.headers import Forwarding
    from portway.edge.http_exchange import Exchange
    from portway.edge.http_sides import Filter, Lines, RequestHooks, UpstreamSide, VisitorSide
    from portway.edge.http_upstreams import Upstreams
    from portway.edge.registry import Endpoint

MAX_FORWARDS: Final = 8
"""Times that one request may be forwarded to another endpoint."""


class Passage(Held):
    """One request on its way."""

    __slots__ = (
        "_answer_ended", "_forwards", "_gathering", "_hooks", "_judging", "_owed", "_passed", "_repeated",
        "_request_filters", "_response_filters", "_sent_end", "_shut", "_upstream", "begun", "converts",
        "endpoint", "forwarding", "over", "upstreams", "visited",
    )  # fmt: skip

    def __init__(self, upstreams: "Upstreams", side: "VisitorSide", exchange: "Exchange") -> None:
        """Stand between a visitor's side and what its connection has open; ``begin`` follows."""
        super().__init__(side, exchange)
        self.upstreams = upstreams
        """The connection's: its edge, its facts, its streams."""
        self.endpoint: Endpoint | None = exchange.endpoint
        """Who serves it now: not the one that was named, once it was forwarded."""
        self.over = False
        """Nothing more is passed on."""
        self.forwarding: Forwarding | None = upstreams.forwarding
        """What is added to the head for the upstream; None once a policy has written all of it."""
        self.begun = False
        """Some of the request's body has gone to an upstream: no other can have it."""
        self.converts = False
        """It is a WebSocket whose upstream speaks TCP: the edge ends it."""
        self.visited: list[Endpoint] = []
        """The endpoints that had the request, the first first."""
        self._upstream: UpstreamSide | None = None
        self._sent_end = False
        self._shut = exchange.head.upgrade is not None  # what follows goes on once the upgrade is accepted
        self._owed = 0
        self._answer_ended = False  # of an upgraded request: the upstream writes no more
        self._repeated = False
        self._forwards = 0
        self._hooks: list[RequestHooks] = []
        self._judging = 0  # how many hooks have not judged the answer yet
        self._passed = False  # the answer's head went to the visitor
        self._gathering: Filter | None = None  # takes the whole answer before its head goes on
        self._request_filters: list[Filter] = []
        self._response_filters: list[Filter] = []

    def __repr__(self) -> str:
        """Show the request and how far it is."""
        exchange = self.exchange
        state = "over" if self.over else f"status={exchange.status}"
        method, target = exchange.head.method.decode(), exchange.head.target.decode()
        return f"<Passage {method} {target[:40]} {state} {self._upstream!r}>"

    # -- from the visitor's side

    def begin(self, endpoint: "Endpoint") -> None:
        """Let the policy judge the request, then forward it to a member of this endpoint."""
        self.endpoint = endpoint
        if self.visited:
            self.exchange.asks(endpoint)
        self.visited.append(endpoint)
        self.judge(endpoint)

    def judge(self, endpoint: "Endpoint") -> None:
        """Let the policy judge the request that its endpoint has already."""
        if (policy := endpoint.policy) is None:
            self.go_on()
            return
        self._hooks.append(hooks := policy.begin(self))
        hooks.on_request()

    def body(self, data: bytes) -> bool:
        """Take payload of the request; False: give no more until the side's ``on_room``."""
        if self.over:
            return True
        self.exchange.bytes_in += len(data)
        for each in self._request_filters:
            data = each.feed(data)
        took = self._send(data)
        return took if self._looking is None else self._looked()

    def end(self, trailers: "Lines") -> None:
        """The request is complete; of an upgraded one, what the visitor writes."""
        if self.over or self._trailers is not None:
            return
        if self.exchange.head.framing is not NO_BODY:
            self.exchange.complete_at = self.body_ended = self.upstreams.edge.wall()
        for place, each in enumerate(self._request_filters):
            data = each.end()
            for later in self._request_filters[place + 1 :]:
                data = later.feed(data)
            self._send(data)
        self._trailers = trailers
        self._send_end()
        self._looked()

    def caught_up(self) -> None:
        """The visitor has taken what it was slow with: give the credit back."""
        owed, self._owed = self._owed, 0
        if owed and self._upstream is not None:
            self._upstream.consume(owed)

    def abandon(self) -> None:
        """The visitor does not want its answer any more, or cannot get it."""
        if self.over:
            return
        self.exchange.aborted = True
        self._let_go()
        self._finish()

    def stalled(self) -> None:
        """Nothing has moved for too long."""
        if self.exchange.status:
            self.cut()
        elif self._trailers is None and not self._shut:
            self.fail(408, pages.GENERAL)
        else:
            self.fail(504, pages.TIMEOUT)

    def malformed(self, error: HttpError) -> None:
        """The body of the request cannot be read."""
        if self.exchange.status:
            self.cut()
        else:
            self.fail(error.status, pages.GENERAL, error.reason)

    # -- for a policy

    def filter_request(self, each: "Filter") -> None:
        """Change the request's body by this too. Only before ``go_on``."""
        if self.head.framing is not NO_BODY:
            self._request_filters.append(each)
            if self._unsent:
                self._unsent = bytearray(each.feed(bytes(self._unsent)))

    def filter_response(self, each: "Filter") -> None:
        """Change the answer's body by this too. Only before ``pass_on``."""
        self._response_filters.append(each)

    def gather_request(self, each: "Filter") -> None:
        """Give the request's body to this, which calls ``go_on_with`` at its end."""
        self.filter_request(each)
        if self.head.expect_continue and not self.exchange.continued and not self.exchange.bytes_in:
            self.on_interim(CONTINUE)

    def go_on_with(self, head: RequestHead, body: bytes) -> None:
        """Forward this request, whose body was gathered and is whole."""
        self._request_filters = []
        self._unsent = bytearray(body)
        self._trailers = []
        self.go_on(head)

    def hooks_before(self, hooks: "RequestHooks") -> "RequestHooks | None":
        """Return the policy that has forwarded the request to the endpoint of this one."""
        place = self._hooks.index(hooks)
        return self._hooks[place - 1] if place else None

    def back_to(self, hooks: "RequestHooks", endpoint: "Endpoint") -> None:
        """The endpoint that a policy has forwarded to cannot serve: let that policy rule on."""
        place = self._hooks.index(hooks) + 1
        gone, self._hooks[place:] = self._hooks[place:], []
        self.endpoint = endpoint
        for each in gone:
            each.on_over()

    def go_on(self, head: RequestHead | None = None) -> None:
        """Forward the request, or this one in its place, to a member of the endpoint."""
        if self.over:
            return
        if head is not None:
            self.head = head
        if self._request_filters:
            self.head = request_of_unknown_length(self.head)
        endpoint = self.endpoint
        assert endpoint is not None
        try:
            upstream = self.upstreams.open(endpoint, self)
        except Answered as given:
            self.substitute(given.head, given.body, judged=False)
            return
        except (StreamLimit, SessionClosed, NoVerdict) as error:
            self._unreached(*pages.unserved(error))
            return
        self._upstream = upstream
        self.exchange.given_to(upstream.member)
        self._sent_end = False
        if self.exchange.trace is not None:
            self.head = traced(self.head, self.exchange.trace)
        raw = request_tail(self.head, self.forwarding, for_service=endpoint.own)
        upstream.begin(self.head, self.head.method + b" " + self.head.target + raw)
        self.on_room()

    def forward(self, endpoint: "Endpoint", head: RequestHead | None = None) -> None:
        """Let another endpoint serve the request; its own policy judges it first."""
        if self.over:
            return
        self._forwards += 1
        if self._forwards > MAX_FORWARDS:
            self.fail(502, pages.GENERAL, "The request was forwarded from endpoint to endpoint without end.")
            return
        self.head = head or self.head
        self.begin(endpoint)

    def answer(self, status: int, lines: "Lines", body: bytes = b"", code: int = 0) -> None:
        """Answer in the upstream's place; ``lines`` are fields, ``code`` is n of ERR_NGROK_n."""
        if self.over:
            return
        exchange = self.exchange
        if exchange.status:
            self.cut()
            return
        self._let_go()
        exchange.code = code
        self._side.head(exchange.answered(own_head(status, lines, len(body))))
        if body and exchange.head.method != b"HEAD":
            exchange.bytes_out += len(body)
            self._side.write(body)
        self._over([])

    def pass_on(self, head: ResponseHead) -> None:
        """Let the answer go on to the next policy, or to the visitor, with this head."""
        if self.over or self._passed:
            return
        if self._judging:
            self._judging -= 1
            self._hooks[self._judging].on_response(head)
            return
        if head.status >= 200 and self._response_filters and head.framing is not NO_BODY:
            head = answer_of_unknown_length(head)
        elif head.framing is NO_BODY or head.status == 101:
            self._response_filters = []
        self._passed = True
        self._shut = self._shut and head.status != 101
        self._side.head(self.exchange.answered(head))
        if head.status == 101:
            self.on_room()
        held, self._held = self._held, []
        for data in held:
            self._owed -= len(data)
            self.on_body(data)
        if self._held_end is not None:
            self.on_end(self._held_end)

    def substitute(self, head: ResponseHead, body: bytes, *, judged: bool) -> None:
        """Answer in the upstream's place with what response phases still judge.

        ``judged``: a policy gives it in ``on_response``, so only those before it are asked.
        """
        if self.over:
            return
        self._let_go()
        self._held, self._held_end, self._owed, self._gathering = [], None, 0, None
        self._looking, self._held_size = None, 0
        self._response_filters = []
        if not judged:
            self._judging = len(self._hooks)
        self._repeated = True
        self._sent_end = True
        self.pass_on(head)
        self.on_body(b"" if self.exchange.head.method == b"HEAD" else body)
        self.on_end([])

    def take_filters(self) -> "list[Filter]":
        """Return the filters that the answer's body has by now, for who puts others around them."""
        taken, self._response_filters = self._response_filters, []
        return taken

    def gather_response(self, each: "Filter") -> None:
        """Give the answer's body to this, which calls ``pass_on_with`` at its end."""
        self._gathering = each
        held, self._held, self._held_size = self._held, [], 0
        for data in held:
            self._owed -= len(data)
            self.on_body(data)
        if self._held_end is not None and not self.over:
            trailers, self._held_end = self._held_end, None
            self.on_end(trailers)

    def pass_on_with(self, head: ResponseHead, body: bytes) -> None:
        """Let an answer go on whose body was gathered and is whole."""
        self.pass_on(head)
        self.on_body(body)

    def cut(self) -> None:
        """Break the visitor's connection, of HTTP/2 its stream, off."""
        if self.over:
            return
        self.exchange.aborted = True
        self._let_go()
        self._finish()
        self._side.cut()

    def fail(self, status: int, code: int, detail: str = "") -> None:
        """Answer with a page of ours that says what is wrong."""
        head = self.exchange.head
        html, host = pages.wants_html(head.headers), head.authority.decode("ascii")
        lines, body = pages.error_answer(status, code, html=html, host=host, detail=detail)
        self.answer(status, lines, body, code)

    # -- from the upstream's side

    def on_interim(self, head: ResponseHead) -> None:
        """Take an answer below 200 that is no upgrade."""
        if not self.exchange.status:
            self.exchange.continued = self.exchange.continued or head.status == 100
            self._side.interim(head)

    def on_head(self, head: ResponseHead) -> None:
        """Take the answer's head, 101 included: the policies judge it, that of the last endpoint first."""
        self._repeated = True
        self._judging = len(self._hooks)
        self.pass_on(head)

    def on_body(self, data: bytes) -> None:
        """Take payload of the answer; ``consume`` follows when the visitor has it."""
        if self.over:
            return
        n = len(data)
        if self._gathering is not None:
            self._gathering.feed(data)
            if self._upstream is not None:
                self._upstream.consume(n)
            return
        if not self._passed:
            self._held.append(data)
            self._held_size += n
            self._owed += n
            self._looked()
            return
        self._owed += n
        for each in self._response_filters:
            data = each.feed(data)
        if data:
            self.exchange.bytes_out += len(data)
            self._side.write(data)
        if not self.over and not self._side.clogged:
            self.caught_up()

    def on_end(self, trailers: "Lines") -> None:
        """The answer is complete; of an upgraded request, what the upstream writes."""
        if self.over:
            return
        while self._gathering is not None:  # that of an outer policy behind that of an inner one
            gathering, self._gathering = self._gathering, None
            self._let_go()
            gathering.end()
            if self.over:
                return
        if not self._passed:
            self._held_end = trailers
            self._looked()
            return
        for place, each in enumerate(self._response_filters):
            data = each.end()
            for later in self._response_filters[place + 1 :]:
                data = later.feed(data)
            if data:
                self.exchange.bytes_out += len(data)
                self._side.write(data)
        if self.exchange.status == 101 and self._trailers is None:
            self._answer_ended = True
            self._side.end(trailers)
            return
        if not self._sent_end:
            self._let_go()
        self._over(trailers)

    def on_broken(self, upstream: "UpstreamSide", *, began: bool, reset: int | None = None) -> None:
        """The upstream's side is gone before its answer was complete; ``began``: some of it came."""
        if self.over or upstream is not self._upstream:
            return
        self._upstream = None
        if self.exchange.status:
            self.cut()
        elif began:
            self.fail(502, pages.INVALID_ANSWER)
        elif self._may_repeat() and (upstream.reused or reset is not None):
            self._repeated = True
            if reset is not None and not upstream.reused and self.endpoint is not None:
                self.endpoint.pool.busy(upstream.member, self.upstreams.edge.now())
            self.go_on()
        else:
            self._unreached(502, pages.UNREACHABLE if reset is None else pages.NOT_FORWARDED)

    def on_room(self) -> None:
        """The upstream takes more."""
        if self.over:
            return
        self._send_waiting()
        if not self._unsent and self._trailers is None:
            self._side.on_room()

    # -- inside

    def _send(self, data: bytes) -> bool:
        if not data:
            return not self._unsent
        if self._upstream is None or self._unsent or self._shut:
            self._unsent += data
            return False
        self.begun = True
        took = self._upstream.send(data)
        if took == len(data):
            return True
        self._unsent += data[took:]
        return False

    def _send_waiting(self) -> None:
        """Send what waited, and the end if that has come."""
        if self._unsent and self._upstream is not None and not self._shut:
            self.begun = True
            waiting, self._unsent = bytes(self._unsent), bytearray()
            took = self._upstream.send(waiting)
            self._unsent += waiting[took:]
        self._send_end()

    def _send_end(self) -> None:
        if self._trailers is None or self._unsent or self._sent_end or self._shut or self._upstream is None:
            return
        self._sent_end = True
        self._upstream.end(self._trailers)
        if self._answer_ended:
            self._finish()

    def _may_repeat(self) -> bool:
        head = self.head
        return not self._repeated and head.framing is NO_BODY and head.method in IDEMPOTENT

    def _unreached(self, status: int, code: int) -> None:
        """Nobody took the request: the policy that forwarded it last may know better."""
        hooks = self._hooks
        if not (hooks and hooks[-1].on_unreached(status, code)):
            self.fail(status, code)

    def _let_go(self) -> None:
        if self._upstream is not None:
            self.caught_up()  # others may share the window of its connection
            self._upstream.abort()
            self._upstream = None

    def _over(self, trailers: "Lines") -> None:
        """The visitor has its whole answer."""
        self._finish()
        self._side.end(trailers)

    def _finish(self) -> None:
        """Count the request and tell of it, once."""
        if self.over:
            return
        self.over = True
        self.caught_up()  # what is held now is bounded by the visitor's own limits
        self._unsent.clear()
        exchange, upstreams = self.exchange, self.upstreams
        exchange.count()
        for hooks in self._hooks:
            hooks.on_over()
        edge = upstreams.edge
        if edge.wishes.http(exchange.endpoint):
            edge.events.emit(exchange.event(upstreams.facts, edge.wall(), edge.wishes))
