"""/ip_restrictions over HTTP, and what one of type api does to its callers."""

from pathlib import Path

import pytest
from tests.kit.api import BASE, Api, running_api
from tests.kit.store import Clock
from tests.kit.tenants import is_private, two_apis

PLACE = "/ip_restrictions"


async def a_policy(api: Api, cidr: str = "203.0.113.0/24") -> str:
    """Make an IP policy that lets one network in."""
    policy = (await api.post("/ip_policies", {}))["id"]
    await api.post("/ip_policy_rules", {"cidr": cidr, "ip_policy_id": policy, "action": "allow"})
    return str(policy)


@pytest.mark.row("C1")
async def test_a_restriction_from_beginning_to_end(tmp_path: Path) -> None:
    async with running_api(tmp_path, clock=Clock()) as api:
        policy, other = await a_policy(api), await a_policy(api)
        given = {
            "description": "",
            "metadata": "",
            "enforced": False,
            "type": "agent",
            "ip_policy_ids": [policy],
        }
        made = await api.post(PLACE, given)
        place = f"{PLACE}/{made['id']}"
        assert made.status == 201
        assert made.json == {
            "id": made["id"], "uri": f"{BASE}{place}", "created_at": "2027-01-15T08:00:00Z",
            "description": "", "metadata": "", "enforced": False, "type": "agent",
            "ip_policies": [{"id": policy, "uri": f"{BASE}/ip_policies/{policy}"}],
        }  # fmt: skip
        assert (await api.get(place)).json == made.json
        assert (await api.get(PLACE))["ip_restrictions"] == [made.json]
        # What ngrok's client sends of an update that names nothing but a text.
        texts = await api.patch(place, {"description": "d", "ip_policy_ids": []})
        assert texts.json == made.json | {"description": "d"}
        assert (await api.patch(place, {})).json == texts.json
        assert (await api.patch(place, {"enforced": True}))["enforced"] is True
        assert (await api.patch(place, {"metadata": "m"}))["enforced"] is True
        changed = await api.patch(place, {"ip_policy_ids": [other, policy]})
        assert [each["id"] for each in changed["ip_policies"]] == [other, policy]
        assert (await api.patch(place, {"enforced": False}))["enforced"] is False
        assert (await api.delete(place)).status == 204
        again = await api.delete(place)
        assert (again.status, again.code) == (404, 0)


async def test_what_is_refused(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        policy = await a_policy(api)
        good = {"type": "api", "ip_policy_ids": [policy]}
        place = f"{PLACE}/{(await api.post(PLACE, good))['id']}"
        absent = policy[:-5] + "xxxxx"
        refusals: tuple[tuple[dict[str, object], int], ...] = (
            ({}, 1802), ({"type": "nobody"}, 1803), ({"type": ""}, 1803), ({"ip_policy_ids": []}, 1804),
            ({"ip_policy_ids": None}, 1804), ({"ip_policy_ids": [absent], "type": "agent"}, 1801),
            ({"ip_policy_ids": ["ra_1"]}, 229), ({"ip_policy_ids": ["ipp_!"]}, 1414),
            ({"ip_policy_ids": [f"ipp_{n}" for n in range(101)]}, 1800), ({"description": "x" * 256}, 215),
            ({"ip_policy_ids": "ipp_1"}, 215), ({"enforced": "yes"}, 215),
        )  # fmt: skip
        for changed, code in refusals:
            answer = await api.post(PLACE, good | changed)
            assert (answer.status, answer.code) == (400, code), changed
        assert (await api.patch(place, {"type": "agent"})).code == 214
        assert (await api.patch(place, {"ip_policy_ids": [absent]})).code == 1801
        assert (await api.delete(f"/ip_policies/{policy}")).code == 1420
        assert (await api.get(f"{PLACE}/{policy}")).code == 227


async def test_a_restriction_is_its_accounts_alone(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, ben):
        policy = await a_policy(ann)
        made = await ann.post(PLACE, {"type": "endpoints", "ip_policy_ids": [policy]})
        await is_private(ann, ben, f"{PLACE}/{made['id']}", update={"description": "mine"})
        assert (await ben.post(PLACE, {"type": "endpoints", "ip_policy_ids": [policy]})).code == 1801


async def test_callers_of_the_api_come_from_where_they_may(tmp_path: Path) -> None:
    async with running_api(tmp_path, admin_cidrs=("192.0.2.0/24",)) as api:
        policy = await a_policy(api)
        made = await api.post(PLACE, {"type": "api", "ip_policy_ids": [policy]})

        async def called(source: str, caller: Api = api) -> tuple[int, int]:
            answer = await caller.send("GET", "/ip_policies", headers={"x-forwarded-for": source})
            return answer.status, answer.code

        assert await called("198.51.100.1") == (200, 0), "it only warns"
        assert (await api.patch(f"{PLACE}/{made['id']}", {"enforced": True})).status == 200
        assert await called("198.51.100.1") == (403, 220)
        assert await called("203.0.113.9") == (200, 0)
        assert await called("198.51.100.1, 203.0.113.9") == (200, 0)
        assert await called("203.0.113.9, 198.51.100.1") == (403, 220), "the edge's word comes last"
        assert await called("127.0.0.1") == (200, 0)
        assert await called("192.0.2.77") == (200, 0)
        assert await called("198.51.100.1", await api.other_account()) == (200, 0)
        # Who may not come may not lift it either.
        away = {"x-forwarded-for": "2001:db8::1"}
        assert (await api.send("DELETE", f"{PLACE}/{made['id']}", headers=away)).code == 220
