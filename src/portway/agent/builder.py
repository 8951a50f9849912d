"""Sessions and endpoints step by step: the builder style of older SDKs.

    session = await portway.Session.builder().authtoken_from_env().connect()
    listener = await session.tcp_endpoint().remote_addr("1.tcp.example.com:12345").listen()
    forwarder = await session.tcp_endpoint().listen_and_forward("tcp://192.168.1.2:5432")

Each step returns its builder. Without a running event loop the same chain stands without ``await``:
`connect`, `listen` and `listen_and_forward` are done when they return.
"""

import ssl
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

from portway.agent.agent import Agent
from portway.agent.checks import Duration
from portway.agent.default import said_token
from portway.agent.dual import Forwarding, Listening
from portway.agent.edge_tls import EdgeTLS
from portway.agent.events import EventHandler
from portway.agent.info import AgentSession
from portway.agent.labels import LABELED
from portway.agent.options import AgentKeywords, ClientInfo, EndpointKeywords, ListenKeywords
from portway.agent.rpc import RPCHandler
from portway.agent.sync import SyncAgent
from portway.agent.termination import Pem, TLSTermination
from portway.agent.upstream import ProxyProtocol, Upstream
from portway.net.loop import inside_loop


class SessionBuilder:
    """Collects what an agent shall be told. Nothing happens on the network before `connect`."""

    def __init__(self) -> None:
        """Begin with nothing said."""
        self._options: AgentKeywords = {}
        self._infos: list[ClientInfo] = []
        self._handlers: list[EventHandler] = []

    def authtoken(self, token: str) -> Self:
        """Connect as the account of this token."""
        self._options["authtoken"] = token
        return self

    def authtoken_from_env(self) -> Self:
        """Take the token of the environment and no other; without one the service refuses (4018)."""
        self._options["authtoken"] = said_token(None, from_env=True) or ""
        return self

    def server_addr(self, address: str) -> Self:
        """Connect to this ``host:port``."""
        self._options["connect_url"] = address
        return self

    def ca_cert(self, pem: bytes | bytearray | str | Path) -> Self:
        """Trust these authorities for the service: PEM bytes or a file."""
        self._options["connect_cas"] = bytes(pem) if isinstance(pem, bytearray) else pem
        return self

    def region(self, region: str) -> Self:
        """Connect in this region (`portway.agent.discovery.regional`)."""
        self._options["region"] = region
        return self

    def proxy_url(self, url: str) -> Self:
        """Reach the service through this proxy."""
        self._options["proxy_url"] = url
        return self

    def metadata(self, metadata: str) -> Self:
        """Show this beside the session in the service's API."""
        self._options["metadata"] = metadata
        return self

    def heartbeat_interval(self, seconds: float) -> Self:
        """Probe the session every so many seconds."""
        self._options["heartbeat_interval"] = seconds
        return self

    def heartbeat_tolerance(self, seconds: float) -> Self:
        """Give a session up whose probe is not answered for so many seconds."""
        self._options["heartbeat_tolerance"] = seconds
        return self

    def client_info(self, client_type: str, version: str = "", *comments: str) -> Self:
        """Name the program that uses the agent. The newest comes first."""
        self._infos.insert(0, ClientInfo(client_type, version, *comments))
        return self

    def event_handler(self, handler: EventHandler) -> Self:
        """Call this with every event; may be said several times."""
        self._handlers.append(handler)
        return self

    def rpc_handler(self, handler: RPCHandler) -> Self:
        """Ask this when the service wants the agent to stop, restart or update."""
        self._options["rpc_handler"] = handler
        return self

    def connect(self, timeout: Duration | None = None) -> "Session":
        """Connect: to be awaited inside a running event loop, done when it returns in a plain script.

        Raises what `Agent.connect` raises, and `ConfigError` for an option that makes no sense.
        """
        options: AgentKeywords = {**self._options, "client_info": self._infos}
        options["event_handlers"] = self._handlers
        if inside_loop():
            return Session(Agent(**options), None, timeout)
        agent = SyncAgent(**options)
        agent.connect(timeout)
        return Session(agent.agent, agent, None)


