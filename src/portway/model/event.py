"""What happened, one frozen value each: logs, metrics and exported events are made from these.

Whoever sees a thing happen builds the value and hands it to an event sink, which never blocks.
Times are Unix seconds with fractions. Names follow the fields of the published events
(``conn.client_ip`` is ``client_ip``, ``http.response.status_code`` is ``status``…). An empty text
or a zero means *not known* unless the field says otherwise. ``line`` is the event's name in logs.

Those of traffic, of which there are thousands a second, are structs of msgspec: one is made, and written for
the controller, in a tenth of a dataclass' time.
"""

from typing import ClassVar, Final, NamedTuple

import msgspec

from portway.model.event_types import HTTP, TCP

ERROR: Final = 500
"""Characters of what went wrong in a policy, in one line of the log."""


class Diagnostic(NamedTuple):
    """What went wrong in a Traffic Policy, or what came of one of its rules."""

    rule: str
    """Its place and name, such as ``on_http_request[0] (block bots)``."""
    what: str
    """``expression error``, ``refused``, ``failed``; in trials also ``matched``, ``no match``, ``action``."""
    detail: str
    code: int = 0
    """n of ERR_NGROK_n; 0: none."""


def _first_error(diagnostics: tuple[Diagnostic, ...]) -> str:
    """Return the first that has a code, as a text of at most ERROR characters."""
    first = next((each for each in diagnostics if each.code), None)
    return "" if first is None else f"{first.rule}: {first.detail}"[:ERROR]


class Trace(NamedTuple):
    """The place of a request in a trace (W3C Trace Context). Identifiers are hexadecimal."""

    trace_id: str
    span_id: str
    """Of the span that the service makes of the request."""
    parent_id: str = ""
    """Of the visitor's span; "" where the trace begins here."""
    sampled: bool = False
    state: str = ""
    """What other tracing systems have to say, ``tracestate``."""


class HttpRequestComplete(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag=HTTP):
    """One HTTP request was answered, by the upstream or by an error page of ours.

    ``target`` is the request target as received; ``start_ts`` the first byte of the request,
    ``end_ts`` the last byte of the answer. ``request_length`` and ``response_length`` count body
    bytes. ``error_code`` is ``ERR_NGROK_n`` when the answer was ours, ``aborted`` says that the
    visitor or the upstream cut it short.

    Name the fields when you make one. The edge alone gives those up to ``conn_start_ts`` by their places:
    matching thirty names costs five times what the rest of it does.
    """

    line: ClassVar[str] = "http request"

    client_ip: str
    scheme: str
    start_ts: float
    end_ts: float
    host: str
    method: str
    target: str
    status: int
    account_id: str = ""
    endpoint_id: str = ""
    version: str = "HTTP/1.1"
    user_agent: str = ""
    request_length: int = 0
    response_length: int = 0
    connection_reused: bool = False
    error_code: str = ""
    aborted: bool = False
    request_end_ts: float = 0.0
    """When the request was complete; 0: at once, or never."""
    response_start_ts: float = 0.0
    """When the answer began; 0: when it ended."""
    trace: Trace | None = None
    """Where the service traces requests."""
    client_port: int = 0
    server_ip: str = ""
    server_port: int = 0
    server_name: str = ""
    tls_version: str = ""
    tls_cipher: str = ""
    ja4: str = ""
    """Fingerprint of the visitor's ClientHello."""
    client_certificate_cn: str = ""
    """Of the certificate that the visitor has shown, verified or not; likewise the serial number."""
    client_certificate_serial: str = ""
    conn_start_ts: float = 0.0
    """When the connection was accepted; ``start_ts`` if it is 0."""
    traffic_policy_logs: tuple[object, ...] = ()
    """What the action ``log`` said, in order."""
    ip_policy_decision: str = ""
    """``allow`` or ``block``; like those below empty where no policy asked."""
    basic_auth_decision: str = ""
    basic_auth_username: str = ""
    circuit_breaker_decision: str = ""
    """``allow``, ``block`` or ``allow_while_open``."""
    compression_algorithm: str = ""
    compression_bytes_saved: int = 0
    webhook_verification_decision: str = ""
    oauth_decision: str = ""
    """``allow`` or ``block``; of ``oauth`` and of ``openid-connect``, like the three below."""
    oauth_app_client_id: str = ""
    oauth_user_id: str = ""
    oauth_user_name: str = ""
    traffic_policy_diagnostics: tuple[Diagnostic, ...] = ()
    """Expressions and actions of a policy that failed, and rules that refused, in order."""
    request_headers: tuple[tuple[str, str], ...] = ()
    """Fields of the request's head, and below of the answer's: only where somebody wants them."""
    response_headers: tuple[tuple[str, str], ...] = ()

    @property
    def policy_error(self) -> str:
        """Return what first went wrong in the policy, with its rule; "" where nothing did."""
        return _first_error(self.traffic_policy_diagnostics) if self.traffic_policy_diagnostics else ""


