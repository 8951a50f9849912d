"""Carrying out what a Traffic Policy decides of one request, on the seams of a passage.

::

    on_request ── Continue ──▶ go_on          on_response ── Continue ──▶ pass_on
        │ Respond, final ────▶ answer              │ Respond ───────────▶ substitute (the upstream is let go)
        │ Respond, ordinary ─▶ substitute: the response phases of this policy and of those that forwarded
        │ Close ─────────────▶ cut                 │ Close ─────────────▶ cut
        └ Forward ───────────▶ forward ── nobody there ──▶ on_unreached ──▶ resume
          Fetch ─────────────▶ a task (policy_fetch), and the request waits ──▶ resume

A request may pass several policies: an endpoint's, then that of the internal endpoint which it forwards to.
Each sees the request as the one before has left it; their response phases run in the reverse order.

A request of HTTP/1 that no rule matches never comes here: its policy has a :class:`Glance` at it before there
is a passage, and if quick conditions say so of all rules it is merely relayed. Else the run goes on here.

Nothing raises here: what fails is answered with a page and its code, what fails behind an answer's head is
cut. A body that some action must see whole is gathered first, so that its length is known again.
"""

import logging
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from portway.codec.event_stream import Message
from portway.codec.http1 import NO_BODY, Framing, Kind, RequestHead, ResponseHead
from portway.edge import pages
from portway.edge.policy_events import told
from portway.edge.policy_facts import (
    connection_of,
    is_event_stream,
    lines_of,
    mapped_back,
    pairs_of,
    request_of,
    response_of,
    write_request,
    write_response,
)
from portway.edge.policy_fetch import Asked
from portway.edge.policy_filters import Chain, Gathering, event_filter
from portway.edge.registry import may_forward
from portway.errors import Error
from portway.model.url import parse_endpoint_url
from portway.policy.actions.convert import NO_WEBSOCKET
from portway.policy.facts import Facts
from portway.policy.phase import Phase
from portway.policy.verdict import INTERNAL, Close, Continue, Failed, Fetch, Forward, Respond

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from portway.codec.headers import Forwarding
    from portway.edge.http_passage import Passage
    from portway.edge.http_upstreams import Upstreams
    from portway.edge.policy import EndpointPolicy
    from portway.edge.policy_fetch import Waiting
    from portway.edge.registry import Endpoint
    from portway.policy.actions import ActionFailed
    from portway.policy.engine import Run
    from portway.policy.facts import Endpoint as Seen
    from portway.policy.verdict import Verdict

_log = logging.getLogger(__name__)

HOPS: Final = 8
"""Endpoints that one request may be forwarded to, one after the other; more are ERR_NGROK_3501."""
VISITS: Final = 3
"""Times that one endpoint may have the same request; more are ERR_NGROK_3603."""

TOO_LONG: Final = 3501
LOOP: Final = 3603


class Glance(NamedTuple):
    """A request phase that was begun before there was a passage; what it has passed by is not asked again."""

    facts: Facts
    run: "Run"