class Session:
    """A connected agent in the builder style. Inside a loop, `await` it first: that connects."""

    def __init__(self, agent: Agent, sync: SyncAgent | None, timeout: Duration | None) -> None:
        """Made by `SessionBuilder.connect` only."""
        self.agent = agent
        self._sync = sync
        self._timeout = timeout

    @staticmethod
    def builder() -> SessionBuilder:
        """Begin a chain."""
        return SessionBuilder()

    def __await__(self) -> Generator[Any, Any, "Session"]:
        """Connect. Raises what `Agent.connect` raises."""
        return self._connect().__await__()

    async def _connect(self) -> "Session":
        if self._sync is None:
            await self.agent.connect(self._timeout)
        return self

    def __repr__(self) -> str:
        """Show the agent."""
        return f"<Session {self.agent!r}>"

    @property
    def id(self) -> str:
        """Return the service's name for the session."""
        return self.info.id

    @property
    def info(self) -> AgentSession:
        """Return what the service said of the session."""
        return self.agent.session

    def http_endpoint(self) -> "HttpEndpointBuilder":
        """Begin an endpoint for HTTP: an https URL unless `HttpEndpointBuilder.scheme` says http."""
        return HttpEndpointBuilder(self.agent, self._sync)

    def tcp_endpoint(self) -> "TcpEndpointBuilder":
        """Begin a TCP endpoint."""
        return TcpEndpointBuilder(self.agent, self._sync)

    def tls_endpoint(self) -> "TlsEndpointBuilder":
        """Begin a TLS endpoint."""
        return TlsEndpointBuilder(self.agent, self._sync)

    def labeled_listener(self) -> "LabeledListenerBuilder":
        """Begin an endpoint with labels, for an edge of the service."""
        return LabeledListenerBuilder(self.agent, self._sync)

    def close(self) -> "Closing":
        """End the session and its endpoints: to be awaited inside a loop, else done when it returns."""
        if self._sync is not None:
            self._sync.disconnect()
        return Closing(None if self._sync is not None else self.agent)


class Closing:
    """The end of a session: nothing is left to do in a plain script, inside a loop `await` does it."""

    def __init__(self, agent: Agent | None) -> None:
        """Made by `Session.close` only."""
        self._agent = agent

    def __await__(self) -> Generator[Any, Any, None]:
        """End it."""
        if self._agent is not None:
            yield from self._agent.disconnect().__await__()


class EndpointBuilder:
    """Collects what an endpoint shall be told; `listen` or `listen_and_forward` makes it."""

    _scheme = ""

    def __init__(self, agent: Agent, sync: SyncAgent | None) -> None:
        """Made by a `Session` only."""
        self._agent = agent
        self._sync = sync
        self._host = ""
        self._options: ListenKeywords = {}
        self._upstream: dict[str, Any] = {}
        self._tls = EdgeTLS()

    def metadata(self, metadata: str) -> Self:
        """Keep this text of the application's own with the endpoint."""
        self._options["metadata"] = metadata
        return self

    def verify_upstream_tls(self, verify: bool) -> Self:
        """Verify the certificate of an https or tls upstream, as is done unless this says no."""
        self._upstream["verify"] = verify
        return self

    def listen(self) -> Listening:
        """Make it, and take its connections one by one. Raises what `Agent.listen` raises."""
        url, options, agent = self._url, self._told(), self._agent
        return Listening(lambda: agent.listen(url, **options), lambda: self._plain.listen(url, **options))

    def listen_and_forward(self, to: str | int) -> Forwarding:
        """Make it, and forward its connections to this upstream. Raises what `Agent.forward` raises."""
        rest: dict[str, Any] = dict(self._told())
        upstream = Upstream(to, proxy_protocol=rest.pop("proxy_protocol", None), **self._upstream)
        options: EndpointKeywords = {"url": self._url, **rest}  # pyright: ignore[reportAssignmentType]
        agent = self._agent
        return Forwarding(
            lambda: agent.forward(upstream, **options), lambda: self._plain.forward(upstream, **options)
        )

    def _told(self) -> ListenKeywords:
        """Return the options, those of visitors' TLS among them."""
        told: Any = {**self._options, **self._tls.options(self._scheme)}
        return told

    @property
    def _url(self) -> str:
        return f"{self._scheme}://{self._host}"

    @property
    def _plain(self) -> SyncAgent:
        if self._sync is None:
            raise RuntimeError("this session was connected inside an event loop: use it there")
        return self._sync


