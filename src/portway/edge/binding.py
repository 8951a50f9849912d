"""What a bind asks for: read, normalised and judged. Pure: no clock, no table, no socket.

The host comes from the first non-empty of URL, Domain, Hostname and Subdomain, for tcp of URL and
Addr: agents of different ages ask in different places. What we recognise and do not provide yet is
refused with a text that says so. Nothing an agent asked for is ever left out silently: a policy that
is not enforced would be an open door.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from portway.edge.tls_options import MODULES, read_tls
from portway.edge.tls_settings import TlsSettings
from portway.errors import Error, MessageError
from portway.model.domain import ServiceNames
from portway.model.url import SCHEMES, Binding, Url, parse_endpoint_url
from portway.policy.limits import DEFAULT_LIMITS, PolicyLimits
from portway.wire.messages import Bind, Opts, OptsView, answer_opts

if TYPE_CHECKING:
    from portway.codec.document import Node
    from portway.edge.ports import EdgeConfig, Limits

BINDINGS: Final[tuple[Binding, ...]] = ("public", "internal", "kubernetes")
API_LABEL: Final = "api"
"""Below the service's domain: where the API answers."""

_LIKE_AN_ADDRESS: Final = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)", re.ASCII).fullmatch
"""The last label is a number, so the URL standard takes the whole host for an IPv4 address."""

_POLICY_MODULES: Final = {
    "Auth": "auth",
    "Compression": "compression",
    "CircuitBreaker": "circuit_breaker",
    "IPRestriction": "ip_restriction",
    "BasicAuth": "basic_auth",
    "OAuth": "oauth",
    "OIDC": "oidc",
    "WebhookVerification": "webhook_verification",
    "RequestHeaders": "request_headers",
    "ResponseHeaders": "response_headers",
    "WebsocketTCPConverter": "websocket_tcp_converter",
    "UserAgentFilter": "user_agent_filter",
    "Policy": "policy",
}
"""Options that are rules of a policy, and where they are read."""

_ANY_PROTOCOL: Final = frozenset({"IPRestriction", "Policy"})
"""Module options that make sense on endpoints of every protocol."""


class PolicyText(NamedTuple):
    """A policy as it was asked for."""

    source: "str | Node | Callable[[], str | Node]"
    """A document, read or unread, or what reads it; "" for none."""
    identity: str
    """The same for the same policy."""
    size: int = 0
    """About how many characters it was written in, where the document was read."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A bind that may be granted. ``url`` has host "" (tcp: port 0) where it is left to the service."""

    url: Url
    view: OptsView
    pooled: bool
    returning: bool
    """It names an earlier bind, so it must prove that with a token."""
    tls: TlsSettings | None = None
    """How visitors' TLS is to be ended."""
    policy: PolicyText = PolicyText("", "")  # noqa: RUF009 - it cannot be changed
    """The rules that it asks for."""

    @property
    def random(self) -> bool:
        """The service is to choose the address."""
        return self.url.is_random


def read_wish(bind: Bind, config: "EdgeConfig") -> Wish:
    """Read a bind. Raises Error with the code of what is wrong with it."""
    if bind.proto not in SCHEMES:
        if not bind.proto:
            raise Error("The bind names neither a protocol nor labels.", 394)
        raise Error(f"The protocol {bind.proto!r} is unknown; use one of {', '.join(SCHEMES)}.", 332)
    try:
        view = OptsView.of(bind.opts)
    except MessageError as error:
        raise Error(f"The bind cannot be understood: {error}", 301) from error
    binding = _binding(bind.extra.bindings)
    url = _url(bind, view, binding, config)
    if binding == "kubernetes":
        raise Error("No Kubernetes operator is connected to this service.", 15010)
    if not url.is_internal:
        _own_place(url, config)
    _supported(bind, view)
    check_texts(config.limits, bind.extra.name, bind.extra.description, bind.extra.metadata)
    tls = read_tls(bind.proto, view)
    if tls is not None and url.is_internal:
        # Who is forwarded there has shaken hands elsewhere, and by other rules.
        raise Error(
            "The TLS of visitors ends before they reach an internal endpoint: no options for it.", 1632
        )
    policy = read_policy(view, bind.proto, config.policy_limits)
    return Wish(url, view, bind.extra.pooling_enabled, returning=bool(bind.id), tls=tls, policy=policy)


def check_texts(limits: "Limits", name: str = "", description: str = "", metadata: str = "") -> None:
    """Refuse texts of an endpoint that are too long, in bytes of UTF-8. Raises Error 18012, 18013."""
    for what, text in (("name", name), ("description", description)):
        if len(text.encode()) > limits.description:
            raise Error(f"The {what} is longer than {limits.description} bytes.", 18012)
    if len(metadata.encode()) > limits.metadata:
        raise Error(f"The metadata is longer than {limits.metadata} bytes.", 18013)


