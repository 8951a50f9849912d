"""/endpoints over HTTP."""

import time
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.kit.api import Api
from tests.kit.live import an_id, live_endpoint, live_session, tell, tunnel_of
from tests.kit.names import DOMAIN
from tests.kit.store import Clock
from tests.kit.tenants import is_private, two_apis

PLACE = "/endpoints"
APP = f"app.{DOMAIN}"
POLICY = "on_http_request: [{actions: [{type: deny}]}]"
GIVEN: dict[str, object] = {
    "url": f"https://{APP}", "type": "cloud", "traffic_policy": POLICY, "description": "d", "metadata": "m",
    "bindings": [], "pooling_enabled": False,
}  # fmt: skip
"""What the official Python client sends of a cloud endpoint."""


async def reserved(api: Api) -> dict[str, str]:
    """Reserve app.DOMAIN; return what refers to it."""
    made = await api.post("/reserved_domains", {"domain": APP})
    return {"id": made["id"], "uri": made["uri"]}


async def test_a_cloud_endpoint_from_beginning_to_end(tmp_path: Path) -> None:
    async with two_apis(tmp_path, Clock()) as (ann, _):
        domain = await reserved(ann)
        made = await ann.post(PLACE, GIVEN)
        assert made.status == 201, made.json
        place = f"{PLACE}/{made['id']}"
        cloud = {
            "id": made["id"], "uri": f"{ann.context.settings.api_url}{place}", "type": "cloud",
            "url": f"https://{APP}:7443", "public_url": f"https://{APP}:7443", "proto": "https",
            "scheme": "https", "hostport": f"{APP}:7443", "host": APP, "port": 7443, "name": "",
            "description": "d", "metadata": "m", "region": "global", "bindings": ["public"],
            "pooling_enabled": False, "traffic_policy": POLICY, "upstream_url": "", "upstream_protocol": "",
            "domain": domain, "tcp_addr": None, "tunnel": None, "edge": None, "tunnel_session": None,
            "principal": {"id": ann.account_id, "uri": ""}, "created_at": "2027-01-15T08:00:00Z",
            "updated_at": "2027-01-15T08:00:00Z", "pools": [],
        }  # fmt: skip
        assert made.json == cloud
        assert (await ann.get(place)).json == cloud
        assert (await ann.get(PLACE))["endpoints"] == [cloud]
        changed = await ann.patch(place, {"metadata": "", "pooling_enabled": True})
        assert (changed.status, changed.json) == (200, cloud | {"metadata": "", "pooling_enabled": True})
        assert (await ann.patch(place, {})).code == 18004
        assert (await ann.patch(place, {"type": "cloud"})).code == 214
        assert (await ann.patch(place, {"url": f"http://{APP}"})).code == 18005
        gone = await ann.delete(place)
        assert (gone.status, gone.body) == (204, b"")
        for verb in ("GET", "DELETE"):
            assert (await ann.send(verb, place)).status == 404


async def test_what_cannot_be_made(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, _):
        for changes, code in (
            ({"type": "ephemeral"}, 248), ({"url": None}, 18015), ({"traffic_policy": ""}, 18011),
            ({"bindings": ["odd"]}, 15005), ({}, 18006), ({"bindings": "public"}, 215), ({"id": "x"}, 214),
        ):  # fmt: skip
            answer = await ann.post(PLACE, GIVEN | changes)
            assert (answer.status, answer.code) == (400, code), changes


@pytest.mark.row("T-070", "T-071", "G-085", "G-088", "G-089", "G-090", "G-094", "G-111", "G-112", "G-114")
async def test_the_endpoint_of_an_agent_is_read_only(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, ben):
        addr = (await ann.post("/reserved_addrs", {})).json
        live = live_endpoint(ann.account_id, url=f"tcp://{addr['addr']}")
        tell(ann.context, live_session(ann.account_id), live)
        base = ann.context.settings.api_url
        place = f"{PLACE}/{live.id}"
        host, _, port = addr["addr"].rpartition(":")
        shown = {
            "id": live.id, "uri": f"{base}{place}", "type": "agent", "url": f"tcp://{addr['addr']}",
            "public_url": f"tcp://{addr['addr']}", "proto": "tcp", "scheme": "tcp", "hostport": addr["addr"],
            "host": host, "port": int(port), "name": "web", "description": "d", "metadata": "m",
            "region": "local", "bindings": ["public"], "pooling_enabled": False, "traffic_policy": "",
            "upstream_url": "http://localhost:8080", "upstream_protocol": "http1", "domain": None,
            "tcp_addr": {"id": addr["id"], "uri": addr["uri"]},
            "tunnel": {"id": tunnel_of(live), "uri": f"{base}/tunnels/{tunnel_of(live)}"}, "edge": None,
            "tunnel_session": {"id": live.session_id, "uri": f"{base}/tunnel_sessions/{live.session_id}"},
            "principal": {"id": ann.account_id, "uri": ""}, "created_at": "2027-01-15T08:00:00Z",
            "updated_at": "2027-01-15T08:00:01Z", "pools": [],
        }  # fmt: skip
        assert (await ann.get(place)).json == shown
        for verb, body in (("PATCH", {"metadata": "x"}), ("DELETE", None)):
            answer = await ann.send(verb, place, body)
            assert (answer.status, answer.code) == (400, 248)
        await is_private(ann, ben, place, update={"metadata": "mine"})
        tell(ann.context, gone=(live.id,))
        assert (await ann.get(place)).status == 404
        assert (await ann.get(PLACE))["endpoints"] == []