class UrlEndpointBuilder(EndpointBuilder):
    """What all endpoints with a URL of their own can be told."""

    def name(self, name: str) -> Self:
        """Give it a name."""
        self._options["name"] = name
        return self

    def description(self, description: str) -> Self:
        """Describe it for people."""
        self._options["description"] = description
        return self

    def proxy_proto(self, version: ProxyProtocol | str | int) -> Self:
        """Put a PROXY header of version 1 or 2 ahead of every connection's bytes."""
        self._options["proxy_protocol"] = version
        return self

    def traffic_policy(self, policy: str) -> Self:
        """Apply a traffic policy, YAML or JSON."""
        self._options["traffic_policy"] = policy
        return self

    def pooling_enabled(self, enabled: bool) -> Self:
        """Share the URL with other endpoints that allow it too."""
        self._options["pooling_enabled"] = enabled
        return self

    def binding(self, binding: str) -> Self:
        """Say who may reach it: "public", "internal" or "kubernetes"."""
        self._options["bindings"] = (binding,)
        return self


class TcpEndpointBuilder(UrlEndpointBuilder):
    """A TCP endpoint: a random address unless one is given."""

    _scheme = "tcp"

    def remote_addr(self, address: str) -> Self:
        """Ask for this reserved ``host:port``."""
        self._host = address
        return self

    def agent_tls_termination(self, how: ssl.SSLContext | TLSTermination) -> Self:
        """End visitors' TLS in this agent; the service sees ciphertext alone."""
        self._options["agent_tls_termination"] = how
        return self


class TlsEndpointBuilder(UrlEndpointBuilder):
    """A TLS endpoint: a random name unless one is given. Its upstream ends TLS, unless told otherwise."""

    _scheme = "tls"

    def domain(self, domain: str) -> Self:
        """Ask for this name."""
        self._host = domain
        return self

    def agent_tls_termination(self, how: ssl.SSLContext | TLSTermination) -> Self:
        """End visitors' TLS in this agent; the service sees ciphertext alone."""
        self._options["agent_tls_termination"] = how
        return self

    def termination(self, certificate: Pem | None = None, private_key: Pem | None = None) -> Self:
        """End visitors' TLS at the service's edge, with this certificate or with its own."""
        self._tls = replace(self._tls, crt=certificate, key=private_key, terminate_at="edge")
        return self

    def mutual_tlsca(self, authorities: Pem) -> Self:
        """Let in only visitors with a certificate of these authorities. It needs `termination`, too."""
        self._tls = replace(self._tls, mutual_tls_cas=authorities)
        return self


class HttpEndpointBuilder(UrlEndpointBuilder):
    """An endpoint for HTTP: a random name unless one is given."""

    _scheme = "https"

    def domain(self, domain: str) -> Self:
        """Ask for this name."""
        self._host = domain
        return self

    def app_protocol(self, protocol: Literal["http1", "http2"]) -> Self:
        """Say what the upstream speaks, where there is one: "http1" or "http2"."""
        self._upstream["protocol"] = protocol
        return self

    def scheme(self, scheme: Literal["http", "https", "HTTP", "HTTPS"]) -> Self:
        """Say whether visitors come by http or https."""
        self._scheme = str(scheme).lower()
        return self

    def mutual_tlsca(self, authorities: Pem) -> Self:
        """Let in only visitors with a certificate of these authorities."""
        self._tls = replace(self._tls, mutual_tls_cas=authorities)
        return self


class LabeledListenerBuilder(EndpointBuilder):
    """An endpoint with labels, which an edge of the service finds by them (`portway.agent.labels`)."""

    _scheme = LABELED

    def __init__(self, agent: Agent, sync: SyncAgent | None) -> None:
        """Made by a `Session` only."""
        super().__init__(agent, sync)
        self._labels: dict[str, str] = {}

    def label(self, label: str, value: str) -> Self:
        """Add a label; one at least is needed."""
        self._labels[label] = value
        return self

    def app_protocol(self, protocol: Literal["http1", "http2"]) -> Self:
        """Say what the upstream speaks, where there is one: "http1" or "http2"."""
        self._upstream["protocol"] = protocol
        return self

    def _told(self) -> ListenKeywords:
        return {**self._options, "proto": LABELED, "labels": dict(self._labels)}

    @property
    def _url(self) -> str:
        return ""
