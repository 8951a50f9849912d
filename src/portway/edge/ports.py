"""What the edge asks of others: interfaces, the values that pass through them, and its limits.

``server`` joins these to the controller's link, to the claim table of ``cluster`` and to the event
log; tests join them to ten-line fakes. All calls are made on the event loop's thread.
"""

from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from portway.model.agent_version import Demand
from portway.model.plan import Plan
from portway.policy.limits import DEFAULT_LIMITS, PolicyLimits

if TYPE_CHECKING:
    from portway.edge.ip_policies import Restriction
    from portway.edge.registry import Registry
    from portway.edge.tracer import Tracer
    from portway.edge.view import View
    from portway.edge.wishes import Wishes
    from portway.model.entities import Grant, Reservation
    from portway.model.url import Url

Network = IPv4Network | IPv6Network


class CertificatePem(msgspec.Struct, frozen=True):
    """A certificate chain, leaf first, and its key, both PEM."""

    chain: bytes
    key: bytes

    def __repr__(self) -> str:
        """Show sizes only: the key stays out of logs."""
        return f"CertificatePem({len(self.chain)} bytes, key hidden)"


class Revoked(msgspec.Struct, frozen=True):
    """A credential or a whole account that is no longer valid; the other field is ""."""

    credential_id: str = ""
    account_id: str = ""


class Control(Protocol):
    """What the control plane answers, over a link that may be slow or away for a moment."""

    async def authenticate(self, token: str, source: str) -> "Grant":
        """Check an authtoken that came from the address ``source``.

        Raises Error: 4018 without a token, 105 malformed, 107 unknown or revoked, 128 when the
        control plane cannot answer now.
        """
        ...

    async def reserve(self, url: str, account_id: str, session_key: str) -> None:
        """Write down that this name is online and belongs to this account and session."""
        ...

    async def hold(self, url: str, until: float) -> None:
        """Write down that this name is offline and kept until then (wall-clock seconds)."""
        ...

    async def release(self, url: str) -> None:
        """Forget a name: anybody may have it."""
        ...

    async def reservations(self) -> "list[Reservation]":
        """Return all names that still stand. Asked once, at start."""
        ...

    async def certificate(self, name: str) -> CertificatePem:
        """Return a certificate of the local authority for a name, issued now if need be."""
        ...

    async def certificate_key(self, certificate_id: str) -> CertificatePem:
        """Return an uploaded certificate and its key. Raises Error when it is gone, 128 when away."""
        ...

    @property
    def view(self) -> "View":
        """What is known of the store, kept up to date. Judge nothing by it before it is ``known``."""
        ...

    async def caught_up(self) -> None:
        """Wait until the view has all that is committed by now, or the control plane cannot tell soon.

        Never raises: what is known then is what counts.
        """
        ...

    def on_revoked(self, callback: Callable[[Revoked], None]) -> None:
        """Call back whenever a credential or an account has ended: its sessions must too."""
        ...


class EventSink(Protocol):
    """Where what happened is told. Never blocks and never raises."""

    def emit(self, event: object) -> None:
        """Take one value of ``model/event.py``."""
        ...


class Ports(Protocol):
    """Who opens and closes the ports of TCP endpoints (``edge/tcp.py``)."""

    async def open(self, port: int) -> None:
        """Listen on a port; nothing happens when it is open. Raises ConfigError when it is taken."""
        ...

    def close(self, port: int) -> None:
        """Stop listening; a port that is not open is ignored."""
        ...


class Claims(Protocol):
    """Who owns a name, in this process or in a whole cluster.

    ``holder`` is the ClientId of a session: all legs and all reconnects of one agent share it.
    """

    async def claim(self, url: "Url", account_id: str, holder: str, *, pooled: bool, returning: bool) -> None:
        """Take a name and write it down. ``returning`` means a proven rebind, which does not wait for that.

        Raises Error 320 or 309 when it is another account's, 334 when it is online elsewhere and
        not both are pooled, or when a returning holder has lost it to a newer session. Cancelled:
        the name may be held; ``release`` it.
        """
        ...

    def hold(self, url: "Url", holder: str) -> None:
        """The holder's session is lost: keep the name for the grace period."""
        ...

    def release(self, url: "Url", holder: str) -> None:
        """The holder gave the name up: free it at once, unless others of its pool still hold it."""
        ...

    def pool(self, url: "Url", holder: str, *, pooled: bool) -> None:
        """Change whether the holder shares the name."""
        ...

    def taken(self, url: "Url") -> bool:
        """Tell whether anybody holds this name, online or within grace."""
        ...

    def on_freed(self, callback: "Callable[[Url], None]") -> None:
        """Call back when a name is free again, for any reason."""
        ...


