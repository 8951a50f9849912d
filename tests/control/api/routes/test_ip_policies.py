"""/ip_policies over HTTP."""

from pathlib import Path

import pytest
from tests.kit.api import BASE, running_api
from tests.kit.store import Clock
from tests.kit.tenants import is_private, two_apis

PLACE = "/ip_policies"


@pytest.mark.row("C1")
async def test_a_policy_from_beginning_to_end(tmp_path: Path) -> None:
    async with running_api(tmp_path, clock=Clock()) as api:
        made = await api.post(PLACE, {"description": "office", "metadata": ""})
        place = f"{PLACE}/{made['id']}"
        assert made.status == 201
        assert made.json == {
            "id": made["id"], "uri": f"{BASE}{place}", "created_at": "2027-01-15T08:00:00Z",
            "description": "office", "metadata": "",
        }  # fmt: skip
        assert made["id"].startswith("ipp_")
        assert (await api.get(place)).json == made.json
        assert (await api.get(PLACE)).json == {
            "ip_policies": [made.json], "uri": f"{BASE}{PLACE}", "next_page_uri": None,
        }  # fmt: skip
        assert (await api.patch(place, {"description": "", "metadata": "m"}))["metadata"] == "m"
        assert (await api.get(place))["description"] == ""
        assert (await api.delete(place)).status == 204
        again = await api.delete(place)
        assert (again.status, again.code) == (404, 1402)


async def test_what_is_refused(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        made = await api.post(PLACE, {"action": ""})
        place = f"{PLACE}/{made['id']}"
        for verb, where, body, code in (
            ("POST", PLACE, {"action": "allow"}, 1423),
            ("PATCH", place, {"action": "deny"}, 1423),
            ("PATCH", place, {}, 1400),
            ("POST", PLACE, {"description": "x" * 256}, 1421),
            ("PATCH", place, {"metadata": "x" * 4097}, 1421),
            ("POST", PLACE, {"name": "x"}, 214),
            ("GET", f"{PLACE}/ipr_{made['id'][4:]}", None, 227),
        ):
            answer = await api.send(verb, where, body)
            assert (answer.status, answer.code) == (400, code), (verb, where, body)


async def test_a_policy_is_its_accounts_alone(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, ben):
        made = await ann.post(PLACE, {})
        await is_private(ann, ben, f"{PLACE}/{made['id']}", update={"description": "mine"})


async def test_lists_are_filtered(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        wanted = await api.post(PLACE, {"description": "office"})
        await api.post(PLACE, {})
        assert (await api.get(f'{PLACE}?filter=obj.description.contains("off")'))["ip_policies"] == [
            wanted.json
        ]
        assert (await api.get(f'{PLACE}?filter=obj.cidr=="x"')).code == 250
