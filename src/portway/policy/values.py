"""What each variable is now: computed when an expression names it, from the plain facts.

``value_of`` raises Absent for what has no value: numbers and times that are not known. Texts that are not
known are "". The tables below have an entry for every name of :mod:`portway.policy.names`.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Final

from portway.policy.certificate import Certificate, read_certificate
from portway.policy.expression import Absent, Scope
from portway.policy.facts import Facts, Request, Tls
from portway.policy.geo import Geo, Place
from portway.policy.lookup import lookup, whole
from portway.policy.names import LENIENT_MAPS, TERMINATED
from portway.policy.urls import Parts, media_type, parts_of, path_of
from portway.policy.user_agent import UserAgent, read_user_agent

Getter = Callable[[Facts], object]

_NO_TLS: Final = Tls()
_NOTHING: Final = Geo()


def value_of(name: str, scope: Scope) -> object:
    """Return the value of a variable. Raises Absent."""
    getter = getters().get(name)
    if getter is None:
        return _other(name, scope)
    value = getter(scope.facts)
    if value is None:
        raise Absent
    return value


def _terminated(side: str, get: Callable[[Certificate], object]) -> Getter:
    value = _of_certificate(side, get)
    return lambda facts: value(facts) if "terminate_tls" in facts.results else None


def _other(name: str, scope: Scope) -> object:
    if name == "actions":
        return {"ngrok": scope.facts.results}
    return whole(name, scope.facts) if name in LENIENT_MAPS else _geographic(name, scope)


def moment(seconds: float | None) -> datetime | None:
    """Return a time of facts as CEL has times; None stays None."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


@cache
def getters() -> Mapping[str, Getter]:
    """Return every variable that is computed from facts alone."""
    found: dict[str, Getter] = {**_CONNECTION, **_ENDPOINT, **_MESSAGES}
    found |= {f"conn.tls.{name}": _of_tls(name) for name in _TLS}
    for side in ("client", "server"):
        found |= {f"conn.tls.{side}.{name}": _of_certificate(side, get) for name, get in _CERTIFICATE.items()}
        found |= {f"{TERMINATED}.{side}.{name}": _terminated(side, get) for name, get in _CERTIFICATE.items()}
    for name in ("conn.tls.server.pem", f"{TERMINATED}.client.pem", f"{TERMINATED}.server.pem"):
        del found[name]  # documented for visitors only, and for the connection
    found |= {f"req.url.{name}" if name else "req.url": _of_url(get) for name, get in _URL.items()}
    found |= {f"req.user_agent.{name}": _of_agent(name) for name in _AGENT}
    for prefix in ("req", "res"):
        found |= _content(prefix)
    return found


# -- connection and endpoint

_CONNECTION: Final[dict[str, Getter]] = {
    "conn.bytes_in": lambda facts: facts.connection.bytes_in(),
    "conn.bytes_out": lambda facts: facts.connection.bytes_out(),
    "conn.client_ip": lambda facts: facts.connection.client_ip,
    "conn.client_port": lambda facts: facts.connection.client_port,
    "conn.server_ip": lambda facts: facts.connection.server_ip,
    "conn.server_port": lambda facts: facts.connection.server_port,
    "conn.server_region": lambda facts: facts.connection.region,
    "conn.ts.start": lambda facts: moment(facts.connection.started),
    # Only connections of Kubernetes bindings have a pod, and there are none of those.
    "conn.k8s.pod.id": lambda _: "",
    "conn.k8s.pod.metadata.name": lambda _: "",
    "conn.k8s.pod.metadata.namespace": lambda _: "",
    "conn.k8s.pod.metadata.error_code": lambda _: "",
    "conn.k8s.pod.metadata.error_message": lambda _: "",
    "conn.k8s.pod.metadata.annotations": lambda _: dict[str, str](),
}

_ENDPOINT: Final[dict[str, Getter]] = {
    "endpoint.addr": lambda facts: f"{facts.endpoint.host}:{facts.endpoint.port}",
    "endpoint.host": lambda facts: facts.endpoint.host,
    "endpoint.id": lambda facts: facts.endpoint.id,
    "endpoint.port": lambda facts: facts.endpoint.port,
    "endpoint.protocol": lambda facts: facts.endpoint.protocol,
    "endpoint.url": lambda facts: facts.endpoint.url,
}

_TLS: Final[dict[str, Callable[[Tls], object]]] = {
    "cipher_suite": lambda tls: tls.cipher_suite,
    "ja4_fingerprint": lambda tls: tls.ja4,
    "negotiated_alpn": lambda tls: tls.alpn,
    "session_resumed": lambda _: False,
    "sni": lambda tls: tls.sni,
    "version": lambda tls: tls.version,
}


def _of_tls(name: str) -> Getter:
    get = _TLS[name]
    return lambda facts: get(facts.connection.tls or _NO_TLS)


_CERTIFICATE: Final[dict[str, Callable[[Certificate], object]]] = {
    "issuer": lambda each: each.issuer.text,
    "subject": lambda each: each.subject.text,
    "san": lambda each: each.san,
    "serial_number": lambda each: each.serial_number,
    "signature_algorithm": lambda each: each.signature_algorithm,
    "validity.not_before": lambda each: each.not_before,
    "validity.not_after": lambda each: each.not_after,
    "extensions": lambda each: each.extensions,
    "pem": lambda each: each.pem,
    **{
        f"san.{name}": (lambda each, name=name: list(each.alternatives.get(name, ())))
        for name in ("dns_names", "email_addresses", "ip_addresses", "uris")
    },
    **{
        f"{who}.{name}": (lambda each, who=who, name=name: getattr(each, who).part(name))
        for who in ("issuer", "subject")
        for name in (
            "common_name", "country", "locality", "organization", "organizational_unit", "postal_code",
            "province", "street_address",
        )
    },
}  # fmt: skip


