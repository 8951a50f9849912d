"""The methods of ngrok's Python client for edges, modules, routes and backends, on a real service."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from tests.kit.x509 import make

if TYPE_CHECKING:
    from tests.kit.client_methods import Run

TEXTS: Final = {"description": "a text", "metadata": "m"}
POLICY: Final = "on_tcp_connect: [{actions: [{type: deny}]}]"
HTTP_POLICY: Final = "on_http_request: [{actions: [{type: deny}]}]"
OIDC: Final = {"issuer": "https://id.example.org", "client_id": "c", "client_secret": "s"}

Values = Mapping[str, Mapping[str, Any]]
"""What is written of each module; None for a module that is refused, and with which code."""


def edges(run: "Run") -> None:
    """Act all of it out."""
    group = _backends(run)
    policy = run.client("ip_policies.create")["id"]
    authority = run.client("certificate_authorities.create", ca_pem=make(ca=True).pem)["id"]
    domain = run.client("reserved_domains.create", domain=f"edge.{run.service.bootstrap.domain}")
    common: dict[str, Mapping[str, Any]] = {
        "backend": {"backend_id": group},
        "ip_restriction": {"ip_policy_ids": [policy]},
        "traffic_policy": {"value": POLICY},
        "tls_termination": {"min_version": "1.3"},
        "mutual_tls": {"certificate_authority_ids": [authority]},
    }
    addr = run.client("reserved_addrs.create")["addr"]
    tcp = _edge(run, "tcp", [addr])
    tls = _edge(run, "tls", [])
    https = _edge(run, "https", [f"{domain['domain']}:443"])
    for kind, edge_id, names in (
        ("tcp", tcp, ("backend", "ip_restriction", "traffic_policy")),
        ("tls", tls, ("backend", "ip_restriction", "traffic_policy", "tls_termination", "mutual_tls")),
        ("https", https, ("tls_termination", "mutual_tls")),
    ):
        for name in names:
            _module(run, f"edge_modules.{kind}_edge_{name}", common[name], id=edge_id)
    _routes(run, https, common)
    run.call("edge_modules.tls_edge_tls_termination.delete", id=tls)
    for kind, edge_id in (("tcp", tcp), ("tls", tls), ("https", https)):
        run.call(f"edges.{kind}.delete", id=edge_id)
        run.refused(f"edges.{kind}.get", 0, id=edge_id)
    run.call("backends.tunnel_group.delete", id=group)


def _backends(run: "Run") -> str:
    """Make one of each kind; return the tunnel group, which is left."""
    kinds: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("tunnel_group", {"labels": {"a": "b"}}, {"labels": {"a": "c"}}),
        ("http_response", {"body": "hi", "headers": {"x-a": "b"}, "status_code": 200}, {"status_code": 404}),
        ("static_address", {"address": "db.example.org:5432", "tls": {"enabled": True}}, {"metadata": "n"}),
    ]
    group = ""
    for kind, create, change in kinds:
        made = _made(run, f"backends.{kind}", create, change)
        group = group or made
    children: list[tuple[str, dict[str, Any]]] = [
        ("failover", {"backends": [group]}),
        ("weighted", {"backends": {group: 10}}),
    ]
    for kind, create in children:
        _made(run, f"backends.{kind}", create, {"description": "new"})
    run.refused("backends.tunnel_group.delete", 6502, id=group)
    for kind in ("http_response", "static_address", "failover", "weighted"):
        (left,) = run.call(f"backends.{kind}.list")["backends"]
        run.call(f"backends.{kind}.delete", id=left["id"])
        run.refused(f"backends.{kind}.get", 0, id=left["id"])
    return group


def _made(run: "Run", noun: str, create: Mapping[str, Any], change: Mapping[str, Any]) -> str:
    """Create, get, list and change; return the identifier."""
    made = run.call(f"{noun}.create", **{**create, **TEXTS})
    assert run.call(f"{noun}.get", id=made["id"]) == made
    answer: dict[str, Any] = run.call(f"{noun}.list")
    assert any(isinstance(each, list) and made in each for each in answer.values())
    assert made in run.client.iterate(f"{noun}.list")
    changed = run.call(f"{noun}.update", id=made["id"], **change)
    kept = set(create) - set(change)
    assert {name: changed[name] for name in kept} == {name: made[name] for name in kept}, "the rest stays"
    return str(made["id"])


def _edge(run: "Run", kind: str, hostports: list[str]) -> str:
    edge_id = _made(run, f"edges.{kind}", {"hostports": hostports}, {"description": "new"})
    assert run.client(f"edges.{kind}.get", id=edge_id)["hostports"] == hostports
    return edge_id


def _module(run: "Run", noun: str, module: Mapping[str, Any], **place: str) -> None:
    """Write a module, read it, take it away."""
    run.refused(f"{noun}.get", 0, **place)
    made = run.call(f"{noun}.replace", **place, module=dict(module))
    assert made["enabled"] is True
    assert run.call(f"{noun}.get", **place) == made
    if noun != "edge_modules.tls_edge_tls_termination":  # mutual TLS, which comes next, needs it
        run.call(f"{noun}.delete", **place)


def _routes(run: "Run", edge_id: str, common: Values) -> None:
    """Act a route out, and each of its modules."""
    route = run.call(
        "edges.https_routes.create", edge_id=edge_id, match_type="path_prefix", match="/", **TEXTS
    )
    place = {"edge_id": edge_id, "id": route["id"]}
    assert run.call("edges.https_routes.get", **place) == route
    changed = run.call("edges.https_routes.update", **place, metadata="new")
    assert (changed["match"], changed["metadata"]) == ("/", "new")
    values: dict[str, Mapping[str, Any]] = {
        **{name: common[name] for name in ("backend", "ip_restriction")},
        "traffic_policy": {"value": HTTP_POLICY},
        "circuit_breaker": {"error_threshold_percentage": 0.5},
        "compression": {"enabled": True},
        "request_headers": {"add": {"x-a": "b"}},
        "response_headers": {"remove": ["x-a"]},
        "user_agent_filter": {"allow": ["a"]},
        "webhook_verification": {"provider": "github", "secret": "s"},
        "websocket_tcp_converter": {"enabled": True},
        "oauth": {"provider": {"google": {"client_id": "c", "client_secret": "s"}}},
        "oidc": OIDC,
    }
    for name, value in values.items():
        _module(run, f"edge_modules.https_edge_route_{name}", value, **place)
    saml = "edge_modules.https_edge_route_saml"
    run.refused(f"{saml}.replace", 2201, **place, module={"idp_metadata": "<x/>"})
    run.refused(f"{saml}.get", 0, **place)
    run.refused(f"{saml}.delete", 0, **place)
    run.passed |= {f"{saml}.{verb}": "refused: there is no SAML" for verb in ("replace", "get", "delete")}
    run.call("edges.https_routes.delete", **place)
    run.refused("edges.https_routes.get", 0, **place)
