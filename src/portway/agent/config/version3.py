"""Version 3 of the file: options under ``agent``, ``endpoints`` as a list."""

from typing import Any, Final

from portway.agent.config.document import Problems
from portway.agent.config.model import EndpointConfig, Termination
from portway.agent.config.values import (
    Reader,
    at_most,
    boolean,
    fields,
    one_at_most,
    one_of,
    path,
    pem,
    pems,
    proxy_protocol,
    some_of,
    text,
    text_or_none,
)
from portway.agent.config.version2 import BINDINGS, policy
from portway.codec.document import Node


def _url(node: Node, problems: Problems) -> str | None:
    """Read a URL; a list of one is taken too."""
    if node.kind == "list" and len(node.items) == 1:
        return text_or_none(node.items[0], problems)
    return text_or_none(node, problems)


UPSTREAM: Final[dict[str, Reader]] = {
    "url": text,
    "protocol": one_of("http1", "http2"),
    "proxy_protocol": proxy_protocol,
    "tls_verify": boolean,
    "tls_verify_cas": path,
}


def _upstream(node: Node, problems: Problems) -> dict[str, Any] | None:
    """Read an upstream; what is wrong with it is noted once."""
    if node.kind == "scalar":
        problems.add(node, "an upstream is a map; write {url: …} around it")
        return None
    said = fields(node, UPSTREAM, problems)
    url = node.entries.get("url")
    if node.kind == "map" and (url is None or (url.kind == "scalar" and not url.text)):
        problems.add(node, _NO_URL)
    return said


TERMINATION: Final[dict[str, Reader]] = {
    "server_certificate": pem,
    "server_private_key": pem,
    "mutual_tls_certificate_authorities": pems,
}
ENDPOINT: Final[dict[str, Reader]] = {
    "name": at_most(255, "characters"),
    "url": _url,
    "upstream": _upstream,
    "bindings": some_of(*BINDINGS),
    "metadata": at_most(4096),
    "description": at_most(255, "characters"),
    "pooling_enabled": boolean,
    "inspect": boolean,
    "traffic_policy": policy,
    "traffic_policy_file": path,
    "traffic_policy_url": text,
    "agent_tls_termination": lambda node, problems: fields(node, TERMINATION, problems),
}
_NO_URL: Final = "`upstream.url` is needed: a port, host:port or a URL"
OLD_NAMES: Final = {
    "addr": "in version 3 it is upstream: {url: …}",
    "proto": "in version 3 the scheme of url says it",
    "domain": "in version 3 it is part of url",
    "remote_addr": "in version 3 it is url: tcp://HOST:PORT",
    "policy": "in version 3 it is traffic_policy",
}
POLICIES: Final = ("traffic_policy", "traffic_policy_file", "traffic_policy_url")


def read_endpoints(node: Node, problems: Problems) -> dict[str, tuple[EndpointConfig, ...]]:
    """Read the list of endpoints, by name."""
    found: dict[str, tuple[EndpointConfig, ...]] = {}
    if node.kind != "list":
        if not node.is_null:
            problems.add(node, "a list is wanted: each endpoint begins with `- name: …`")
        return found
    seen: dict[str, Node] = {}
    for item in node.items:
        endpoint = read_endpoint(item, problems)
        if endpoint is None:
            continue
        if endpoint.name in seen:
            first = seen[endpoint.name].line
            problems.add(
                item.entries["name"],
                f"another endpoint, on line {first}, is called {endpoint.name!r}; names are unique",
            )
        seen.setdefault(endpoint.name, item)
        found[endpoint.name] = (endpoint,)
    return found


def read_endpoint(node: Node, problems: Problems) -> EndpointConfig | None:
    """Read one endpoint; None when it is wrong."""
    if node.kind != "map":
        problems.add(node, "an endpoint is a map with `name` and `upstream`")
        return None
    said = fields(node, ENDPOINT, problems, OLD_NAMES)
    one_at_most(node, POLICIES, problems)
    upstream: dict[str, Any] = said.get("upstream") or {}
    if not said.get("name"):
        problems.add(node, "`name` is needed: `portway start` calls the endpoint by it")
        return None
    if not upstream.get("url"):
        if "upstream" not in node.entries or node.entries["upstream"].is_null:
            problems.add(node, _NO_URL)
        return None
    bindings = tuple(said.get("bindings") or ())
    if len(bindings) > 1:
        problems.add(node.entries["bindings"], "an endpoint has exactly one binding; give one")
    url = str(said.get("url") or "")
    scheme = url.partition("://")[0].lower() if "://" in url else "https"
    if scheme not in ("http", "https", "tcp", "tls"):
        problems.add(
            node.entries["url"], f"{scheme!r} is no scheme of endpoints; use http, https, tcp or tls"
        )
        return None
    return EndpointConfig(
        name=said["name"],
        proto="tcp" if scheme == "tcp" else "tls" if scheme == "tls" else "http",
        upstream=upstream["url"],
        url=url,
        description=said.get("description") or "",
        metadata=said.get("metadata") or "",
        bindings=bindings,
        pooling_enabled=bool(said.get("pooling_enabled")),
        inspect=bool(said.get("inspect", True)),
        traffic_policy=said.get("traffic_policy") or "",
        traffic_policy_file=said.get("traffic_policy_file"),
        traffic_policy_url=said.get("traffic_policy_url") or "",
        upstream_protocol=upstream.get("protocol"),
        proxy_protocol=upstream.get("proxy_protocol") or "",
        tls_verify=bool(upstream.get("tls_verify")),
        tls_verify_cas=upstream.get("tls_verify_cas"),
        termination=_termination(node, said, scheme, problems),
        place=node.place,
    )


def _termination(node: Node, said: dict[str, Any], scheme: str, problems: Problems) -> Termination | None:
    given = node.entries.get("agent_tls_termination")
    if given is None or given.is_null:
        return None
    if scheme != "tls":
        problems.add(given, "only an endpoint whose url is tls://… can end TLS at the agent")
        return None
    ends: dict[str, Any] = said.get("agent_tls_termination") or {}
    certificate, key = ends.get("server_certificate"), ends.get("server_private_key")
    if certificate is None or key is None:
        problems.add(given, "server_certificate and server_private_key are needed, both")
        return None
    authorities = ends.get("mutual_tls_certificate_authorities") or ()
    return Termination(certificate=certificate, key=key, authorities=tuple(authorities))
