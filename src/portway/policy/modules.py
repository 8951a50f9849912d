"""Modules of edges and routes → the rules of a Traffic Policy that does the same.

Each module becomes a rule with one action, before the edge's own policy and in the order of the table in
``docs/edges.md``. Modules whose action this version does not have are refused where the policy is compiled,
by the name of the action: none is left out silently.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from portway.errors import Error
from portway.model.modules import Read
from portway.policy.document import parse
from portway.policy.legacy import joined
from portway.policy.limits import DEFAULT_LIMITS, PolicyLimits
from portway.policy.phase import HTTP

if TYPE_CHECKING:
    from portway.codec.document import Node

UNSUPPORTED: Final = 2201
NOT_FOR_THIS_PROTOCOL: Final = 7021

_SAYS_NOTHING: Final = frozenset(("", "{}", "null", "[]", "---"))

Module = Mapping[str, Any]
Rule = dict[str, object]


def document_of(modules: Read, scheme: str, limits: PolicyLimits = DEFAULT_LIMITS) -> "str | Node":
    """Return one document for all modules of an edge or a route; "" when they say nothing.

    Raises Error: 2201 for what is not provided, 7021 for a module of another protocol, PolicyError for a
    policy that cannot be read.
    """
    rules = _rules(modules, scheme)
    text = str(modules.ruled.get("traffic_policy", {}).get("value") or "")
    if text.strip() in _SAYS_NOTHING:
        text = ""
    if not rules:
        return text
    front = parse(json.dumps(rules), limits)
    if not text:
        return front
    return joined(front, parse(text, limits), scheme)


def _rules(modules: Read, scheme: str) -> dict[str, list[Rule]]:
    made: dict[str, list[Rule]] = {}
    for name, (phase, make) in _MODULES.items():
        module = modules.ruled.get(name)
        if module is None:
            continue
        if scheme not in HTTP:
            if name != "ip_restriction":
                raise Error(f"A {scheme} edge has no module {name!r}.", NOT_FOR_THIS_PROTOCOL)
            phase = "on_tcp_connect"
        for rule in make(module):
            made.setdefault(phase, []).append(rule)
    return made


def _rule(name: str, *actions: tuple[str, Mapping[str, object]], when: str = "") -> Rule:
    rule: Rule = {"name": name, "actions": [{"type": kind, "config": config} for kind, config in actions]}
    return rule | ({"expressions": [when]} if when else {})


def _literal(text: str) -> str:
    """Write a text of a module so that nothing in it is taken for an expression."""
    return text.replace("${", "$${")


def _texts(module: Module, name: str) -> list[str]:
    return [str(each) for each in cast("Sequence[object]", module.get(name) or ())]


def _addresses(module: Module) -> list[Rule]:
    return [_rule("ip_restriction", ("restrict-ips", {"ip_policies": _texts(module, "ip_policy_ids")}))]


def _user_agents(module: Module) -> list[Rule]:
    allow, deny = _texts(module, "allow"), _texts(module, "deny")
    if not (allow or deny):
        return []
    return [_rule("user_agent_filter", ("user-agent-filter", {"allow": allow, "deny": deny}))]


def _breaker(module: Module) -> list[Rule]:
    config = {
        "error_threshold": module.get("error_threshold_percentage", 0.5),
        "volume_threshold": module.get("volume_threshold") or 10,
        "window_duration": f"{module.get('rolling_window') or 10}s",
        "tripped_duration": f"{module.get('tripped_duration') or 10}s",
    }
    return [_rule("circuit_breaker", ("circuit-breaker", config))]


def _headers(name: str) -> "Callable[[Module], list[Rule]]":
    def make(module: Module) -> list[Rule]:
        added = cast("Mapping[str, str]", module.get("add") or {})
        removed = _texts(module, "remove")
        actions: list[tuple[str, Mapping[str, object]]] = []
        if removed:
            actions.append(("remove-headers", {"headers": removed}))
        if added:
            actions.append(("add-headers", {"headers": dict(added)}))
        return [_rule(name, *actions)] if actions else []

    return make


def _compression(_module: Module) -> list[Rule]:
    return [_rule("compression", ("compress-response", {"algorithms": ["gzip", "deflate"]}))]


def _converter(_module: Module) -> list[Rule]:
    return [_rule("websocket_tcp_converter", ("websocket-tcp-converter", {}))]


def _webhook(module: Module) -> list[Rule]:
    config = {"provider": module.get("provider", "")}
    if module.get("secret"):
        config["secret"] = _literal(str(module["secret"]))
    return [_rule("webhook_verification", ("verify-webhook", config))]


_SESSIONS: Final = {
    "maximum_duration": "max_session_duration",
    "inactivity_timeout": "idle_session_timeout",
    "auth_check_interval": "userinfo_refresh_interval",
}
"""Seconds of a login module, and what they are of its action."""


def _session(module: Module) -> dict[str, object]:
    config: dict[str, object] = {
        action: f"{module[name]}s" for name, action in _SESSIONS.items() if module.get(name)
    }
    if module.get("options_passthrough"):
        config["allow_cors_preflight"] = True
    return config


def _oauth(module: Module) -> list[Rule]:
    name, block = next(
        (name, each)
        for name, each in cast("Mapping[str, Module | None]", module["provider"]).items()
        if each is not None
    )
    listed = [each for each in ("teams", "organizations", "groups") if block.get(each)]
    if listed:
        raise Error(f"Not provided by this version of the service: {', '.join(listed)}.", UNSUPPORTED)
    config: dict[str, object] = {"provider": name, **_session(module)}
    for key in ("client_id", "client_secret"):
        if block.get(key):
            config[key] = _literal(str(block[key]))
    if block.get("scopes"):
        config["scopes"] = block["scopes"]
    return [_rule("oauth", ("oauth", config)), *_members("oauth", block)]


def _oidc(module: Module) -> list[Rule]:
    config: dict[str, object] = {
        "issuer_url": module.get("issuer", ""),
        "client_id": _literal(str(module.get("client_id") or "")),
        "client_secret": _literal(str(module.get("client_secret") or "")),
        **_session(module),
    }
    if module.get("scopes"):
        config["scopes"] = module["scopes"]
    return [_rule("oidc", ("openid-connect", config))]


def _members(login: str, block: Module) -> list[Rule]:
    """Refuse who is not named, if anybody is. Without an identity the rule fails, which refuses too."""
    email = f"actions.ngrok.{login}.identity.email"
    tests = [f"{email} == {_quoted(each)}" for each in _texts(block, "email_addresses")]
    tests += [f"{email}.endsWith({_quoted('@' + each)})" for each in _texts(block, "email_domains")]
    if not tests:
        return []
    return [_rule(f"{login} members", ("deny", {"status_code": 403}), when=f"!({' || '.join(tests)})")]


def _quoted(text: str) -> str:
    """Write a text for an expression: as JSON does, but for escapes of half a character."""
    return json.dumps(text, ensure_ascii=False)


def _saml(_module: Module) -> list[Rule]:
    raise Error("SAML is not provided by this version of the service; use oidc.", UNSUPPORTED)


_MODULES: Final[Mapping[str, tuple[str, Callable[[Module], list[Rule]]]]] = {
    "ip_restriction": ("on_http_request", _addresses),
    "user_agent_filter": ("on_http_request", _user_agents),
    "oauth": ("on_http_request", _oauth),
    "oidc": ("on_http_request", _oidc),
    "saml": ("on_http_request", _saml),
    "webhook_verification": ("on_http_request", _webhook),
    "circuit_breaker": ("on_http_request", _breaker),
    "request_headers": ("on_http_request", _headers("request_headers")),
    "response_headers": ("on_http_response", _headers("response_headers")),
    "compression": ("on_http_response", _compression),
    "websocket_tcp_converter": ("on_http_request", _converter),
}
"""Module → the phase of HTTP that it belongs to, and its rules; in the order in which they run."""
