"""Carrying out what a Traffic Policy decides of a connection: the phase on_tcp_connect.

A :class:`Gate` is that phase for one connection. It is asked when the endpoint is named: of tcp at once, of
tls and https when the ClientHello is there, of http with the first request's head. It may let the visitor
pass, close the connection, hand it to an internal endpoint (tcp and tls), or ask for TLS to be ended; then it
waits for the handshake, and what stands behind ``terminate-tls`` in the document is judged after it.

::

    enter ─┬─ passed ───────────────▶ served (target: perhaps another endpoint)
           ├─ closed                    ▲
           └─ settings: TLS is ended ───┴─ secured ─ closed
"""

from typing import TYPE_CHECKING, Any, Final, cast

from msgspec.structs import replace

from portway.edge import pages
from portway.edge.http_naming import Misdirected
from portway.edge.policy_events import fitting, told
from portway.edge.policy_facts import connection_of, endpoint_of, tls_of
from portway.edge.policy_request import HOPS, LOOP, TOO_LONG, VISITS
from portway.edge.tls_settings import TlsSettings, check
from portway.errors import Error
from portway.model.event import TcpConnectionClosed
from portway.model.url import parse_endpoint_url
from portway.net.address import split_address
from portway.policy.actions.tls import WHAT
from portway.policy.facts import Facts
from portway.policy.phase import Phase
from portway.policy.verdict import Continue, Failed, Fetch, Forward

if TYPE_CHECKING:
    from portway.edge.ends import Ends
    from portway.edge.http_exchange import ConnectionFacts
    from portway.edge.listener import Edge
    from portway.edge.policy import EndpointPolicy
    from portway.edge.registry import Endpoint
    from portway.edge.tls_facts import TlsFacts
    from portway.edge.tls_settings import Strategy, Version
    from portway.policy.engine import Run
    from portway.policy.verdict import Verdict

OFFLINE: Final = 3200


class Gate:
    """One connection and the policies that rule over it."""

    __slots__ = (
        "_facts", "_left", "_policy", "_run", "_waiting", "closed", "code", "settings", "target", "told",
        "visited",
    )  # fmt: skip

    def __init__(self, endpoint: "Endpoint", facts: Facts) -> None:
        """Know what is known before the first byte."""
        self._facts = facts
        self._policy: EndpointPolicy
        self._left: list[EndpointPolicy] = []
        self._run: Run | None = None
        self._waiting = False
        self.closed = False
        """The connection shall end now, without a word."""
        self.code = 0
        """Why, for the event; 0: because the policy says so."""
        self.settings: TlsSettings | None = None
        """How TLS is to be ended here; None: the policy does not ask for it."""
        self.target = endpoint
        """Who serves the connection."""
        self.visited: list[Endpoint] = []
        self.told: dict[str, object] | None = None
        """Further fields of the connection's event."""

    def __repr__(self) -> str:
        """Show what was decided."""
        state = "closed" if self.closed else "waits for TLS" if self._waiting else "passed"
        return f"<Gate {self.target.url} {state}>"

    @property
    def results(self) -> dict[str, object]:
        """Result variables, which requests on this connection see too."""
        return self._facts.results

    @property
    def why(self) -> str:
        """Say why it is closed."""
        return (
            f"closed by the traffic policy (ERR_NGROK_{self.code})"
            if self.code
            else "closed by the traffic policy"
        )

    def open(self, endpoint: "Endpoint") -> None:
        """Let the policies of an endpoint judge the connection."""
        self.visited.append(endpoint)
        self.target = endpoint
        self._facts.endpoint = endpoint_of(endpoint)
        self._left = list(endpoint.gates)
        self._go_on()

    def secured(self, tls: "TlsFacts") -> bool:
        """The handshake is complete: judge what comes behind it; False when the visitor may not enter."""
        self._facts.connection.tls = tls_of(tls)
        if self._waiting and self._run is not None:
            self._waiting = False
            self._carry_out(self._run, self._run.resume(None))
            self._go_on()
        return not self.closed

    def _go_on(self) -> None:
        """Run the rules that are left, until something ends or stops that."""
        while self._left and not (self.closed or self._waiting):
            self._policy = self._left.pop(0)
            run = self._run = self._policy.begin_run(Phase.TCP_CONNECT, self._facts)
            self._carry_out(run, run.step())

    def _carry_out(self, run: "Run", verdict: "Verdict") -> None:
        while isinstance(verdict, Forward):
            found, failed = self._find(verdict.url)
            if found is not None:
                self._note(run)
                self.open(found)  # the rules of who gets it hold too
                return
            verdict = run.resume(failed)
        if isinstance(verdict, Fetch) and verdict.what == WHAT and self.settings is None:
            try:
                self.settings = _settings(verdict)
            except Error as error:
                code = int(error.code.removeprefix("ERR_NGROK_"))
                self._carry_out(run, run.resume(Failed(code, error.message, 500)))
            else:
                self._waiting = True
            return
        self._note(run)
        if not isinstance(verdict, Continue):
            self.closed = True
            self.code = getattr(verdict, "code", 0)

    def told_in(self, event: TcpConnectionClosed) -> TcpConnectionClosed:
        """Return the connection's event with what was decided here."""
        more = cast("dict[str, Any]", fitting(TcpConnectionClosed, self.told))
        return replace(event, **more, error=event.error or (self.why if self.closed else ""))

    def _note(self, run: "Run") -> None:
        self.told = told(self.told, run)

    def _find(self, text: str) -> "tuple[Endpoint | None, Failed]":
        """Find an internal endpoint of the account, or say why it cannot have the connection."""
        offline = Failed(OFFLINE, f"The endpoint {text} is not online.", 404)
        if len(self.visited) > HOPS:
            return None, Failed(TOO_LONG, "The connection was forwarded too often.", 502)
        try:
            url = parse_endpoint_url(text, text.partition(":")[0], binding="internal")
        except Error:
            return None, offline
        own = self.target
        found = self._policy.registry.find_internal(own.account_id, url.scheme, url.host, url.port)
        if found is None or found.scheme != own.scheme:
            return None, offline
        if not found.gates and not any(member.usable for member in found.pool.members):
            return None, offline
        if sum(each is found for each in self.visited) >= VISITS:
            return None, Failed(LOOP, "The connection was forwarded in a circle.", 508)
        return found, offline


