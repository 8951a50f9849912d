"""Version 2 of the file: options at the top, ``tunnels`` by name.

A tunnel's option is the long flag's name with underscores, nested where a flag family is.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from portway.agent.config import modules
from portway.agent.config.document import Problems
from portway.agent.config.model import EndpointConfig, Proto, Termination
from portway.agent.config.values import (
    Reader,
    at_most,
    boolean,
    fields,
    number,
    one_at_most,
    one_of,
    path,
    proxy_protocol,
    some_of,
    text,
    texts,
)
from portway.codec.document import Node
from portway.errors import ConfigError, Error, PortwayError

BINDINGS: Final = ("public", "internal", "kubernetes")
OLD_NAMES: Final = {
    "auth": "renamed: say basic_auth, or run `portway config upgrade`",
    "bind_tls": "renamed: say schemes, or run `portway config upgrade`",
    "region": "a tunnel has none; take the line out",
}
_SCHEMES: Final[Mapping[str, tuple[str, ...]]] = {"http": ("http", "https"), "tcp": ("tcp",), "tls": ("tls",)}
"""Of whose URLs an endpoint may have one."""


def policy(node: Node, problems: Problems) -> str | None:
    """Read a traffic policy: a map, or its text."""
    return text(node, problems) if node.kind == "scalar" else node.json()


def _nested(**known: Reader) -> Reader:
    return lambda node, problems: fields(node, known, problems)


_LOGIN: Final[dict[str, Reader]] = {
    "client_id": text,
    "client_secret": text,
    "allow_domains": texts,
    "allow_emails": texts,
    "scopes": texts,
}

COMMON: Final[dict[str, Reader]] = {
    "addr": text,
    "proto": one_of("http", "tcp", "tls"),
    "name": at_most(255, "characters"),
    "description": at_most(255, "characters"),
    "metadata": at_most(4096),
    "url": text,
    "inspect": boolean,
    "proxy_proto": proxy_protocol,
    "upstream_proxy_protocol": proxy_protocol,
    "ip_restriction": _nested(allow_cidrs=texts, deny_cidrs=texts),
    "traffic_policy": policy,
    "policy": policy,
    "traffic_policy_file": path,
    "policy_file": path,
    "traffic_policy_url": text,
    "pooling_enabled": boolean,
    "binding": one_of(*BINDINGS),
    "bindings": some_of(*BINDINGS),
}
_NAMES: Final[dict[str, Reader]] = {"domain": text, "hostname": text, "subdomain": text}
_UPSTREAM_TLS: Final[dict[str, Reader]] = {
    "upstream_tls_verify": boolean,
    "upstream_tls_verify_cas": path,
    "verify_upstream_tls": boolean,
    "upstream_ca_path": path,
}
_PROTOCOL: Final[dict[str, Reader]] = {
    "app_protocol": one_of("http1", "http2"),
    "upstream_protocol": one_of("http1", "http2"),
}
_HEADERS: Final = _nested(add=texts, remove=texts)

HTTP: Final[dict[str, Reader]] = {
    **COMMON,
    **_NAMES,
    **_UPSTREAM_TLS,
    **_PROTOCOL,
    "schemes": some_of("http", "https"),
    "host_header": text,
    "basic_auth": texts,
    "circuit_breaker": number,
    "compression": boolean,
    "mutual_tls_cas": path,
    "oauth": _nested(provider=text, **_LOGIN),
    "oidc": _nested(issuer_url=text, issuer=text, **_LOGIN),
    "request_header": _HEADERS,
    "response_header": _HEADERS,
    "user_agent_filter": _nested(allow=texts, deny=texts),
    "verify_webhook": _nested(provider=text, secret=text),
    "websocket_tcp_converter": boolean,
}
TCP: Final[dict[str, Reader]] = {**COMMON, "remote_addr": text}
TLS: Final[dict[str, Reader]] = {
    **COMMON,
    **_NAMES,
    **_UPSTREAM_TLS,
    "mutual_tls_cas": path,
    "crt": path,
    "key": path,
    "terminate_at": one_of("edge", "agent", "upstream"),
}
LABELLED: Final[dict[str, Reader]] = {
    "addr": text,
    "labels": texts,
    "metadata": at_most(4096),
    "inspect": boolean,
    "crt": path,
    "key": path,
    **_PROTOCOL,
}
FIELDS: Final[Mapping[str, dict[str, Reader]]] = {"http": HTTP, "tcp": TCP, "tls": TLS}


def read_tunnel(name: str, node: Node, problems: Problems) -> tuple[EndpointConfig, ...]:
    """Read one tunnel; one that is wrong is no endpoint."""
    if node.kind != "map":
        problems.add(node, "a tunnel is a map with `proto` and `addr`")
        return ()
    if "labels" in node.entries:
        return _read_labelled(name, node, problems)
    proto = node.entries.get("proto")
    if proto is None or proto.text not in FIELDS:
        problems.add(proto or node, "`proto` is needed: http, tcp or tls (ERR_NGROK_394)")
        return ()
    said = fields(node, FIELDS[proto.text], problems, OLD_NAMES)
    if not said.get("addr"):
        problems.add(node, "`addr` is needed: a port, host:port or a URL of the upstream")
        return ()
    for names in (
        ("domain", "hostname", "subdomain", "url"),
        ("remote_addr", "url"),
        ("bindings", "binding"),
    ):
        one_at_most(node, names, problems)
    one_at_most(
        node,
        ("traffic_policy", "policy", "traffic_policy_file", "policy_file", "traffic_policy_url"),
        problems,
    )
    try:
        return tuple(endpoints_of(name, proto.text, said, node.place))
    except PortwayError as error:
        problems.add(node, getattr(error, "message", str(error)))
        return ()


def _read_labelled(name: str, node: Node, problems: Problems) -> tuple[EndpointConfig, ...]:
    said = fields(
        node, LABELLED, problems, dict.fromkeys(HTTP, "a tunnel with labels has none: its edge has")
    )
    if not said.get("addr"):
        problems.add(node, "`addr` is needed: a port, host:port or a URL of the upstream")
        return ()
    one_at_most(node, ("app_protocol", "upstream_protocol"), problems)
    try:
        return (labelled(name, said, node.place),)
    except PortwayError as error:
        problems.add(node.entries["labels"], getattr(error, "message", str(error)))
        return ()


def labelled(name: str, said: Mapping[str, Any], place: str = "") -> EndpointConfig:
    """Make an endpoint of an edge, from a file or from flags. Raises Error 357 for labels that are none."""
    return EndpointConfig(
        name=name,
        upstream=str(said["addr"]),
        metadata=said.get("metadata") or "",
        inspect=bool(said.get("inspect", True)),
        upstream_protocol=said.get("upstream_protocol") or said.get("app_protocol"),
        termination=_termination({**said, "terminate_at": "agent" if said.get("crt") else None}),
        labels=labels_of(said.get("labels") or ()),
        place=place,
    )


def labels_of(given: Iterable[str]) -> dict[str, str]:
    """Read labels, each ``KEY=VALUE``. Raises Error 357 for none, and for what is none."""
    found: dict[str, str] = {}
    for each in given:
        key, _, value = each.partition("=")
        if not (key and value):
            raise Error(f"the label {each!r} is not written KEY=VALUE", 357)
        found[key] = value
    if not found:
        raise Error("a tunnel with labels needs at least one, KEY=VALUE", 357)
    return found


def endpoints_of(name: str, proto: str, said: Mapping[str, Any], place: str = "") -> Iterable[EndpointConfig]:
    """Make the endpoints of a tunnel, from a file or from flags. Raises ConfigError or Error."""
    kind: Proto = "http" if proto == "http" else "tcp" if proto == "tcp" else "tls"
    subdomain = str(said.get("subdomain") or "")
    addresses = _addresses(kind, said)
    for number_, url in enumerate(addresses):
        yield EndpointConfig(
            name=name if number_ == 0 else f"{name} ({url.partition(':')[0]})",
            proto=kind,
            upstream=str(said["addr"]),
            url=url,
            description=said.get("description") or "",
            metadata=said.get("metadata") or "",
            bindings=tuple(said.get("bindings") or ((said["binding"],) if said.get("binding") else ())),
            pooling_enabled=bool(said.get("pooling_enabled")),
            inspect=bool(said.get("inspect", True)),
            traffic_policy=said.get("traffic_policy") or said.get("policy") or "",
            traffic_policy_file=said.get("traffic_policy_file") or said.get("policy_file"),
            traffic_policy_url=said.get("traffic_policy_url") or "",
            upstream_protocol=said.get("upstream_protocol") or said.get("app_protocol"),
            proxy_protocol=said.get("upstream_proxy_protocol") or said.get("proxy_proto") or "",
            tls_verify=bool(said.get("upstream_tls_verify") or said.get("verify_upstream_tls")),
            tls_verify_cas=said.get("upstream_tls_verify_cas") or said.get("upstream_ca_path"),
            modules=modules.joined({"Subdomain": subdomain} if subdomain else {}, _modules(kind, said)),
            termination=_termination(said),
            place=place,
        )


def _addresses(proto: Proto, said: Mapping[str, Any]) -> list[str]:
    """Return the URLs to ask for; "" where the name is said by an option of its own, or random."""
    url = str(said.get("url") or "")
    scheme = url.partition("://")[0].lower() if "://" in url else ""
    if scheme not in _SCHEMES[proto] and any(scheme in each for each in _SCHEMES.values()):
        raise Error(f"the URL {url!r} is not one of {proto}", 9036)
    if url:
        return [url if "://" in url or proto == "http" else f"{proto}://{url}"]
    if proto == "tcp":
        return [f"tcp://{said['remote_addr']}" if said.get("remote_addr") else "tcp://"]
    host = str(said.get("domain") or said.get("hostname") or "")
    bare = host.partition("://")[2] if "://" in host else host
    schemes = tuple(dict.fromkeys(said.get("schemes") or ())) if proto == "http" else ("tls",)
    if proto == "http" and not schemes:
        return [host]
    return [f"{scheme}://{bare}" for scheme in sorted(schemes, reverse=True)]


def _modules(proto: Proto, said: Mapping[str, Any]) -> modules.Module:
    restriction = _part(said, "ip_restriction")
    common = modules.ip_restriction(restriction.get("allow_cidrs") or (), restriction.get("deny_cidrs") or ())
    if proto == "tcp":
        return common
    if proto == "tls":
        return modules.joined(common, _ended_at_edge(said))
    request, response = _part(said, "request_header"), _part(said, "response_header")
    agents, hook = _part(said, "user_agent_filter"), _part(said, "verify_webhook")
    cas = said.get("mutual_tls_cas")
    return modules.joined(
        common,
        modules.basic_auth(said.get("basic_auth") or ()),
        modules.circuit_breaker(said.get("circuit_breaker")),
        modules.compression(bool(said.get("compression"))),
        modules.websocket_converter(bool(said.get("websocket_tcp_converter"))),
        modules.host_header(said.get("host_header") or "", str(said["addr"])),
        modules.headers("Request", request.get("add") or (), request.get("remove") or ()),
        modules.headers("Response", response.get("add") or (), response.get("remove") or ()),
        modules.user_agent_filter(agents.get("allow") or (), agents.get("deny") or ()),
        modules.webhook(hook.get("provider") or "", hook.get("secret") or ""),
        modules.oauth(**_login(_part(said, "oauth"), "provider")),
        modules.oidc(**_login(_part(said, "oidc"), "issuer")),
        modules.mutual_tls("http", [cas] if cas else [], at_edge=True),
    )


def _part(said: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", said.get(name) or {})


def _login(said: Mapping[str, Any], whom: str) -> dict[str, Any]:
    return {
        whom: said.get(whom) or said.get("issuer_url") or "",
        "client_id": said.get("client_id") or "",
        "client_secret": said.get("client_secret") or "",
        "emails": said.get("allow_emails") or (),
        "domains": said.get("allow_domains") or (),
        "scopes": said.get("scopes") or (),
    }


def terminates_at(said: Mapping[str, Any]) -> str:
    """Return where visitors' TLS ends. Raises ConfigError for a certificate without its key."""
    certificate, key = said.get("crt"), said.get("key")
    if (certificate is None) != (key is None):
        raise ConfigError("crt and key go together: give both or none")
    return str(said.get("terminate_at") or ("agent" if certificate is not None else "upstream"))


def _ended_at_edge(said: Mapping[str, Any]) -> modules.Module:
    where, cas = terminates_at(said), said.get("mutual_tls_cas")
    ended = modules.tls_termination(said.get("crt"), said.get("key")) if where == "edge" else {}
    return modules.joined(ended, modules.mutual_tls("tls", [cas] if cas else [], at_edge=where == "edge"))


def _termination(said: Mapping[str, Any]) -> Termination | None:
    if terminates_at(said) != "agent":
        return None
    if said.get("crt") is None:
        raise ConfigError("terminate_at: agent needs crt and key")
    cas = said.get("mutual_tls_cas")
    return Termination(certificate=said["crt"], key=said["key"], authorities=(cas,) if cas else ())
