"""Module options of older agents and SDKs → the rules of a Traffic Policy that does the same.

Older agents ask for one thing in one structure: compression, basic authentication, a login, header fields,
addresses, a circuit breaker, a user-agent filter. Each becomes a rule with one action, before the user's own
rules and in the order of the table in ``docs/spec/policy.md``. What differs from the actions of today is
kept: a circuit breaker of old counts from 20 requests on, old compression knows gzip and deflate, addresses
that are refused on HTTP get an answer.

What has no counterpart here is refused by name: a module that is not carried out would be an open door.
"""

import json
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from portway.codec.document import Node
from portway.errors import Error
from portway.model.cidr import parse_network
from portway.policy.document import parse
from portway.policy.limits import DEFAULT_LIMITS, PolicyLimits
from portway.policy.phase import HTTP
from portway.policy.providers import PROVIDERS

UNSUPPORTED: Final = 2201
HTTP_ONLY: Final = 2205

OLD_VOLUME: Final = 20
"""Requests from which on a circuit breaker of old counts."""

Modules = Mapping[str, Any]
"""Options by their spelling on the wire, as JSON has them; None and "" are unset."""

_Rules = dict[str, list[dict[str, object]]]


def document_of(
    modules: Modules, text: str, protocol: str, limits: PolicyLimits = DEFAULT_LIMITS
) -> "str | Node":
    """Return one document for the modules and the text of a policy together; "" when both say nothing.

    Raises Error: 2201 for a module that is not provided, 2205 for one of another protocol, the module's own
    code for what is wrong in it, and PolicyError for a text that cannot be read.
    """
    rules = _rules(modules, protocol)
    text = text or _structured(modules.get("Policy"))
    if not rules:
        return text
    front = parse(json.dumps(rules), limits)
    if not text.strip():
        return front
    own = parse(text, limits)
    if own.is_null:
        return front
    return joined(front, own, protocol) if own.kind == "map" else own


def joined(front: Node, own: Node, protocol: str) -> Node:
    """Put the rules of modules before those of the same phase of a document; return the document."""
    for phase, node in front.entries.items():
        key = next((each for each in (phase, _old_name(phase, protocol)) if each in own.entries), "")
        if not key:
            own.entries[phase] = node
            own.keys[phase] = (node.line, node.column)
        elif own.entries[key].is_null:
            own.entries[key] = node
        elif own.entries[key].kind == "list":
            own.entries[key].items[:0] = node.items
    return own


def _old_name(phase: str, protocol: str) -> str:
    """Return what a phase was called before October 2024."""
    if phase == "on_http_response":
        return "outbound"
    main = "on_http_request" if protocol in HTTP else "on_tcp_connect"
    return "inbound" if phase == main else ""


def _rules(modules: Modules, protocol: str) -> _Rules:
    given = [name for name, value in modules.items() if value not in (None, "", False)]
    rules: _Rules = {}
    for name, (phase, make) in _MODULES.items():
        if name not in given:
            continue
        if protocol not in HTTP and name != "IPRestriction":
            raise Error(f"{name} does not exist on {protocol} endpoints.", HTTP_ONLY)
        where = phase if protocol in HTTP else "on_tcp_connect"
        for made in make(modules[name]):
            rule = made if "actions" in made else {"actions": [made]}
            rules.setdefault(where, []).append({"name": name, **rule})
    return rules


def _action(kind: str, **config: object) -> dict[str, object]:
    return {"type": kind, "config": config}


def _literal(text: str) -> str:
    """Write a text so that nothing in it is computed."""
    return text.replace("${", "$${")


def _addresses(module: Modules) -> list[dict[str, object]]:
    allow, deny = _texts(module, "allow_cidrs"), _texts(module, "deny_cidrs")
    if not allow and deny:
        raise Error("Addresses are denied and none is allowed: nobody could come in.", 393)
    for each in (*allow, *deny):
        try:
            parse_network(each)
        except Error as error:
            raise Error(error.message, 362) from None
    return [_action("restrict-ips", allow=allow, deny=deny)] if allow else []


def _user_agents(module: Modules) -> list[dict[str, object]]:
    allow, deny = _texts(module, "allow"), _texts(module, "deny")
    return [_action("user-agent-filter", allow=allow, deny=deny)] if allow or deny else []


def _basic_auth(module: Modules) -> list[dict[str, object]]:
    pairs: list[str] = []
    for each in cast("Sequence[Modules]", module.get("credentials") or ()):
        name, password = str(each.get("username") or ""), str(each.get("cleartext_password") or "")
        if not password and each.get("hashed_password"):
            raise Error("Hashed passwords are not provided by this version of the service.", UNSUPPORTED)
        if not name:
            raise Error("A user of basic authentication has no name.", 359)
        if not 8 <= len(password) <= 128:
            raise Error("The password of basic authentication has between 8 and 128 characters.", 360)
        pairs.append(_literal(f"{name}:{password}"))
    return [_action("basic-auth", credentials=pairs)]


def _auth(text: str) -> list[dict[str, object]]:
    name, _, password = text.partition(":")
    return _basic_auth({"credentials": [{"username": name, "cleartext_password": password}]})


def _oauth(module: Modules) -> list[dict[str, object]]:
    provider = str(module.get("provider") or "").lower()
    if provider not in PROVIDERS:
        raise Error(f"There is no OAuth provider {provider[:80]!r}: {', '.join(PROVIDERS)}.", 365)
    return _login("oauth", "oauth", module, provider=provider)


def _oidc(module: Modules) -> list[dict[str, object]]:
    return _login("openid-connect", "oidc", module, issuer_url=str(module.get("issuer_url") or "") or None)


