"""The API's edges: made, shown, changed; what they have is exclusive."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from tests.kit.api import Api
from tests.kit.live import live_endpoint, tell
from tests.kit.tenants import is_private, two_apis
from tests.kit.x509 import make


@pytest.fixture
async def apis(tmp_path: Path) -> AsyncGenerator[tuple[Api, Api]]:
    async with two_apis(tmp_path) as pair:
        yield pair


@pytest.fixture
def ann(apis: tuple[Api, Api]) -> Api:
    return apis[0]


async def address(api: Api) -> str:
    return str((await api.post("/reserved_addrs", {}))["addr"])


async def made(api: Api, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await api.post(path, body)
    assert answer.status == 201, answer.json
    return dict(answer.json)


@pytest.mark.row("T-080", "T-084", "T-085", "T-086", "ED-01")
async def test_one_step_makes_an_edge_with_its_address_and_its_backend(ann: Api) -> None:
    edge = await made(ann, "/edges/tcp?whole=true", {"description": "ssh", "metadata": "m"})
    (hostport,) = edge["hostports"]
    (addr,) = (await ann.get("/reserved_addrs"))["reserved_addrs"]
    assert addr["addr"] == hostport
    backend = (await ann.get(f"/backends/tunnel_group/{edge['backend']['backend']['id']}")).json
    assert backend["labels"] == {"edge": edge["id"]}
    assert backend["tunnels"] == []
    assert edge == {
        "id": edge["id"],
        "uri": f"{ann.context.settings.api_url}/edges/tcp/{edge['id']}",
        "created_at": edge["created_at"],
        "description": "ssh",
        "metadata": "m",
        "hostports": [hostport],
        "backend": {"enabled": True, "backend": {"id": backend["id"], "uri": backend["uri"]}},
        "ip_restriction": None,
        "traffic_policy": None,
    }


POLICY = "on_tcp_connect: [{actions: [{type: deny}]}]"


@pytest.mark.row("T-080", "T-081", "T-083", "T-084", "ED-01", "ED-08", "ED-09")
async def test_a_tcp_edge_from_beginning_to_end(ann: Api) -> None:
    one, two = await address(ann), await address(ann)
    backend = await made(ann, "/backends/tunnel_group", {"labels": {"a": "b"}})
    policy = await made(ann, "/ip_policies", {})
    edge = await made(
        ann,
        "/edges/tcp",
        {
            "hostports": [one, two],
            "backend": {"backend_id": backend["id"]},
            "ip_restriction": {"enabled": False, "ip_policy_ids": [policy["id"]]},
            "traffic_policy": {"value": POLICY},
        },
    )
    place = f"/edges/tcp/{edge['id']}"
    assert edge["hostports"] == [one, two]
    assert edge["ip_restriction"] == {
        "enabled": False,
        "ip_policies": [
            {"id": policy["id"], "uri": f"{ann.context.settings.api_url}/ip_policies/{policy['id']}"}
        ],
    }
    assert edge["traffic_policy"] == {"enabled": True, "value": POLICY}
    assert (await ann.get(place)).json == edge
    listed = (await ann.get("/edges/tcp")).json
    assert listed == {
        "tcp_edges": [edge], "uri": f"{ann.context.settings.api_url}/edges/tcp", "next_page_uri": None,
    }  # fmt: skip
    endpoints = (await ann.get("/endpoints"))["endpoints"]
    assert {each["url"] for each in endpoints} == {f"tcp://{one}", f"tcp://{two}"}
    assert {each["type"] for each in endpoints} == {"edge"}
    assert {each["edge"]["id"] for each in endpoints} == {edge["id"]}
    kept = next(each for each in endpoints if each["url"] == f"tcp://{two}")
    assert (await ann.get(f"/endpoints/{kept['id']}")).json == kept
    assert (await ann.send("PATCH", f"/endpoints/{kept['id']}", {"description": "x"})).code == 248
    assert (await ann.send("DELETE", f"/reserved_addrs/{kept['tcp_addr']['id']}")).code == 251
    changed = await ann.send("PATCH", place, {"hostports": [two], "description": "new"})
    assert (changed.status, changed["hostports"], changed["description"]) == (200, [two], "new")
    assert changed["backend"] == edge["backend"]
    assert (await ann.get("/endpoints"))["endpoints"] == [kept], "what is kept stays the same endpoint"
    assert (await ann.send("DELETE", f"/backends/tunnel_group/{backend['id']}")).code == 6502
    assert (await ann.send("PATCH", place, {"hostports": []}))["hostports"] == []
    assert (await ann.send("DELETE", place)).status == 204
    assert (await ann.send("DELETE", place)).status == 404
    assert (await ann.send("DELETE", f"/backends/tunnel_group/{backend['id']}")).status == 204


@pytest.mark.row("T-090", "T-084")
async def test_a_tcp_edge_has_no_module_of_http(ann: Api) -> None:
    for name in ("compression", "oauth", "circuit_breaker", "tls_termination", "routes"):
        assert (await ann.post("/edges/tcp", {name: {}})).code == 214, name
        assert (await ann.send("PUT", "/edges/tcp/edgtcp_1/compression", {})).status == 404


@pytest.mark.row("T-082", "ED-03")
async def test_an_address_is_exclusive(apis: tuple[Api, Api]) -> None:
    ann, ben = apis
    one, two, foreign = await address(ann), await address(ann), await address(ben)
    await made(ann, "/edges/tcp", {"hostports": [one]})
    other = await made(ann, "/edges/tcp", {})
    place = f"/edges/tcp/{other['id']}"
    tell(ann.context, live_endpoint(ann.account_id, url=f"tcp://{two}"))
    host = two.rpartition(":")[0]
    domain = await made(ann, "/reserved_domains", {"domain": "shop.example.org"})
    await made(ben, "/reserved_domains", {"domain": "ben.example.org"})
    for hostport, code in (
        (one, 7122), (two, 7132), (foreign, 7114), (f"{host}:1", 7113), ("localhost", 7104),
        (f"{host}:0", 7112), (f"{host}:99999", 7112), ("shop.example.org:443", 7120), ("a b:1", 7104),
    ):  # fmt: skip
        answer = await ann.send("PATCH", place, {"hostports": [hostport]})
        assert (answer.status, answer.code) == (400, code), hostport
    assert (await ann.send("PATCH", place, {"hostports": [one] * 101})).code == 7129
    for kind, wrong in (("https", 7121), ("tls", 7133)):
        for hostport, code in (
            (one, wrong), ("ben.example.org:443", 7118), ("nobody.example.org:443", 7117),
            ("shop.example.org:8443", 7116),
        ):  # fmt: skip
            assert (await ann.post(f"/edges/{kind}", {"hostports": [hostport]})).code == code, hostport
    https = await made(ann, "/edges/https", {"hostports": ["shop.example.org:443"]})
    assert (await ann.post("/edges/tls", {"hostports": ["SHOP.example.org:443"]})).code == 7122
    assert (await ann.send("DELETE", f"/reserved_domains/{domain['id']}")).code == 446
    cloud = {
        "url": "https://shop.example.org",
        "traffic_policy": "on_http_request: [{actions: [{type: deny}]}]",
    }
    assert (await ann.post("/endpoints", cloud)).code == 6027
    assert (await ann.send("DELETE", f"/edges/https/{https['id']}")).status == 204
    assert (await ann.post("/endpoints", cloud)).status == 201
    assert (await ann.post("/edges/tls", {"hostports": ["shop.example.org:443"]})).code == 6027


@pytest.mark.row("ED-01")
async def test_tls_and_https_edges_have_their_modules(ann: Api) -> None:
    await made(ann, "/reserved_domains", {"domain": "shop.example.org"})
    authority = await made(ann, "/certificate_authorities", {"ca_pem": make(ca=True).pem})
    mutual = {"certificate_authority_ids": [authority["id"]]}
    assert (await ann.post("/edges/tls", {"mutual_tls": mutual})).code == 7062
    ended = {"terminate_at": "edge", "min_version": "1.3"}
    tls = await made(
        ann,
        "/edges/tls",
        {"hostports": ["a.shop.example.org:443"], "mutual_tls": mutual, "tls_termination": ended},
    )
    assert tls["tls_termination"] == {"enabled": True, **ended}
    assert [each["id"] for each in tls["mutual_tls"]["certificate_authorities"]] == [authority["id"]]
    https = await made(ann, "/edges/https", {"mutual_tls": mutual, "tls_termination": {"min_version": "1.2"}})
    assert https["tls_termination"] == {"enabled": True, "min_version": "1.2", "terminate_at": None}
    assert https["routes"] == []
    refused = await ann.post("/edges/https", {"tls_termination": ended})
    assert refused.code == 7109
    wrong: list[tuple[dict[str, Any], int]] = [
        ({"mutual_tls": {"certificate_authority_ids": []}}, 7072),
        ({"mutual_tls": {"certificate_authority_ids": ["ca_none"]}, "tls_termination": {}}, 7072),
        ({"tls_termination": {"terminate_at": "upstream", "min_version": "1.2"}}, 7032),
        ({"tls_termination": {"terminate_at": "moon"}}, 7002),
        ({"backend": {}}, 6514),
        ({"backend": {"backend_id": "ra_1"}}, 6526),
        ({"backend": {"backend_id": "bkdtg_1"}}, 6501),
        ({"ip_restriction": {"ip_policy_ids": []}}, 7025),
        ({"ip_restriction": {"ip_policy_ids": ["ipp_none"]}}, 7007),
        ({"traffic_policy": {"value": "on_http_request: [{actions: [{type: deny}]}]"}}, 2230),
        ({"description": "x" * 256}, 7073),
        ({"metadata": "x" * 4097}, 7074),
    ]
    for module, code in wrong:
        answer = await ann.post("/edges/tls", module)
        assert (answer.status, answer.code) == (400, code), module
    response = await made(ann, "/backends/http_response", {"body": "hi"})
    refused = await ann.post("/edges/tcp", {"backend": {"backend_id": response["id"]}})
    assert refused.code == 6527


async def test_an_edge_is_its_accounts_alone(apis: tuple[Api, Api]) -> None:
    ann, ben = apis
    for kind in ("tcp", "tls", "https"):
        edge = await made(ann, f"/edges/{kind}", {})
        await is_private(ann, ben, f"/edges/{kind}/{edge['id']}", update={"description": "mine"})
    foreign = await made(ann, "/backends/tunnel_group", {"labels": {"a": "b"}})
    assert (await ben.post("/edges/tcp", {"backend": {"backend_id": foreign["id"]}})).code == 6501
    assert (await ann.get(f"/edges/tls/{edge['id']}")).code == 227


async def test_one_step_makes_all_or_nothing(ann: Api) -> None:
    refused = await ann.post("/edges/tcp?whole=true", {"hostports": ["nowhere:1"]})
    assert refused.code == 7120
    for path, key in (("/edges/tcp", "tcp_edges"), ("/backends/tunnel_group", "backends")):
        assert (await ann.get(path))[key] == []
    domain = await made(ann, "/reserved_domains", {"domain": "shop.example.org"})
    edge = await made(ann, "/edges/https?whole=true", {"hostports": [f"{domain['domain']}:443"]})
    (route,) = edge["routes"]
    assert (route["match_type"], route["match"]) == ("path_prefix", "/")
    backend = (await ann.get(f"/backends/tunnel_group/{route['backend']['backend']['id']}")).json
    assert backend["labels"] == {"edge": edge["id"]}
