"""``Opts`` of a bind: what an endpoint asks for beyond its protocol.

Opts travel as one JSON object whose keys depend on the protocol and on the agent's dialect. An agent
sends them again, unread, when it rebinds, so the service gives back what it received, with keys and
values as they were. Hence two forms: `Opts`, the plain dictionary that is kept and echoed, and
`OptsView`, a typed reading of it whose keys are matched in any case.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from portway.errors import LocalProtocolError
from portway.wire.dialect import read

Opts = dict[str, object]
"""Options of one bind: keys as received, or in the Go spelling."""

_HOST: Final[Opts] = {"URL": "", "Domain": "", "Hostname": "", "Subdomain": ""}
_POLICIES: Final[Opts] = {"Policy": None, "TrafficPolicy": ""}
_WRITTEN: Final[dict[str, Opts]] = {
    "http": {
        **_HOST,
        "Auth": "",
        "HostHeaderRewrite": False,
        "LocalURLScheme": "",
        "ProxyProto": 0,
        "Compression": None,
        "CircuitBreaker": None,
        "IPRestriction": None,
        "BasicAuth": None,
        "OAuth": None,
        "OIDC": None,
        "WebhookVerification": None,
        "MutualTLSCA": None,
        "RequestHeaders": None,
        "ResponseHeaders": None,
        "WebsocketTCPConverter": None,
        "UserAgentFilter": None,
        **_POLICIES,
    },
    "tcp": {"URL": "", "Addr": "", "ProxyProto": 0, "IPRestriction": None, **_POLICIES},
    "tls": {
        **_HOST,
        "ProxyProto": 0,
        "MutualTLSAtAgent": False,
        "MutualTLSAtEdge": None,
        "TLSTermination": None,
        "IPRestriction": None,
        **_POLICIES,
    },
}
# What an answer must hold, or agents built on the Rust library refuse the bind.
_ANSWERED: Final[dict[str, Opts]] = {
    "http": {"Hostname": "", "Auth": "", "Subdomain": "", "HostHeaderRewrite": False, "ProxyProto": 0},
    "tcp": {"Addr": "", "ProxyProto": 0},
    "tls": {"Hostname": "", "Subdomain": "", "ProxyProto": 0, "MutualTLSAtAgent": False},
}


class CircuitBreaker(msgspec.Struct, frozen=True):
    """Refuse visitors while too many requests fail; the threshold is a share, 0 to 1."""

    error_threshold: float = 0.0


class IPRestriction(msgspec.Struct, frozen=True):
    """Admit or refuse visitors by address."""

    allow_cidrs: tuple[str, ...] = ()
    deny_cidrs: tuple[str, ...] = ()


class BasicAuthCredential(msgspec.Struct, frozen=True):
    """One user of HTTP basic authentication; the password is clear or a bcrypt hash."""

    username: str = ""
    cleartext_password: str = ""
    hashed_password: bytes = b""


class BasicAuth(msgspec.Struct, frozen=True):
    """Demand HTTP basic authentication."""

    credentials: tuple[BasicAuthCredential, ...] = ()


class OAuth(msgspec.Struct, frozen=True):
    """Demand a login at a known identity provider."""

    provider: str = ""
    client_id: str = ""
    client_secret: str = ""
    sealed_client_secret: bytes = b""
    allow_emails: tuple[str, ...] = ()
    allow_domains: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()


class OIDC(msgspec.Struct, frozen=True):
    """Demand a login at an OpenID Connect issuer."""

    issuer_url: str = ""
    client_id: str = ""
    client_secret: str = ""
    sealed_client_secret: bytes = b""
    allow_emails: tuple[str, ...] = ()
    allow_domains: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()


class WebhookVerification(msgspec.Struct, frozen=True):
    """Admit only requests that a webhook provider has signed."""

    provider: str = ""
    secret: str = ""
    sealed_secret: bytes = b""


class MutualTLS(msgspec.Struct, frozen=True):
    """Demand a client certificate that one of these authorities signed; PEM, concatenated."""

    mutual_tls_ca: bytes = b""


class Headers(msgspec.Struct, frozen=True, rename={"add_parsed": "addParsed"}):
    """Header fields to add (``name:value``) and to remove (names)."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    add_parsed: dict[str, str] = {}


class UserAgentFilter(msgspec.Struct, frozen=True):
    """Admit or refuse visitors by regular expressions over their User-Agent."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


class TLSTermination(msgspec.Struct, frozen=True):
    """End TLS at the edge. Empty: with the service's own certificate. All fields are PEM."""

    cert: bytes = b""
    key: bytes = b""
    sealed_key: bytes = b""


