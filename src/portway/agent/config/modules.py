"""Options of older agents → the options of a bind that mean the same (docs/spec/wire.md, Opts).

One function for each family, used by flags and by files alike. What is wrong in a way that no service could
accept is refused here, with the service's code where it has one; all else is the service's to judge.
"""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import cast

from portway.agent.url import split_host_port
from portway.errors import ConfigError, Error

Module = dict[str, object]


def basic_auth(pairs: Sequence[str]) -> Module:
    """``user:password``, once or more. Raises Error 359, 360."""
    credentials: list[Module] = []
    for pair in pairs:
        name, colon, password = pair.partition(":")
        if not name:
            raise Error("basic auth: give user:password; the user is missing", 359)
        if not colon or not 8 <= len(password) <= 128:
            raise Error(f"basic auth of {name!r}: the password must have 8 to 128 characters", 360)
        credentials.append({"username": name, "cleartext_password": password})
    return {"BasicAuth": {"credentials": credentials}} if credentials else {}


def ip_restriction(allow: Sequence[str], deny: Sequence[str]) -> Module:
    """Networks whose visitors may or may not come in. Raises Error 362, 393."""
    if deny and not allow:
        raise Error("networks are denied and none is allowed: nobody could come in; allow some", 393)
    for network in (*allow, *deny):
        try:
            ip_network(network, strict=False)
        except ValueError:
            raise Error(f"{network[:80]!r} is no network such as 10.0.0.0/8", 362) from None
    return {"IPRestriction": _lists(allow_cidrs=allow, deny_cidrs=deny)} if allow else {}


def circuit_breaker(threshold: float | None) -> Module:
    """Refuse visitors while this share of requests fails, 0 to 1. Raises Error 361."""
    if threshold is None:
        return {}
    if not 0 <= threshold <= 1:
        raise Error("the circuit breaker's threshold is a share between 0 and 1", 361)
    return {"CircuitBreaker": {"error_threshold": threshold}}


def compression(on: bool) -> Module:
    """Compress answers."""
    return {"Compression": {}} if on else {}


def websocket_converter(on: bool) -> Module:
    """Turn WebSocket messages into the bytes of a TCP upstream."""
    return {"WebsocketTCPConverter": {}} if on else {}


def headers(which: str, add: Sequence[str], remove: Sequence[str]) -> Module:
    """Fields of the Request or the Response to add, ``name:value``, and to remove. Raises Error 370."""
    for line in add:
        if ":" not in line:
            raise Error(f"the header {line[:80]!r} to add must be written name:value", 370)
    found = _lists(add=add, remove=remove)
    return {f"{which}Headers": found} if found else {}


def host_header(value: str, upstream: str) -> Module:
    """Name the host that the upstream shall see: ``rewrite`` its own, ``preserve``, or this text."""
    if not value or value == "preserve":
        return {}
    host = _host_of(upstream) if value == "rewrite" else value
    return headers("Request", [f"host:{host}"], ())


def user_agent_filter(allow: Sequence[str], deny: Sequence[str]) -> Module:
    """Regular expressions over User-Agent."""
    found = _lists(allow=allow, deny=deny)
    return {"UserAgentFilter": found} if found else {}


def oauth(
    provider: str,
    *,
    client_id: str = "",
    client_secret: str = "",
    emails: Sequence[str] = (),
    domains: Sequence[str] = (),
    scopes: Sequence[str] = (),
) -> Module:
    """Demand a login at a provider. Raises ConfigError for settings without one."""
    rest = _login(client_id, client_secret, emails, domains, scopes)
    if not provider and rest:
        raise ConfigError("oauth settings without a provider: name it, such as google")
    return {"OAuth": {"provider": provider, **rest}} if provider else {}


def oidc(
    issuer: str,
    *,
    client_id: str = "",
    client_secret: str = "",
    emails: Sequence[str] = (),
    domains: Sequence[str] = (),
    scopes: Sequence[str] = (),
) -> Module:
    """Demand a login at an OpenID Connect issuer. Raises ConfigError for settings without one."""
    rest = _login(client_id, client_secret, emails, domains, scopes)
    if not issuer and rest:
        raise ConfigError("oidc settings without an issuer: give its URL")
    return {"OIDC": {"issuer_url": issuer, **rest}} if issuer else {}


def webhook(provider: str, secret: str) -> Module:
    """Admit only what a webhook provider has signed. Raises ConfigError when one of the two is missing."""
    if bool(provider) != bool(secret):
        raise ConfigError("webhook verification needs both a provider and its secret")
    return {"WebhookVerification": {"provider": provider, "secret": secret}} if provider else {}


def mutual_tls(proto: str, authorities: Iterable[Path | bytes], *, at_edge: bool) -> Module:
    """Demand visitors' client certificates where the service ends TLS. Raises ConfigError."""
    pem = b"\n".join(read_pem(each) for each in authorities)
    if not pem:
        return {}
    if proto == "tls" and not at_edge:
        return {"MutualTLSAtAgent": True}
    return {"MutualTLSCA" if proto == "http" else "MutualTLSAtEdge": {"mutual_tls_ca": pem}}


def tls_termination(certificate: Path | bytes | None, key: Path | bytes | None) -> Module:
    """End visitors' TLS at the service, with this certificate or its own. Raises ConfigError."""
    if certificate is None or key is None:
        return {"TLSTermination": {}}
    return {"TLSTermination": {"cert": read_pem(certificate), "key": read_pem(key)}}


def joined(*modules: Module) -> Module:
    """Put modules together; header fields of several sources are all kept."""
    result: Module = {}
    for module in modules:
        for name, value in module.items():
            known = cast("Mapping[str, list[str]]", result.get(name) or {})
            if known and name.endswith("Headers"):
                more = cast("Mapping[str, list[str]]", value)
                result[name] = {key: [*known.get(key, ()), *more.get(key, ())] for key in (*known, *more)}
            else:
                result[name] = value
    return result


def read_pem(source: Path | bytes) -> bytes:
    """Return PEM text, from a file where it is one. Raises ConfigError."""
    if isinstance(source, bytes):
        return source
    try:
        return source.read_bytes()
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read: {error.strerror}") from error


def _login(
    client_id: str,
    client_secret: str,
    emails: Sequence[str],
    domains: Sequence[str],
    scopes: Sequence[str],
) -> Module:
    lists = _lists(allow_emails=emails, allow_domains=domains, scopes=scopes)
    texts = {"client_id": client_id, "client_secret": client_secret}
    return {**{name: value for name, value in texts.items() if value}, **lists}


def _lists(**lists: Sequence[str]) -> Module:
    return {name: list(values) for name, values in lists.items() if values}


def _host_of(upstream: str) -> str:
    """Return the host that an upstream would name as its own, without its scheme's port."""
    scheme, found, rest = upstream.partition("://")
    place = rest.rstrip("/") if found else upstream
    if place.isdigit():
        place = f"localhost:{place}"
    host, port = split_host_port(place or "localhost", "upstream")
    usual = {"https": 443, "http": 80}.get(scheme if found else "", 80)
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None or port == usual or (port == 443 and not found) else f"{shown}:{port}"