def _login(kind: str, result: str, module: Modules, **config: object) -> list[dict[str, object]]:
    """Have visitors sign in under the paths of old; then deny who is not in the lists, if there are any."""
    if module.get("sealed_client_secret") and not module.get("client_secret"):
        raise Error("Sealed secrets are not provided by this version of the service.", UNSUPPORTED)
    for name in ("client_id", "client_secret"):
        if module.get(name):
            config[name] = _literal(str(module[name]))
    if scopes := _texts(module, "scopes"):
        config["scopes"] = scopes
    made: list[dict[str, object]] = [_action(kind, path_prefix="/auth", **config)]
    emails = [each.lower() for each in _texts(module, "allow_emails")]
    domains = [each.lower() for each in _texts(module, "allow_domains")]
    if emails or domains:
        email = f"actions.ngrok.{result}.identity.email.lowerAscii()"
        tests = [f"{email} in {json.dumps(emails)}"] if emails else []
        tests += [f"{email}.endsWith({json.dumps(f'@{each}')})" for each in domains]
        made.append(
            {"expressions": [f"!({' || '.join(tests)})"], "actions": [_action("deny", status_code=403)]}
        )
    return made


def _breaker(module: Modules) -> list[dict[str, object]]:
    threshold = module.get("error_threshold")
    if not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
        raise Error("The error threshold of a circuit breaker is between 0 and 1.", 361)
    return [_action("circuit-breaker", error_threshold=threshold, volume_threshold=OLD_VOLUME)]


def _headers(module: Modules) -> list[dict[str, object]]:
    added: dict[str, str] = {}
    for line in _texts(module, "add"):
        name, colon, value = line.partition(":")
        if not colon:
            raise Error(f"The header {line[:80]!r} to add is not written name:value.", 370)
        _add(added, name.strip(), value.strip())
    if not added:
        for name, value in cast("Mapping[str, str]", module.get("addParsed") or {}).items():
            _add(added, name, str(value))
    replaced = {name.lower() for name in added}
    removed = [name for name in _texts(module, "remove") if name.lower() != "host" or "host" not in replaced]
    made: list[dict[str, object]] = []
    if removed:
        made.append(_action("remove-headers", headers=removed))
    if added:
        made.append(_action("add-headers", headers=added))
    return made


def _add(added: dict[str, str], name: str, value: str) -> None:
    if name.lower() in {each.lower() for each in added}:
        raise Error(f"The header {name!r} is added twice.", 375)
    added[name] = value


def _compression(_module: object) -> list[dict[str, object]]:
    return [_action("compress-response", algorithms=["gzip", "deflate"])]


def _texts(module: Modules, name: str) -> list[str]:
    return [str(each) for each in cast("Sequence[object]", module.get(name) or ())]


def _websocket(_module: object) -> list[dict[str, object]]:
    return [_action("websocket-tcp-converter")]


def _webhook(module: Modules) -> list[dict[str, object]]:
    provider, secret = str(module.get("provider") or ""), str(module.get("secret") or "")
    if module.get("sealed_secret"):
        raise Error("Sealed secrets are not provided by this version of the service.", UNSUPPORTED)
    if not secret and provider != "sns":
        raise Error("The verification of webhooks needs a secret.", 2032)
    return [_action("verify-webhook", provider=provider, **({"secret": _literal(secret)} if secret else {}))]


_MODULES: Final[dict[str, tuple[str, Any]]] = {
    "IPRestriction": ("on_http_request", _addresses),
    "UserAgentFilter": ("on_http_request", _user_agents),
    "Auth": ("on_http_request", _auth),
    "BasicAuth": ("on_http_request", _basic_auth),
    "OAuth": ("on_http_request", _oauth),
    "OIDC": ("on_http_request", _oidc),
    "WebhookVerification": ("on_http_request", _webhook),
    "CircuitBreaker": ("on_http_request", _breaker),
    "RequestHeaders": ("on_http_request", _headers),
    "ResponseHeaders": ("on_http_response", _headers),
    "Compression": ("on_http_response", _compression),
    "WebsocketTCPConverter": ("on_http_request", _websocket),
}
"""Module → the phase of HTTP that it belongs to, and its actions; in the order in which they run."""


def _structured(policy: object) -> str:
    """Write the structured form of an older policy as a document; "" when there is none."""
    if not policy:
        return ""
    given = _folded(policy)
    made: dict[str, object] = {}
    for side in ("inbound", "outbound"):
        rules = [_structured_rule(_folded(each)) for each in cast("Sequence[object]", given.get(side) or ())]
        if rules:
            made[side] = rules
    if "enabled" in given:
        made["enabled"] = given["enabled"]
    return json.dumps(made)


def _structured_rule(rule: Modules) -> dict[str, object]:
    actions = [_folded(each) for each in cast("Sequence[object]", rule.get("actions") or ())]
    return {
        "name": rule.get("name") or "",
        "expressions": list(cast("Sequence[object]", rule.get("expressions") or ())),
        "actions": [{"type": each.get("type"), "config": _config(each.get("config"))} for each in actions],
    }


def _config(config: object) -> object:
    """Return a configuration that came as JSON in base64, as JSON, or as it is."""
    if not isinstance(config, str):
        return config
    try:
        text = config if config.lstrip().startswith("{") else b64decode(config, validate=True).decode()
        return json.loads(text) if text else None
    except (Base64Error, ValueError) as error:
        raise Error(f"The configuration of an action cannot be read: {error}", 2203) from error


def _folded(value: object) -> Modules:
    """Return a map with its keys in lower case: they travel in the spelling of Go or of JSON."""
    if not isinstance(value, Mapping):
        raise Error("The policy is not of the form that it should have.", 2236)
    return {str(key).lower(): each for key, each in cast("Mapping[object, object]", value).items()}
