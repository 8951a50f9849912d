"""/event_subscriptions and their sources."""

from pathlib import Path
from typing import Any

import pytest
from tests.kit.api import Api, running_api
from tests.kit.tenants import is_private, two_apis

from portway.control.store import view
from portway.control.store.changes import EVENT_SUBSCRIPTION
from portway.model.event_types import HTTP, TCP, TYPES
from portway.model.view import EventWishItem

AUDIT = "domain_created.v0"


async def _to(api: Api, target: str = "stdout") -> str:
    return str((await api.post("/event_destinations", {"target": {target: {}}}))["id"])


@pytest.mark.row("EV-20", "T-091")
async def test_a_subscription_from_beginning_to_end(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        to = await _to(api)
        made = await api.post(
            "/event_subscriptions",
            {"sources": [{"type": AUDIT}, {"type": HTTP}], "destination_ids": [to], "description": "d"},
        )
        assert made.status == 201, made.json
        assert made["id"].startswith("esb_")
        assert [each["type"] for each in made["sources"]] == [AUDIT, HTTP]
        assert made["sources"][0]["uri"] == f"{made['uri']}/sources/{AUDIT}"
        assert [each["id"] for each in made["destinations"]] == [to]
        path = f"/event_subscriptions/{made['id']}"
        assert (await api.get(path)).json == made.json
        assert (await api.get("/event_subscriptions"))["event_subscriptions"] == [made.json]
        changed = await api.patch(path, {"description": "", "sources": []})
        assert changed.json == made.json | {"description": ""}
        assert (await api.patch(path, {"sources": [{"type": TCP}]}))["sources"][0]["type"] == TCP
        assert (await api.patch(path, {"destination_ids": []}))["destinations"] == []
        assert (await api.delete(path)).status == 204
        assert (await api.get(path)).status == 404


@pytest.mark.row("EV-20")
async def test_sources_from_beginning_to_end(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        made = await api.post("/event_subscriptions", {})
        path = f"/event_subscriptions/{made['id']}/sources"
        added = await api.post(path, {"type": AUDIT})
        assert (added.status, added["fields"], added["filter"], added["sample"]) == (201, None, None, None)
        source = {
            "type": TCP,
            "filter": "ev.conn.server_port == 1",
            "fields": ["conn.client_ip"],
            "sample": 0.5,
        }
        other = await api.post(path, source)
        assert other.json == source | {"uri": other["uri"]}
        listed = await api.get(path)
        assert listed.json == {"sources": [added.json, other.json], "uri": f"{made['uri']}/sources"}
        assert (await api.get(f"{path}/{TCP}")).json == other.json
        assert (await api.patch(f"{path}/{AUDIT}", {})).json == added.json
        assert (await api.send("PATCH", f"{path}/{TCP}")).json == other.json
        assert (await api.patch(f"{path}/{TCP}", {"filter": ""}))["filter"] is None
        assert (await api.post(path, {"type": TCP})).code == 5131
        assert (await api.delete(f"{path}/{TCP}")).status == 204
        gone = await api.delete(f"{path}/{TCP}")
        assert (gone.status, gone.code) == (404, 5125)
        never = await api.get(f"{path[:-9]}xxxx/sources")
        assert (never.status, never.code) == (404, 5123)


@pytest.mark.row("EV-01")
async def test_all_types_are_taken_and_no_others(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        made = await api.post("/event_subscriptions", {"sources": [{"type": each} for each in sorted(TYPES)]})
        assert len(made["sources"]) == 55
        for odd in ("domain_created", "domain_created.v1", "x_login.v0", ""):
            assert (await api.post("/event_subscriptions", {"sources": [{"type": odd}]})).code == 238


@pytest.mark.row("EV-07", "EV-11")
@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"sources": [{"type": AUDIT}, {"type": AUDIT}]}, 5131),
        ({"sources": [{"type": HTTP, "fields": list[str]()}]}, 5400),
        ({"sources": [{"type": AUDIT, "fields": ["id"]}]}, 5401),
        ({"sources": [{"type": AUDIT, "filter": "true"}]}, 5402),
        ({"sources": [{"type": TCP, "fields": ["http.request.method"]}]}, 5403),
        ({"sources": [{"type": HTTP, "fields": ["nothing"]}]}, 239),
        ({"sources": [{"type": HTTP, "fields": ["http.request"]}]}, 5405),
        ({"sources": [{"type": HTTP, "filter": "ev.conn.server_port =="}]}, 5404),
        ({"sources": [{"type": HTTP, "filter": "ev.account == ''"}]}, 5406),
        ({"sources": [{"type": HTTP, "sample": 1.5}]}, 215),
        ({"destination_ids": ["ed_nothing"]}, 5103),
        ({"description": "x" * 256}, 5121),
        ({"metadata": "x" * 4097}, 5122),
    ],
)
async def test_refusals(tmp_path: Path, given: dict[str, Any], code: int) -> None:
    async with running_api(tmp_path) as api:
        assert (await api.post("/event_subscriptions", given)).code == code


async def _wishes(api: Api) -> list[dict[str, bool]]:
    async with api.context.database.read() as connection:
        found = await view.rows_after(connection, EVENT_SUBSCRIPTION, "")
    return [each.traffic for each in found if isinstance(each, EventWishItem)]


async def test_the_data_plane_hears_what_is_wanted(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        to = await _to(api)
        by = (await api.post("/event_subscriptions", {"sources": [{"type": HTTP}, {"type": AUDIT}]}))["id"]
        assert await _wishes(api) == [{}]
        await api.patch(f"/event_subscriptions/{by}", {"destination_ids": [to]})
        assert await _wishes(api) == [{HTTP: True}]
        source = f"/event_subscriptions/{by}/sources/{HTTP}"
        await api.patch(source, {"fields": ["conn.client_ip"]})
        assert await _wishes(api) == [{HTTP: False}]
        await api.patch(source, {"filter": "'X-A' in ev.http.request.headers"})
        assert await _wishes(api) == [{HTTP: True}]
        cloud = {
            "firehose": {
                "delivery_stream_arn": "arn:aws:f:x:1:y",
                "auth": {"role": {"role_arn": "arn:aws:i::1:z"}},
            }
        }
        assert (await api.patch(f"/event_destinations/{to}", {"target": cloud})).status == 200
        assert await _wishes(api) == [{}]


async def test_a_subscription_is_its_accounts_alone(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, ben):
        by = (await ann.post("/event_subscriptions", {"sources": [{"type": AUDIT}]}))["id"]
        path = f"/event_subscriptions/{by}"
        await is_private(ann, ben, path, f"/sources/{AUDIT}", update={"description": "x"})
        for verb, place in (("GET", ""), ("GET", f"/{AUDIT}"), ("PATCH", f"/{AUDIT}")):
            assert (await ben.send(verb, f"{path}/sources{place}")).status == 404