_SPELLINGS: Final = {
    "url": "URL",
    "domain": "Domain",
    "hostname": "Hostname",
    "subdomain": "Subdomain",
    "addr": "Addr",
    "auth": "Auth",
    "host_header_rewrite": "HostHeaderRewrite",
    "local_url_scheme": "LocalURLScheme",
    "proxy_proto": "ProxyProto",
    "traffic_policy": "TrafficPolicy",
    "policy": "Policy",
    "compression": "Compression",
    "circuit_breaker": "CircuitBreaker",
    "ip_restriction": "IPRestriction",
    "basic_auth": "BasicAuth",
    "oauth": "OAuth",
    "oidc": "OIDC",
    "webhook_verification": "WebhookVerification",
    "mutual_tls_ca": "MutualTLSCA",
    "request_headers": "RequestHeaders",
    "response_headers": "ResponseHeaders",
    "websocket_tcp_converter": "WebsocketTCPConverter",
    "user_agent_filter": "UserAgentFilter",
    "mutual_tls_at_agent": "MutualTLSAtAgent",
    "mutual_tls_at_edge": "MutualTLSAtEdge",
    "tls_termination": "TLSTermination",
}
_MODULES: Final = (
    "Auth",
    "Compression",
    "CircuitBreaker",
    "IPRestriction",
    "BasicAuth",
    "OAuth",
    "OIDC",
    "WebhookVerification",
    "MutualTLSCA",
    "MutualTLSAtEdge",
    "RequestHeaders",
    "ResponseHeaders",
    "WebsocketTCPConverter",
    "UserAgentFilter",
    "Policy",
)


class OptsView(msgspec.Struct, frozen=True, rename=_SPELLINGS):
    """The options of one bind, typed; those of all protocols together.

    Strings are "" when unset; modules are None when unset, and may be empty objects when set.
    ``proxy_proto`` is 0 (none), 1 or 2. ``traffic_policy`` is JSON or YAML text, unread.
    """

    url: str = ""
    domain: str = ""
    hostname: str = ""
    subdomain: str = ""
    addr: str = ""
    auth: str = ""
    host_header_rewrite: bool = False
    local_url_scheme: str = ""
    proxy_proto: int = 0
    traffic_policy: str = ""
    policy: dict[str, object] | None = None
    compression: dict[str, object] | None = None
    circuit_breaker: CircuitBreaker | None = None
    ip_restriction: IPRestriction | None = None
    basic_auth: BasicAuth | None = None
    oauth: OAuth | None = None
    oidc: OIDC | None = None
    webhook_verification: WebhookVerification | None = None
    mutual_tls_ca: MutualTLS | None = None
    request_headers: Headers | None = None
    response_headers: Headers | None = None
    websocket_tcp_converter: dict[str, object] | None = None
    user_agent_filter: UserAgentFilter | None = None
    mutual_tls_at_agent: bool = False
    mutual_tls_at_edge: MutualTLS | None = None
    tls_termination: TLSTermination | None = None

    @classmethod
    def of(cls, opts: Opts) -> "OptsView":
        """Read options. Raises MessageError, which names the key that is wrong."""
        return read(cls, opts)

    @property
    def middleware(self) -> tuple[str, ...]:
        """Names of the module options that are set, in the Go spelling. A traffic policy is none."""
        return tuple(name for name in _MODULES if self._is_set(name))

    def _is_set(self, name: str) -> bool:
        return getattr(self, _ATTRIBUTES[name]) not in (None, "")


_ATTRIBUTES: Final = {spelling: name for name, spelling in _SPELLINGS.items()}


def new_opts(proto: str, given: Mapping[str, object]) -> Opts:
    """Make the complete options of a bind: every key of the protocol, zero values included.

    `given` holds what is set, under the Go spelling. Raises LocalProtocolError for a key that the
    protocol does not have.
    """
    opts = dict(_WRITTEN[_kind(proto)])
    if unknown := given.keys() - opts.keys():
        raise LocalProtocolError(f"a {proto} endpoint has no option {', '.join(sorted(unknown))}")
    opts.update(given)
    return opts


def answer_opts(proto: str, opts: Opts, url: str) -> Opts:
    """Make the options of the answer to a bind: those received, whole, with the address it was given.

    The agent will ask for these when it rebinds, so that a random address stays. The address is
    written where the agent's dialect keeps it. Keys without which an agent refuses the answer are
    added.
    """
    kind = _kind(proto)
    answer = dict(opts)
    spelled = {key.lower(): key for key in answer}
    for key, zero in _ANSWERED[kind].items():
        if answer.setdefault(spelled.get(key.lower(), key), zero) is None:
            answer[spelled.get(key.lower(), key)] = zero
    parts = urlsplit(url)
    if "url" in spelled:
        answer[spelled["url"]] = url
    elif kind == "tcp":
        answer[spelled.get("addr", "Addr")] = parts.netloc
    else:
        name = spelled.get("domain") or spelled.get("hostname", "Hostname")
        answer[name] = parts.hostname or ""
    return answer


def _kind(proto: str) -> str:
    return "http" if proto == "https" else proto