class PolicyHooks:
    """One policy over one request."""

    __slots__ = (
        "_asked", "_endpoint", "_facts", "_forwarded", "_heard", "_leave", "_policy", "_request_run",
        "_response_run", "_sent", "_waiting", "passage",
    )  # fmt: skip

    def __init__(self, policy: "EndpointPolicy", passage: "Passage") -> None:
        """Rule over this passage for the endpoint that has it now."""
        self._policy = policy
        self.passage = passage
        assert passage.endpoint is not None
        self._endpoint: Endpoint = passage.endpoint
        glance, passage.exchange.glance = passage.exchange.glance, None
        self._facts = self._make_facts() if glance is None else glance.facts
        self._asked = self._sent = passage.head.authority
        self._request_run: Run | None = None if glance is None else glance.run
        self._response_run: Run | None = None
        self._waiting: Waiting | None = None
        self._leave: list[Callable[[], None]] = []
        self._forwarded = False
        """The request phase waits for another endpoint."""
        self._heard = False
        """Those who wait for the upstream's answer have heard of it."""

    def __repr__(self) -> str:
        """Show whose policy it is."""
        return f"<PolicyHooks {self._endpoint.url}>"

    # -- the request

    def on_request(self) -> None:
        """Judge the request."""
        policy = self._policy.compiled
        if policy.has(Phase.EVENT_STREAM_MESSAGE) and self._facts.request is not None:
            self._facts.request.remove((b"accept-encoding",))  # what is coded could not be read
        if not policy.has(Phase.HTTP_REQUEST):
            self._go_on()
            return
        run = self._request_run = self._request_run or self._begin(Phase.HTTP_REQUEST)
        self._carry_out(run.step())

    def on_unreached(self, status: int, code: int) -> bool:
        """No upstream took the request: if this policy has forwarded it, it may know better."""
        run = self._request_run
        if self.passage.begun or not self._forwarded or run is None:
            for outcome in self._outcomes():
                outcome(0, self._now())
            return self._before(status, code)
        self._forwarded = False
        self.passage.back_to(self, self._endpoint)
        self._carry_out(run.resume(Failed(code, "The internal endpoint could not be reached.", status)))
        return True

    def _before(self, status: int, code: int) -> bool:
        """Ask the policy that forwarded the request to this endpoint."""
        earlier = self.passage.hooks_before(self)
        return earlier is not None and earlier.on_unreached(status, code)

    def _carry_out(self, verdict: "Verdict") -> None:
        """Do what the request phase says."""
        passage, run = self.passage, self._request_run
        if run is not None and run.converts and isinstance(verdict, Continue | Forward):
            if passage.head.upgrade != b"websocket":
                self._fail(400, NO_WEBSOCKET, "This endpoint takes WebSockets only.")
                return
            passage.converts = True
        if isinstance(verdict, Continue):
            self._go_on()
        elif isinstance(verdict, Respond):
            self._respond(verdict)
        elif isinstance(verdict, Close):
            passage.exchange.last = True
            passage.cut()
        elif isinstance(verdict, Forward):
            self._forward(verdict)
        elif run is not None:
            self._fetch(run, verdict, self._carry_out)

    def _fetch(
        self,
        run: "Run",
        fetch: Fetch,
        then: "Callable[[Verdict], None]",
        answer: ResponseHead | None = None,
    ) -> None:
        """Have something fetched for an action, then go on. Meanwhile the request waits."""
        fetches = self._policy.fetches
        if fetches is None:
            self._fail(
                500, INTERNAL, "The traffic policy of this endpoint asks for what cannot be done here."
            )
            return
        asked = Asked(self._endpoint, run.phase, self._facts, self.passage, answer, self._leave)

        def done(result: object) -> None:
            self._waiting = None
            if not self.passage.over:
                self._look()
                then(run.resume(result))

        self._waiting = fetches.start(fetch, asked, done)

    def _respond(self, verdict: Respond) -> None:
        """Answer in the upstream's place."""
        passage = self.passage
        self._heard = True  # nobody was asked
        if verdict.page:
            self._fail(verdict.status, verdict.code, verdict.message, verdict)
        elif verdict.final:
            lines = lines_of(verdict.headers)
            if verdict.code:
                lines.append(b"ngrok-error-code: ERR_NGROK_%d" % verdict.code)
            passage.answer(verdict.status, lines, verdict.body, verdict.code)
        else:
            passage.substitute(self._head_of(verdict), verdict.body, judged=False)

    def _fail(self, status: int, code: int, message: str, verdict: Respond | None = None) -> None:
        head = self.passage.exchange.head
        lines, body = pages.error_answer(
            status,
            code,
            html=pages.wants_html(head.headers),
            host=head.authority.decode("ascii"),
            detail=message,
        )
        if verdict is not None:
            lines += lines_of(verdict.headers)
        self.passage.answer(status, lines, body, code)

    def _head_of(self, verdict: Respond) -> ResponseHead:
        """Make the head of an answer of the policy's own."""
        length = len(verdict.body)
        bodiless = not length or self.passage.exchange.head.method == b"HEAD"
        framing = NO_BODY if bodiless else Framing(Kind.LENGTH, length)
        special = {} if verdict.status in (204, 304) else {b"content-length": [b"%d" % length]}
        phrase = pages.phrase(verdict.status).encode()
        lines = lines_of(verdict.headers)
        return ResponseHead(verdict.status, phrase, 1, framing, True, special, lines, 0, None)

    def _forward(self, verdict: Forward) -> None:
        """Hand the request to another endpoint of the account."""
        run, passage = self._request_run, self.passage
        assert run is not None
        found, failed = self._find(verdict.url)
        if found is None:
            self._carry_out(run.resume(failed))
            return
        self._forwarded = True
        passage.forward(found, self._written())

    def _find(self, text: str) -> "tuple[Endpoint | None, Failed]":
        """Find an internal endpoint of the account, or say why it cannot have the request."""
        visited = self.passage.visited
        if len(visited) > HOPS:
            return None, Failed(TOO_LONG, f"The request was forwarded more than {HOPS} times.", 502)
        offline = Failed(pages.OFFLINE, f"The endpoint {text} is not online.", 404)
        try:
            url = parse_endpoint_url(text, text.partition(":")[0], binding="internal")
        except Error:
            return None, offline
        found = self._policy.registry.find_internal(self._endpoint.account_id, url.scheme, url.host, url.port)
        if found is None or not may_forward(self._endpoint.scheme, found.scheme):
            return None, offline
        if sum(each is found for each in visited) >= VISITS:
            return None, Failed(LOOP, "The request was forwarded in a circle.", 508)
        return found, offline

    def _go_on(self) -> None:
        """Let the request go on, after its body was gathered if some action must see it whole."""
        run, passage = self._request_run, self.passage
        filters = run.filters.request if run is not None and passage.head.framing is not NO_BODY else []
        if not filters:
            passage.go_on(self._written())
            return
        chain = Chain(filters, self._filter_failed)
        if chain.gathers:
            passage.gather_request(Gathering(chain, self._gathered))
        else:
            passage.filter_request(chain)
            passage.go_on(self._written())

    def _gathered(self, body: bytes) -> None:
        """The whole body is here, changed."""
        if not self.passage.over:
            head = self._written() or self.passage.head
            special = {name: values for name, values in head.special.items() if name not in _FRAMED}
            special[b"content-length"] = [b"%d" % len(body)]
            framing = Framing(Kind.LENGTH, len(body))
            self.passage.go_on_with(
                head._replace(framing=framing, special=special, expect_continue=False), body
            )

    def _written(self) -> RequestHead | None:
        """Return the head that goes on; None: as it is."""
        request = self._facts.request
        if request is None or not request.edited:
            return None
        self.passage.forwarding = None
        written = write_request(request, self.passage.head)
        self._sent = written.authority
        return written

    # -- the answer

    def on_response(self, head: ResponseHead) -> None:
        """Judge the answer."""
        policy = self._policy.compiled
        if not self._heard:
            self._heard = True
            for outcome in self._outcomes():
                outcome(head.status, self._now())
        if self._policy.glances and self._sent == self._asked:
            self.passage.pass_on(head)  # nobody looks at the answer
            return
        response = self._facts.response = response_of(head)
        self._map_location()
        chain: list[object] = []
        if policy.has(Phase.EVENT_STREAM_MESSAGE) and is_event_stream(response):
            chain.append(event_filter(self._on_message))
        if policy.has(Phase.HTTP_RESPONSE):
            run = self._response_run = self._begin(Phase.HTTP_RESPONSE)
            self._carry_back(head, chain, run, run.step())
            return
        self._pass_on(write_response(response, head) if response.edited else head, chain)

    def _carry_back(self, head: ResponseHead, chain: list[object], run: "Run", verdict: "Verdict") -> None:
        """Do what the response phase says."""
        response = self._facts.response
        if isinstance(verdict, Respond):
            self._replace(verdict)
        elif isinstance(verdict, Fetch):
            self._fetch(run, verdict, partial(self._carry_back, head, chain, run), head)
        elif not isinstance(verdict, Continue):
            self.passage.cut()
        else:
            if response is not None and response.edited:
                head = write_response(response, head)
            self._pass_on(head, chain + run.filters.response)

    def _pass_on(self, head: ResponseHead, filters: list[object]) -> None:
        passage = self.passage
        if not filters or head.framing is NO_BODY or head.status == 101:
            passage.pass_on(head)
            return
        chain = Chain(filters, self._filter_failed)
        if not chain.gathers:
            passage.filter_response(chain)
            passage.pass_on(head)
            return
        chain = Chain([*passage.take_filters(), chain], self._filter_failed)

        def done(body: bytes) -> None:
            if not passage.over:
                special = {name: values for name, values in head.special.items() if name not in _FRAMED}
                special[b"content-length"] = [b"%d" % len(body)]
                framing = Framing(Kind.LENGTH, len(body)) if body else NO_BODY
                passage.pass_on_with(head._replace(framing=framing, special=special), body)

        passage.gather_response(Gathering(chain, done))

    def _replace(self, verdict: Respond) -> None:
        """Answer in the place of what the upstream has answered."""
        if verdict.page or verdict.final:
            self._respond(verdict)
        else:
            self.passage.substitute(self._head_of(verdict), verdict.body, judged=True)

    def _map_location(self) -> None:
        """Name the visitor's host in a Location that names the host which the policy put in its place."""
        upstream, response = self._sent, self._facts.response
        if upstream == self._asked or response is None:
            return
        for value in response.get(b"location"):
            mapped = mapped_back(value, self._asked, upstream, self.passage.upstreams.facts.scheme)
            if mapped != value:
                response.set(b"location", mapped)

    def _on_message(self, message: Message) -> bool:
        """Let the rules of one event change it; tell whether they did."""
        before = message.data, message.retry
        self._facts.event = message
        run = self._begin(Phase.EVENT_STREAM_MESSAGE)
        verdict = run.step()
        if run.diagnostics:
            self._tell(run)
        if not isinstance(verdict, Continue):
            self.passage.cut()
        return (message.data, message.retry) != before

    # -- ends

    def on_over(self) -> None:
        """The request is done with: say what the policy adds to its event."""
        if self._waiting is not None:
            self._waiting.cancel()
        for leave in self._leave:
            leave()
        for run in (self._request_run, self._response_run):
            if run is not None:
                self._tell(run)
        if self._facts.results:
            self.passage.exchange.results = {**(self.passage.exchange.results or {}), **self._facts.results}

    def _tell(self, run: "Run") -> None:
        self.passage.exchange.told = told(self.passage.exchange.told, run)

    def _filter_failed(self, error: "ActionFailed") -> None:
        if self.passage.exchange.status:
            self.passage.cut()
        else:
            self._fail(error.status, error.code, error.message)

    # -- inside

    def _outcomes(self) -> "Sequence[Callable[[int, float], None]]":
        return self._request_run.outcomes if self._request_run is not None else []

    def _now(self) -> float:
        return self.passage.upstreams.edge.now()

    def _look(self) -> None:
        """See what has come since: the ends of the bodies, with their trailers."""
        request, response = self._facts.request, self._facts.response
        if request is not None:
            request.body_received = self.passage.body_ended
            if trailers := self.passage.request_trailers:
                request.trailers = pairs_of(trailers)
        if response is not None and (trailers := self.passage.answer_trailers):
            response.trailers = pairs_of(trailers)

    def _begin(self, phase: Phase) -> "Run":
        self._look()
        return self._policy.begin_run(phase, self._facts)

    def _make_facts(self) -> Facts:
        passage = self.passage
        seen, started = self._policy.seen(self._endpoint), passage.exchange.started
        return facts_of(passage.upstreams, seen, passage.head, passage.forwarding, started)


def facts_of(
    upstreams: "Upstreams",
    endpoint: "Seen",
    head: RequestHead,
    forwarding: "Forwarding | None",
    started: float,
) -> Facts:
    """Return what a policy sees of a request that began at ``started``, before it is answered."""
    known = upstreams.facts
    connection = upstreams.seen
    if connection is None:
        ends = (known.client_ip, known.client_port, known.server_ip, known.server_port)
        connection = connection_of(ends, upstreams.edge.config.region, known.started, known.tls)
        connection.bytes_in, connection.bytes_out = upstreams.bytes_in, upstreams.bytes_out
        upstreams.seen = connection
    request = request_of(head, known.scheme, forwarding, started)
    if known.version:
        request.version = known.version
    facts = Facts(connection, endpoint, request)
    if known.gate is not None:
        facts.results.update(known.gate.results)
    return facts


_FRAMED: Final = (b"content-length", b"transfer-encoding")
