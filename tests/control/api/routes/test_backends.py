"""The API's backends, five kinds."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from tests.kit.api import Api
from tests.kit.live import live_endpoint, tell, tunnel_of
from tests.kit.tenants import is_private, two_apis


@pytest.fixture
async def apis(tmp_path: Path) -> AsyncGenerator[tuple[Api, Api]]:
    async with two_apis(tmp_path) as pair:
        yield pair


@pytest.fixture
def ann(apis: tuple[Api, Api]) -> Api:
    return apis[0]


async def made(api: Api, kind: str, **body: Any) -> dict[str, Any]:
    answer = await api.post(f"/backends/{kind}", body)
    assert answer.status == 201, answer.json
    return dict(answer.json)


@pytest.mark.row("ED-01")
async def test_each_kind_from_beginning_to_end(ann: Api) -> None:
    group = await made(ann, "tunnel_group", labels={"a": "b"})
    failover = await made(ann, "failover", backends=[group["id"]])
    kinds: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "tunnel_group": ({"labels": {"x": "y"}}, {"labels": {"x": "z"}}),
        "failover": ({"backends": [group["id"]]}, {"description": "new"}),
        "weighted": ({"backends": {group["id"]: 1, failover["id"]: 3}}, {"backends": {group["id"]: 2}}),
        "http_response": (
            {"body": "hi", "headers": {"x-a": "b"}, "status_code": 418},
            {"status_code": 503},
        ),
        "static": ({"address": "db.example.org:5432", "tls": {"enabled": True}}, {"address": "10.0.0.1:1"}),
    }
    empty: dict[str, dict[str, Any]] = {
        "tunnel_group": {"labels": {}},
        "failover": {"backends": []},
        "weighted": {"backends": {}},
        "static": {"address": ""},
    }
    for kind, (create, change) in kinds.items():
        backend = await made(ann, kind, **create, description="d", metadata="m")
        place = f"/backends/{kind}/{backend['id']}"
        shown = {name: backend[name] for name in create}
        assert shown == create
        assert (backend["description"], backend["metadata"]) == ("d", "m")
        assert (await ann.get(place)).json == backend
        assert backend in (await ann.get(f"/backends/{kind}"))["backends"]
        changed = await ann.send("PATCH", place, change)
        assert changed.json == backend | change
        # What the official client sends for what it is not told to change.
        assert (await ann.send("PATCH", place, empty.get(kind, {}))).json == changed.json
        assert (await ann.send("DELETE", place)).status == 204
        assert (await ann.get(place)).status == 404
    used = await ann.send("DELETE", f"/backends/tunnel_group/{group['id']}")
    assert used.code == 6502, "a failover names it"


async def test_refusals_have_their_codes(ann: Api) -> None:
    group = await made(ann, "tunnel_group", labels={"a": "b"})
    weighted = await made(ann, "weighted", backends={group["id"]: 1})
    failover = await made(ann, "failover", backends=[group["id"]])
    wrong: list[tuple[str, dict[str, Any], int]] = [
        ("tunnel_group", {"description": "x" * 256}, 6503),
        ("tunnel_group", {"metadata": "x" * 4097}, 6504),
        ("tunnel_group", {"labels": {"a": "b=c"}}, 6531),
        ("weighted", {"backends": {weighted["id"]: 1}}, 6524),
        ("weighted", {"backends": {"bkdtg_none": 1}}, 6501),
        ("weighted", {"backends": {"nonsense": 1}}, 6526),
        ("weighted", {"backends": {group["id"]: 10_001}}, 6512),
        ("failover", {"backends": [failover["id"]]}, 6525),
        ("failover", {"backends": [weighted["id"]]}, 6525),
        ("static", {}, 6505),
        ("http_response", {"status_code": 99}, 6517),
        ("http_response", {"color": "red"}, 214),
    ]
    for kind, body, code in wrong:
        answer = await ann.post(f"/backends/{kind}", body)
        assert (answer.status, answer.code) == (400, code), (kind, body)
    assert (await ann.get(f"/backends/static/{group['id']}")).code == 227


@pytest.mark.row("T-087")
async def test_a_group_and_its_tunnels_name_each_other(ann: Api) -> None:
    group = await made(ann, "tunnel_group", labels={"a": "b"})
    await made(ann, "tunnel_group", labels={"a": "c"})
    labels = (("a", "b"), ("more", "than that"))
    tunnel = live_endpoint(ann.account_id, url="", labels=labels)
    tell(ann.context, tunnel)
    shown = (await ann.get(f"/backends/tunnel_group/{group['id']}")).json
    assert [each["id"] for each in shown["tunnels"]] == [tunnel_of(tunnel)]
    (listed,) = (await ann.get("/tunnels"))["tunnels"]
    assert listed == (await ann.get(f"/tunnels/{tunnel_of(tunnel)}")).json
    assert (listed["labels"], listed["endpoint"], listed["public_url"], listed["proto"]) == (
        dict(labels), None, "", "",
    )  # fmt: skip
    assert listed["backends"] == [{"id": group["id"], "uri": group["uri"]}]
    assert (await ann.get("/endpoints"))["endpoints"] == [], "a labelled tunnel is no endpoint"
    assert (await ann.get(f"/endpoints/{tunnel.id}")).status == 404


async def test_a_backend_is_its_accounts_alone(apis: tuple[Api, Api]) -> None:
    ann, ben = apis
    group = await made(ann, "tunnel_group", labels={"a": "b"})
    await is_private(ann, ben, f"/backends/tunnel_group/{group['id']}", update={"description": "mine"})
    assert (await ben.post("/backends/failover", {"backends": [group["id"]]})).code == 6501
