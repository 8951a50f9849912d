"""The modules of an edge or a route, read: who serves, how TLS ends, and what becomes rules of a policy.

Modules are kept as they were written. One that is switched off (``enabled`` false) is as if it were not
there; a backend that is switched off serves nobody, which is what switching it off is for.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, Literal, cast

import msgspec

EDGE_MODULES: Final[Mapping[str, tuple[str, ...]]] = {
    "tcp": ("backend", "ip_restriction", "traffic_policy"),
    "tls": ("backend", "ip_restriction", "mutual_tls", "tls_termination", "traffic_policy"),
    "https": ("mutual_tls", "tls_termination"),
}
"""What each kind of edge may have."""

ROUTE_MODULES: Final = (
    "backend",
    "ip_restriction",
    "circuit_breaker",
    "compression",
    "request_headers",
    "response_headers",
    "webhook_verification",
    "oauth",
    "saml",
    "oidc",
    "websocket_tcp_converter",
    "user_agent_filter",
    "traffic_policy",
)
"""What a route may have."""

LOGINS: Final = ("oauth", "oidc", "saml")
"""Modules of which an edge has one at most."""

_RULES: Final = frozenset(ROUTE_MODULES) - {"backend"}


class Read(msgspec.Struct, frozen=True):
    """Modules that are switched on."""

    form: str
    ruled: Mapping[str, Mapping[str, Any]] = msgspec.field(default_factory=dict[str, Mapping[str, Any]])
    """Those that are rules of a policy."""
    backend_id: str = ""
    ends_tls: bool = False
    """TLS of visitors ends at the edge by what the modules say; https edges end it in any case."""
    min_version: Literal["1.2", "1.3"] = "1.2"
    authority_ids: tuple[str, ...] = ()
    """Authorities of visitors' certificates."""

    @property
    def text(self) -> str:
        """The rules as text: the same for the same rules."""
        return json.dumps(self.ruled, sort_keys=True) if self.ruled else ""

    @property
    def size(self) -> int:
        """About how many characters the rules were written in."""
        return len(self.text)


def read(modules: "str | Mapping[str, Mapping[str, Any]]", form: str) -> Read:
    """Read modules, or their JSON, of an edge of this form; those of a route are read as "https"."""
    given = cast(
        "Mapping[str, Mapping[str, Any]]", json.loads(modules) if isinstance(modules, str) else modules
    )
    on = {name: module for name, module in given.items() if module.get("enabled") is not False}
    termination = on.get("tls_termination")
    version: Literal["1.2", "1.3"] = "1.2"
    if termination is not None and str(termination.get("min_version") or "") == "1.3":
        version = "1.3"
    authorities = tuple(on.get("mutual_tls", {}).get("certificate_authority_ids") or ())
    ended = termination is not None and termination.get("terminate_at") != "upstream"
    return Read(
        form,
        {name: module for name, module in on.items() if name in _RULES},
        str(on.get("backend", {}).get("backend_id") or ""),
        ends_tls=ended or (form == "https" and bool(authorities)),
        min_version=version,
        authority_ids=authorities,
    )