class Limits(msgspec.Struct, frozen=True):
    """Every limit of the edge: unit, default, and what zero means. Listed in ``docs/limits.md``."""

    auth_deadline: float = 15.0
    """Seconds from accept until a session is authenticated. 0: no deadline."""
    control_patience: float = 60.0
    """Seconds that Auth waits for a control plane that is starting. 0: it is asked once."""
    unauthenticated: int = 256
    """Connections of agents, in this process, that have not authenticated. 0: none may connect."""
    unauthenticated_per_address: int = 16
    """The same, from one source address. 0: none may connect."""
    wrong_tokens: int = 10
    """Refused authtokens a minute and address, after which tries are delayed. 0: always delayed."""
    wrong_token_delay: float = 5.0
    """Seconds that a try is delayed then. 0: no delay."""
    user_agent: int = 1024
    """Characters of an agent's ``UserAgent``. 0: it must be empty."""
    metadata: int = 4096
    """Bytes of metadata of a session or an endpoint. 0: none allowed."""
    description: int = 255
    """Bytes of description or name of an endpoint. 0: none allowed."""
    endpoints_per_session: int = 100
    """Endpoints of one session. 0: none allowed."""
    heartbeat_interval_min: float = 0.1
    """Seconds; a smaller interval is refused with 111. 0: any."""
    heartbeat_tolerance_min: float = 0.1
    """Seconds; a smaller tolerance is refused with 112. 0: any."""
    client_hello: float = 3.0
    """Seconds for a visitor's whole ClientHello. 0: no deadline."""
    tls_handshake: float = 60.0
    """Seconds for a visitor's TLS handshake. 0: no deadline."""
    proxy_header: float = 3.0
    """Seconds for the PROXY header of a load balancer. 0: no deadline."""
    head: float = 60.0
    """Seconds for a visitor's whole request head. 0: no deadline."""
    head_bytes: int = 1 << 20
    """Bytes of a request or response head. 0 is not allowed."""
    head_fields: int = 500
    """Fields of a head. 0: none allowed."""
    idle: float = 300.0
    """Seconds without a byte in either direction before a visitor's connection is closed. 0: for ever."""
    http2_streams: int = 100
    """Requests at a time of one HTTP/2 connection. 0: none."""
    http2_stream_window: int = 262_144
    """Bytes of one body that an HTTP/2 peer may send ahead of who takes them. 0 is not allowed."""
    http2_connection_window: int = 4 << 20
    """The same of all bodies of a connection, at least 65535. 0 means that."""
    http2_resets: int = 200
    """Requests of one HTTP/2 connection that were reset, less those that were answered. 0: none."""
    http2_idle_frames: int = 2000
    """Frames of one HTTP/2 connection that carry nothing, less what its requests and bodies pay. 0: none."""
    drain: float = 10.0
    """Seconds that running streams may take at shutdown. 0: cut at once."""
    certificates: int = 1024
    """TLS contexts of issued names that are kept. 0 is not allowed."""
    api_visitors: int = 512
    """Connections of visitors to the API at a time; more are answered 502. 0: none."""


class EdgeConfig(msgspec.Struct, frozen=True):
    """What one edge must know. Ports are the public ones, as they are written in URLs."""

    domain: str = "portway.localhost"
    region: str = "local"
    http_port: int = 80
    https_port: int = 443
    tcp_host: str = "localhost"
    tcp_ports: range = range(20_000, 21_000)
    """Ports that TCP endpoints may have."""
    auth_host: str = "auth.portway.localhost"
    """Host to which identity providers send visitors back."""
    tcp_listen: str = "127.0.0.1"
    """Address on which the ports of TCP endpoints are opened."""
    unreserved_domains: Literal["own", "any", "none"] = "own"
    """Which names that nobody has reserved may be bound: those below the domain, all, or none."""
    connect_addresses: tuple[str, ...] = ()
    """``host:port`` of the gateway, as told to agents."""
    trust_forwarded: bool = True
    """Keep the X-Forwarded fields that visitors sent and append to them."""
    plans: Mapping[str, Plan] = msgspec.field(default_factory=dict[str, Plan])
    """What accounts of a plan may have; a plan that is not named may have everything."""
    proxy_from: tuple[Network, ...] = ()
    """Load balancers: connections from there must begin with a PROXY header."""
    geoip: tuple[Path, ...] = ()
    """MaxMind files that say where addresses are."""
    crs: tuple[Path, ...] = ()
    """Files or folders of the OWASP Core Rule Set."""
    policy_limits: PolicyLimits = DEFAULT_LIMITS
    """How much a Traffic Policy may be and do."""
    access_events: bool = True
    """Tell of each request and each visitor's connection. False where nobody takes these events: making
    them costs a fifth of what a small request costs."""
    version: str = ""
    """Version of the service, as told to agents."""
    min_agent_version: tuple[Demand, ...] = ()
    """Agents that are older are refused, or warned."""
    limits: Limits = msgspec.field(default_factory=Limits)

    @property
    def ingress_hostname(self) -> str:
        """The name or address under which agents find the gateway; "" if there is none."""
        return self.connect_addresses[0].rpartition(":")[0].strip("[]") if self.connect_addresses else ""


class HttpEdge(Protocol):
    """What a visitor's HTTP connection may use of its edge."""

    @property
    def registry(self) -> "Registry":
        """Names to endpoints."""
        ...

    @property
    def events(self) -> EventSink:
        """Where requests and connections are told."""
        ...

    @property
    def wishes(self) -> "Wishes":
        """Which of these anybody takes."""
        ...

    @property
    def tracer(self) -> "Tracer | None":
        """What gives requests their place in traces, where they are traced."""
        ...

    @property
    def config(self) -> EdgeConfig:
        """Names, ports and limits."""
        ...

    @property
    def restrictions(self) -> "Mapping[str, Restriction]":
        """Account → whom it lets in to its endpoints."""
        ...

    @property
    def draining(self) -> bool:
        """The service ends: each connection that still comes serves one request."""
        ...

    def may_log(self, what: str, interval: float) -> bool:
        """Tell whether it may be logged again that visitors did something: once in so many seconds."""
        ...

    def now(self) -> float:
        """Return monotonic seconds: the loop's clock."""
        ...

    def wall(self) -> float:
        """Return Unix seconds, for events."""
        ...
