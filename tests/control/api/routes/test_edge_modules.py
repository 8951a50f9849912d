"""Modules of edges and routes by themselves: each written, read and taken away on its own path."""

from pathlib import Path
from typing import Any

import pytest
from tests.kit.api import Api
from tests.kit.tenants import two_apis
from tests.kit.x509 import make

from portway.model.modules import EDGE_MODULES, ROUTE_MODULES


async def written(api: Api) -> dict[str, dict[str, Any]]:
    """Return something to write for each module that is carried out without further settings."""
    backend = (await api.post("/backends/tunnel_group", {"labels": {"a": "b"}}))["id"]
    policy = (await api.post("/ip_policies", {}))["id"]
    authority = (await api.post("/certificate_authorities", {"ca_pem": make(ca=True).pem}))["id"]
    return {
        "backend": {"backend_id": backend},
        "ip_restriction": {"ip_policy_ids": [policy]},
        "tls_termination": {"min_version": "1.3"},
        "mutual_tls": {"certificate_authority_ids": [authority]},
        "traffic_policy": {"value": ""},
        "circuit_breaker": {"error_threshold_percentage": 0.3, "volume_threshold": 5},
        "compression": {},
        "request_headers": {"add": {"x-a": "b"}, "remove": ["x-c"]},
        "response_headers": {"add": {"x-a": "b"}, "remove": []},
        "user_agent_filter": {"allow": ["a.*"], "deny": []},
    }


async def _acted(api: Api, place: str, name: str, value: dict[str, Any]) -> None:
    assert (await api.get(f"{place}/{name}")).status == 404, name
    put = await api.send("PUT", f"{place}/{name}", value)
    assert put.status == 200, (name, put.json)
    assert put["enabled"] is True
    for field in value:
        if not field.endswith(("_id", "_ids")):
            assert put[field] == value[field], name
    assert (await api.get(f"{place}/{name}")).json == put.json
    assert (await api.get(place))[name] == put.json
    off = await api.send("PUT", f"{place}/{name}", value | {"enabled": False})
    assert off.json == put.json | {"enabled": False}


@pytest.mark.row("T-084", "ED-01")
async def test_modules_are_written_read_and_taken_away(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, ben):
        values = await written(ann)
        for kind in ("tcp", "tls", "https"):
            place = f"/edges/{kind}/{(await ann.post(f'/edges/{kind}', {}))['id']}"
            names = sorted(EDGE_MODULES[kind], key=lambda name: name == "mutual_tls")
            for name in names:
                await _acted(ann, place, name, values[name])
                for verb, body in (("GET", None), ("PUT", values[name]), ("DELETE", None)):
                    assert (await ben.send(verb, f"{place}/{name}", body)).status == 404, (verb, name)
            for name in reversed(names):
                assert (await ann.send("DELETE", f"{place}/{name}")).status == 204
                assert (await ann.send("DELETE", f"{place}/{name}")).status == 404
        edge = f"/edges/https/{(await ann.post('/edges/https', {}))['id']}"
        route = (await ann.post(f"{edge}/routes", {"match_type": "path_prefix", "match": "/"}))["id"]
        place = f"{edge}/routes/{route}"
        for name in ROUTE_MODULES:
            if name in values:
                await _acted(ann, place, name, values[name])
                assert (await ann.send("DELETE", f"{place}/{name}")).status == 204
                assert (await ann.get(f"{place}/{name}")).status == 404


async def test_nothing_to_write_needs_no_body(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, _):
        edge = f"/edges/https/{(await ann.post('/edges/https', {}))['id']}"
        route = (await ann.post(f"{edge}/routes", {"match_type": "path_prefix", "match": "/"}))["id"]
        assert (await ann.send("PUT", f"{edge}/routes/{route}/compression")).json == {"enabled": True}
        refused = await ann.send("PUT", f"{edge}/routes/{route}/saml", {"idp_metadata": "<x/>"})
        assert refused.code == 2201