def enter(
    endpoint: "Endpoint", ends: tuple[str, int, str, int], region: str, started: float, tls: "TlsFacts | None"
) -> Gate:
    """Judge a connection that has just been made, by all policies of its endpoint."""
    gate = Gate(endpoint, Facts(connection_of(ends, region, started, tls)))
    gate.open(endpoint)
    return gate


def enter_by(edge: "Edge", endpoint: "Endpoint", ends: "Ends", tls: "TlsFacts | None") -> Gate:
    """Judge a connection that has just been made to an endpoint with such rules."""
    client_ip, client_port = split_address(ends.client)
    server_ip, server_port = split_address(ends.server)
    where = (client_ip, client_port, server_ip, server_port)
    return enter(endpoint, where, edge.config.region, edge.wall(), tls)


def admitted(facts: "ConnectionFacts", endpoint: "Endpoint", region: str) -> bool:
    """Tell whether a connection may send requests to an endpoint with such rules.

    They were asked before the handshake, if the endpoint was known then; else, once, now.
    Raises Misdirected 421 when they want TLS to be ended otherwise than it was.
    """
    gate = facts.gate
    if gate is None or gate.visited[0] is not endpoint:
        tls = facts.tls
        if tls is not None and tls.gate is not None and tls.gate.visited[0] is endpoint:
            gate = tls.gate
        else:
            ends = (facts.client_ip, facts.client_port, facts.server_ip, facts.server_port)
            gate = enter(endpoint, ends, region, facts.started, tls)
            if gate.settings is not None:
                if tls is None or tls.settings != gate.settings:
                    raise Misdirected(421, pages.GENERAL)
                gate.secured(tls)
        facts.gate = gate
    return not gate.closed


def _settings(asked: Fetch) -> TlsSettings:
    """Read what the action asks for. Raises Error where no visitor could be served so."""
    arguments = asked.arguments
    settings = TlsSettings(
        cast("Version", arguments["min_version"]),
        cast("Version", arguments["max_version"]),
        cast("bytes", arguments["certificate"]),
        cast("bytes", arguments["key"]),
        cast("bytes", arguments["authorities"]),
        cast("Strategy", arguments["strategy"]),
    )
    if settings not in _CHECKED:
        check(settings)
        if len(_CHECKED) >= CHECKED:
            _CHECKED.clear()
        _CHECKED.add(settings)
    return settings


CHECKED: Final = 256
"""Settings that are known to be good; reading certificates costs milliseconds."""
_CHECKED: Final[set[TlsSettings]] = set()
