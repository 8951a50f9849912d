"""The API's routes of HTTPS edges."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from tests.kit.api import Api
from tests.kit.tenants import two_apis


@pytest.fixture
async def apis(tmp_path: Path) -> AsyncGenerator[tuple[Api, Api]]:
    async with two_apis(tmp_path) as pair:
        yield pair


@pytest.fixture
def ann(apis: tuple[Api, Api]) -> Api:
    return apis[0]


async def edge_of(api: Api) -> str:
    answer = await api.post("/edges/https", {})
    assert answer.status == 201, answer.json
    return f"/edges/https/{answer['id']}"


ROUTE: dict[str, Any] = {"match_type": "path_prefix", "match": "/a"}
OIDC = {"issuer": "https://id.example.org", "client_id": "c", "client_secret": "s"}


@pytest.mark.row("ED-01")
async def test_from_beginning_to_end(ann: Api) -> None:
    edge = await edge_of(ann)
    body = (await ann.post("/backends/http_response", {"body": "hi"})).json
    route = await ann.post(
        f"{edge}/routes",
        ROUTE
        | {"description": "d", "metadata": "m", "backend": {"backend_id": body["id"]}, "compression": {}},
    )
    assert route.status == 201, route.json
    place = f"{edge}/routes/{route['id']}"
    assert route["uri"].endswith(place)
    assert route["edge_id"] == edge.rpartition("/")[2]
    assert (route["match_type"], route["match"], route["compression"]) == (
        "path_prefix", "/a", {"enabled": True},
    )  # fmt: skip
    assert route["oauth"] is None
    assert (await ann.get(place)).json == route.json
    assert (await ann.get(edge))["routes"] == [route.json]
    unchanged = {"match_type": "", "match": "", "description": "", "metadata": ""}
    assert (await ann.send("PATCH", place, unchanged)).json == route.json
    changed = await ann.send("PATCH", place, {"match": "/b", "compression": {"enabled": False}})
    assert changed.json == route.json | {"match": "/b", "compression": {"enabled": False}}
    assert (await ann.send("DELETE", f"/backends/http_response/{body['id']}")).code == 6502
    assert (await ann.send("DELETE", place)).status == 204
    assert (await ann.get(place)).status == 404
    assert (await ann.get(edge))["routes"] == []


async def test_refusals_have_their_codes(ann: Api) -> None:
    edge = await edge_of(ann)
    first = await ann.post(f"{edge}/routes", ROUTE | {"match": "/"})
    wrong: list[tuple[dict[str, Any], int]] = [
        ({"match": "/x", "match_type": "regex"}, 7130),
        ({"match": ""}, 7123),
        ({"match": "x"}, 7131),
        ({"match": "/" + "x" * 1024}, 7135),
        ({"match": "/"}, 7126),
        ({"description": "x" * 256}, 7073),
        ({"oidc": OIDC, "oauth": {"provider": {"google": {}}}}, 7079),
        ({"oidc": OIDC, "match_type": "exact_path"}, 7134),
        ({"saml": {"idp_metadata": "<x/>"}}, 2201),
        ({"traffic_policy": {"value": "on_tcp_connect: [{actions: [{type: deny}]}]"}}, 2248),
        ({"traffic_policy": {"value": "on_http_request: [{actions: [{type: nothing}]}]"}}, 2201),
        ({"mutual_tls": {}}, 214),
    ]
    for body, code in wrong:
        answer = await ann.post(f"{edge}/routes", ROUTE | body)
        assert (answer.status, answer.code) == (400, code), (body, answer.json)
    other = await edge_of(ann)
    assert (await ann.get(f"{other}/routes/{first['id']}")).code == 7110


async def test_one_request_changes_how_visitors_of_a_route_sign_in(ann: Api) -> None:
    edge = await edge_of(ann)
    route = await ann.post(f"{edge}/routes", ROUTE | {"oidc": OIDC, "compression": {}})
    place = f"{edge}/routes/{route['id']}"
    oauth = {"provider": {"github": {"client_id": "c", "client_secret": "s"}}}
    assert (await ann.send("PUT", f"{place}/oauth", oauth)).code == 7079, "nobody may pass unasked in between"
    assert (await ann.send("PATCH", place, {"oauth": oauth, "oidc": OIDC})).code == 7079
    changed = await ann.send("PATCH", place, {"oauth": oauth, "oidc": None})
    assert changed.status == 200, changed.json
    assert (changed["oauth"]["enabled"], changed["oidc"]) == (True, None)
    assert changed["compression"] == {"enabled": True}
    assert (await ann.get(f"{place}/oidc")).status == 404


async def test_a_route_is_its_accounts_alone(apis: tuple[Api, Api]) -> None:
    ann, ben = apis
    edge, foreign = await edge_of(ann), await edge_of(ben)
    route = await ann.post(f"{edge}/routes", ROUTE)
    for verb, body in (("GET", None), ("PATCH", {"match": "/b"}), ("DELETE", None)):
        for base in (edge, foreign):
            assert (await ben.send(verb, f"{base}/routes/{route['id']}", body)).status == 404, (verb, base)
    assert (await ben.post(f"{edge}/routes", ROUTE)).status == 404
    assert (await ann.get(f"{edge}/routes/{route['id']}")).status == 200