class TcpConnectionClosed(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag=TCP
):
    """A visitor's connection to an endpoint of any kind has closed in both directions.

    ``bytes_in`` came from the visitor, ``bytes_out`` went to it. ``server_name`` is the SNI or the
    endpoint's host. ``error`` tells operators why a connection failed; visitors are never told.
    """

    line: ClassVar[str] = "tcp connection"

    account_id: str = ""
    endpoint_id: str = ""
    url: str = ""
    client_ip: str
    client_port: int = 0
    server_ip: str = ""
    server_port: int = 0
    server_name: str = ""
    start_ts: float
    end_ts: float
    bytes_in: int = 0
    bytes_out: int = 0
    tls_version: str = ""
    ja4: str = ""
    error: str = ""
    traffic_policy_logs: tuple[object, ...] = ()
    ip_policy_decision: str = ""
    traffic_policy_diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def policy_error(self) -> str:
        """Return what first went wrong in the policy, with its rule; "" where nothing did."""
        return _first_error(self.traffic_policy_diagnostics) if self.traffic_policy_diagnostics else ""


class Deprecated(msgspec.Struct, frozen=True, kw_only=True):
    """The agent will be too old: for the version ``upcoming``, from ``day`` on (RFC 3339, "" unknown)."""

    upcoming: str
    day: str = ""
    message: str


class AgentSessionStarted(msgspec.Struct, frozen=True, kw_only=True):
    """An agent has authenticated, or was refused: then ``error`` says why."""

    line: ClassVar[str] = "agent session started"

    session_id: str = ""
    account_id: str = ""
    credential_id: str = ""
    agent_ip: str
    ingress_server_ip: str = ""
    ingress_hostname: str = ""
    region: str = ""
    user_agent: str = ""
    agent_version: str = ""
    metadata: str = ""
    description: str = ""
    os: str = ""
    arch: str = ""
    transport: str = "muxado"
    started_at: float
    expires_at: float | None = None
    deprecated: "Deprecated | None" = None
    error: str = ""
    error_code: str = ""
    """ERR_NGROK_n, if it was refused."""


class AgentSessionStopped(msgspec.Struct, frozen=True, kw_only=True):
    """A session is over. ``error`` is the reason, empty when the agent closed it in order."""

    line: ClassVar[str] = "agent session stopped"

    session_id: str
    account_id: str = ""
    credential_id: str = ""
    agent_ip: str = ""
    ingress_server_ip: str = ""
    ingress_hostname: str = ""
    region: str = ""
    user_agent: str = ""
    metadata: str = ""
    os: str = ""
    arch: str = ""
    transport: str = "muxado"
    started_at: float
    stopped_at: float
    error: str = ""


class EndpointOnline(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint can be reached from now on. ``session_id`` serves it.

    ``domain_id`` or ``tcp_addr_id`` is the reservation that it stands on, if any.
    """

    line: ClassVar[str] = "endpoint online"

    endpoint_id: str
    account_id: str = ""
    session_id: str = ""
    url: str
    proto: str
    binding: str = "public"
    region: str = ""
    name: str = ""
    description: str = ""
    metadata: str = ""
    forwards_to: str = ""
    upstream_protocol: str = ""
    traffic_policy: str = ""
    pooling_enabled: bool = False
    domain_id: str = ""
    tcp_addr_id: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    """Of a labelled tunnel, which serves edges and has no URL."""
    online_at: float


class EndpointUpdated(msgspec.Struct, frozen=True, kw_only=True):
    """An agent has changed an endpoint that is online. All that can change is said, changed or not.

    ``traffic_policy`` None: as it was.
    """

    line: ClassVar[str] = "endpoint updated"

    endpoint_id: str
    account_id: str = ""
    session_id: str = ""
    url: str
    name: str = ""
    description: str = ""
    metadata: str = ""
    traffic_policy: str | None = None
    pooling_enabled: bool = False
    updated_at: float


class EndpointOffline(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint is gone. ``reason`` is a few words: closed, stopped, session lost…"""

    line: ClassVar[str] = "endpoint offline"

    endpoint_id: str
    account_id: str = ""
    session_id: str = ""
    url: str
    proto: str = ""
    online_at: float = 0.0
    offline_at: float
    reason: str = ""


Event = (
    HttpRequestComplete
    | TcpConnectionClosed
    | AgentSessionStarted
    | AgentSessionStopped
    | EndpointOnline
    | EndpointUpdated
    | EndpointOffline
)
"""Any of the events above."""