def _of_certificate(side: str, get: Callable[[Certificate], object]) -> Getter:
    def value(facts: Facts) -> object:
        tls = facts.connection.tls or _NO_TLS
        return get(read_certificate(tls.client_certificate if side == "client" else tls.server_certificate))

    return value


# -- messages


def _request(facts: Facts) -> Request:
    request = facts.request
    if request is None:
        raise Absent
    return request


def _path(facts: Facts) -> object:
    if facts.request is None:  # said here too: no other variable is asked for so often
        raise Absent
    return path_of(facts.request.target)


def _first(table: str, name: str) -> Getter:
    def value(facts: Facts) -> object:
        found = lookup(table, name, facts)
        return found[0] if found else ""

    return value


def _status(facts: Facts) -> object:
    return facts.response.status if facts.response is not None else None


_MESSAGES: Final[dict[str, Getter]] = {
    "req.method": lambda facts: _request(facts).method,
    "req.version": lambda facts: _request(facts).version,
    "req.host": lambda facts: _parts(facts).hostname,
    "req.url.path": _path,
    "req.user_agent": _first("req.headers", "user-agent"),
    "req.ts.header_received": lambda facts: moment(_request(facts).received),
    "req.ts.body_received": lambda facts: moment(_request(facts).body_received),
    "res.status_code": _status,
}


def _content(prefix: str) -> dict[str, Getter]:
    """Return the variables that requests and responses have both."""
    headers = f"{prefix}.headers"
    raw = _first(headers, "content-type")
    return {
        f"{prefix}.location": _first(headers, "location"),
        f"{prefix}.content_length": lambda facts: _length(lookup(headers, "content-length", facts)),
        f"{prefix}.content_encoding": lambda facts: _listed(lookup(headers, "content-encoding", facts)),
        f"{prefix}.content_type": lambda facts: media_type(str(raw(facts)))[0],
        f"{prefix}.content_type.raw": raw,
        f"{prefix}.content_type.parameters": lambda facts: media_type(str(raw(facts)))[1],
    }


def _length(values: list[object]) -> int | None:
    text = str(values[0]).strip() if values else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def _listed(values: list[object]) -> list[str]:
    return [part for value in values for each in str(value).split(",") if (part := each.strip().lower())]


def _parts(facts: Facts) -> Parts:
    request = _request(facts)
    return _cached_parts(request.scheme, request.authority, request.target)


@lru_cache(maxsize=64)
def _cached_parts(scheme: str, authority: str, target: str) -> Parts:
    return parts_of(scheme, authority, target)


_URL: Final[dict[str, Callable[[Parts], object]]] = {
    "": lambda parts: parts.url,
    "scheme": lambda parts: parts.scheme,
    "host": lambda parts: parts.hostname,
    "authority": lambda parts: parts.authority,
    "query": lambda parts: parts.query,
    "uri": lambda parts: parts.uri,
    "raw": lambda parts: parts.raw,
    "raw_path": lambda parts: parts.raw_path,
    "user_password": lambda parts: parts.user_password,
    "port": lambda parts: parts.port,
}


def _of_url(get: Callable[[Parts], object]) -> Getter:
    return lambda facts: get(_parts(facts))


_AGENT: Final = (
    "name", "version", "os", "os_version", "device", "url", "is_mobile", "is_tablet", "is_desktop", "is_bot",
)  # fmt: skip


def _of_agent(name: str) -> Getter:
    raw = _first("req.headers", "user-agent")

    def value(facts: Facts) -> object:
        agent: UserAgent = read_user_agent(str(raw(facts)))
        return getattr(agent, name)

    return value


# -- geography


def _geographic(name: str, scope: Scope) -> object:
    side = scope.facts.connection
    address = side.server_ip if name.startswith("conn.server_ip.") else side.client_ip
    geo = scope.geo(address) if scope.geo is not None else _NOTHING
    path = name.removeprefix("conn.geo.") if name.startswith("conn.geo.") else ""
    if path:
        return getattr(geo.location, path)
    rest = name.removeprefix("conn.client_ip.").removeprefix("conn.server_ip.")
    return _of_geo(rest, geo)


def _of_geo(rest: str, geo: Geo) -> object:
    match rest:
        case "as.number":
            if geo.as_number is None:
                raise Absent
            return geo.as_number
        case "as.organization":
            return geo.as_organization
        case "categories":
            return _with_parents(geo.categories)
        case "is_on_blocklist":
            return any(each.startswith("blocklist.") for each in geo.categories)
        case "is_tor_node":
            return "proxy.anonymous.tor" in _with_parents(geo.categories)
        case _:
            place: Place = geo.location if rest.startswith("geo.location.") else geo.registered
            return getattr(place, rest.rpartition(".")[2])


def _with_parents(categories: tuple[str, ...]) -> list[str]:
    """An address in ``a.b.c`` is also in ``a`` and in ``a.b``."""
    found: dict[str, None] = {}
    for each in categories:
        words = each.split(".")
        for count in range(1, len(words) + 1):
            found[".".join(words[:count])] = None
    return list(found)