def read_policy(view: OptsView, proto: str, limits: PolicyLimits = DEFAULT_LIMITS) -> PolicyText:
    """Read what policy a bind asks for: its text, and the modules of older agents. Raises Error."""
    modules = {
        name: msgspec.to_builtins(getattr(view, attribute), builtin_types=(bytes,))
        for name, attribute in _POLICY_MODULES.items()
        if getattr(view, attribute) not in (None, "")
    }
    if not modules:
        return PolicyText(view.traffic_policy, view.traffic_policy)
    from portway.edge.policy import AT_ONCE
    from portway.policy.legacy import document_of

    text = view.traffic_policy
    source = document_of(modules, text if len(text) <= AT_ONCE else "", proto, limits)
    size = len(text) + len(str(modules))
    if len(text) <= AT_ONCE:
        return PolicyText(source, f"{modules}\n{text}", size)
    # Reading takes seconds at most: whoever compiles it reads it, elsewhere.
    return PolicyText(lambda: document_of(modules, text, proto, limits), f"{modules}\n{text}", size)


def random_host(config: "EdgeConfig", random: Callable[[int], bytes]) -> str:
    """Draw a host below the service's domain: 48 random bits."""
    return f"{random(6).hex()}.{config.domain}"


def public_url(scheme: str, host: str, config: "EdgeConfig", port: int = 0) -> Url:
    """Make the URL of an endpoint as visitors use it; ``port`` is for tcp."""
    if scheme == "tcp":
        return Url(scheme, config.tcp_host, port)
    return Url(scheme, host, config.http_port if scheme == "http" else config.https_port)


def echo(bind: Bind, url: Url) -> Opts:
    """Make the options of the answer: those received, whole, with the address written in."""
    return answer_opts(bind.proto, bind.opts, str(url))


def _binding(asked: tuple[str, ...] | None) -> Binding | None:
    names = asked or ()
    for name in names:
        if name not in BINDINGS:
            raise Error(f"The binding {name!r} is unknown; use one of {', '.join(BINDINGS)}.", 15005)
    if len(set(names)) < len(names):
        raise Error("A binding is given twice.", 15006)
    if len(names) > 1:
        raise Error("An endpoint has exactly one binding.", 15005)
    return next((binding for binding in BINDINGS if binding in names), None)


def _url(bind: Bind, view: OptsView, binding: Binding | None, config: "EdgeConfig") -> Url:
    """Find where the bind says its address, and fold it."""
    if not bind.id and len({name for name in (view.domain, view.hostname, view.subdomain) if name}) > 1:
        raise Error("Only one of domain, hostname and subdomain may be given.", 9021)
    named = (
        view.addr
        if bind.proto == "tcp"
        else view.domain or view.hostname or (view.subdomain and f"{view.subdomain}.{config.domain}")
    )
    asked = view.url or named
    ports = {"http": config.http_port, "https": config.https_port, "tls": config.https_port}
    url = parse_endpoint_url(asked, bind.proto, binding=binding, public_ports=ports)
    if url.scheme != bind.proto:
        raise Error(f"The URL {asked!r} is not one of protocol {bind.proto}.", 9036)
    return Url(url.scheme, "", 0) if url.scheme == "tcp" and url.is_random else url


def _own_place(url: Url, config: "EdgeConfig") -> None:
    """Refuse addresses that no public endpoint may have."""
    if url.is_random:
        return
    if url.scheme == "tcp":
        if url.port not in config.tcp_ports:
            low, high = config.tcp_ports[0], config.tcp_ports[-1]
            where = f"{config.tcp_host}, ports {low}–{high}"
            raise Error(f"The address {url.hostport} is not reserved for you; this service has {where}.", 307)
        return
    host = url.host.removeprefix("*.")
    names = ServiceNames(config.domain, config.tcp_host, config.auth_host)
    if names.is_taken(host) or names.is_below(host):
        raise Error(f"The domain {url.host} belongs to the service itself.", 320)
    if _LIKE_AN_ADDRESS(host):
        # A browser reads it as an IP address, perhaps the service's own; nobody has a certificate for it.
        raise Error(f"{host!r} cannot be the host of an endpoint: it is no domain name.", 9032)
    if "." not in host:
        raise Error(f"{host!r} is a top-level domain; an endpoint needs a name below one.", 331)


def _supported(bind: Bind, view: OptsView) -> None:
    """Refuse what this version does not provide."""
    if view.policy is not None and view.traffic_policy:
        raise Error("Both policy and traffic_policy are given; use traffic_policy.", 9025)
    modules = [name for name in view.middleware if name not in MODULES]
    http_only = [name for name in modules if name not in _ANY_PROTOCOL]
    if http_only and bind.proto in {"tcp", "tls"}:
        names = ", ".join(http_only)
        raise Error(f"Only http and https endpoints can have this: {names}.", 2205)
    if view.host_header_rewrite:
        raise Error("Not provided by this version of the service: HostHeaderRewrite.", 2201)
    if bind.extra.ip_policy_ref:
        raise Error(f"The IP policy {bind.extra.ip_policy_ref!r} does not exist.", 341)
    if view.proxy_proto not in {0, 1, 2}:
        raise Error(f"The PROXY protocol version {view.proxy_proto} does not exist; use 1 or 2.", 301)
    if bind.forwards_proto not in {"", "http1", "http2"}:
        raise Error(f"The upstream protocol {bind.forwards_proto!r} is unknown; use http1 or http2.", 15003)