async def test_a_cloud_endpoint_is_its_accounts_alone(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, ben):
        await reserved(ann)
        made = await ann.post(PLACE, GIVEN)
        await is_private(ann, ben, f"{PLACE}/{made['id']}", update={"metadata": "mine"})


async def test_a_list_narrowed_by_any_spelling_keeps_that_over_its_pages(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, _):
        some = [live_endpoint(ann.account_id, number) for number in range(4)]
        tell(ann.context, *some)
        ids = [each.id for each in some]

        async def found(query: str) -> list[str]:
            return [each["id"] for each in (await ann.get(f"{PLACE}?{query}"))["endpoints"]]

        assert await found(f"id={ids[0]}&id={ids[2]}") == [ids[2], ids[0]]
        assert await found(f"ids={ids[0]}&id={ids[2]}") == [ids[2], ids[0]]
        assert await found(f"url={quote(some[1].url)}&urls={quote(some[3].url)}") == [ids[3], ids[1]]
        assert await found(f"id={ids[0]}&urls={quote(some[3].url)}") == []
        first = await ann.get(f"{PLACE}?limit=1&id={ids[0]}&ids={ids[2]}&url={quote(some[0].url)}")
        assert [each["id"] for each in first["endpoints"]] == [ids[0]]
        first = await ann.get(f"{PLACE}?limit=1&id={ids[0]}&ids={ids[2]}")
        assert [each["id"] for each in first["endpoints"]] == [ids[2]]
        second = await ann.get(first["next_page_uri"].removeprefix(ann.context.settings.api_url))
        assert [each["id"] for each in second["endpoints"]] == [ids[0]]
        assert second["next_page_uri"] is None


async def test_filters(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, _):
        await reserved(ann)
        cloud = (await ann.post(PLACE, GIVEN))["id"]
        live = live_endpoint(ann.account_id)
        tell(ann.context, live)

        async def found(text: str) -> set[str]:
            answer = await ann.get(f"{PLACE}?filter={quote(text)}")
            assert answer.status == 200, answer.json
            return {each["id"] for each in answer["endpoints"]}

        cases: list[tuple[str, set[str]]] = [
            ('obj.type == "agent"', {live.id}), ('obj.type == "ephemeral"', {live.id}),
            ('obj.type in ["ephemeral", "edge"]', {live.id}), ('obj.type == "cloud"', {cloud}),
            ('obj.type != "agent"', {cloud}), ('obj.binding == "public"', {live.id, cloud}),
            ('"public" in obj.bindings', {live.id, cloud}), (f'obj.url == "https://{APP}:7443"', {cloud}),
            ("obj.pooling_enabled", set()), ('obj.scheme == "https"', {live.id, cloud}),
            ('obj.region == "local"', {live.id}), ('obj.name == "web"', {live.id}),
            (f'obj.principal.id == "{ann.account_id}"', {live.id, cloud}),
            (f'obj.id == "{cloud}"', {cloud}), ('obj.description == "d"', {live.id, cloud}),
        ]  # fmt: skip
        for text, wanted in cases:
            assert await found(text) == wanted, text
        for text in ('obj.traffic_policy == ""', 'obj.principal.id.startsWith("ac")'):
            assert (await ann.get(f"{PLACE}?filter={quote(text)}")).code == 250


async def test_a_page_of_ten_thousand_costs_its_own_length(tmp_path: Path) -> None:
    """No page, wherever it begins, costs so much more than that of a short list that it would tell of a
    walk over the whole.
    """
    async with two_apis(tmp_path) as (ann, ben):
        count = 10_000
        tell(ann.context, *(live_endpoint(ann.account_id, number) for number in range(count)))
        tell(ben.context, *(live_endpoint(ben.account_id, count + number) for number in range(101)))

        async def page(api: Api, before: int) -> float:
            began = time.process_time()
            answer = await api.get(f"{PLACE}?before_id={an_id('ep', before)}")
            took = time.process_time() - began
            assert [each["id"] for each in answer["endpoints"]] == [
                an_id("ep", before - 1 - number) for number in range(100)
            ]
            return took

        short = min([await page(ben, count + 101) for _ in range(3)])
        for before in (count, count // 2, 101):
            took = min([await page(ann, before) for _ in range(3)])
            assert took < 4 * short + 0.05, f"{took * 1000:.1f} ms, {short * 1000:.1f} ms of a short list"
