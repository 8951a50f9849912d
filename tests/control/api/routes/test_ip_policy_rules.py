"""/ip_policy_rules over HTTP."""

from pathlib import Path

import pytest
from tests.kit.api import BASE, running_api
from tests.kit.store import Clock
from tests.kit.tenants import is_private, two_apis

PLACE = "/ip_policy_rules"
ABSENT = "ipp_" + "0" * 27


@pytest.mark.row("C1")
async def test_a_rule_from_beginning_to_end(tmp_path: Path) -> None:
    async with running_api(tmp_path, clock=Clock()) as api:
        policy = (await api.post("/ip_policies", {}))["id"]
        given = {
            "description": "",
            "metadata": "",
            "cidr": "2001:DB8::/32",
            "ip_policy_id": policy,
            "action": "allow",
        }
        made = await api.post(PLACE, given)
        place = f"{PLACE}/{made['id']}"
        assert made.status == 201
        assert made.json == {
            "id": made["id"], "uri": f"{BASE}{place}", "created_at": "2027-01-15T08:00:00Z",
            "description": "", "metadata": "", "cidr": "2001:db8::/32", "action": "allow",
            "ip_policy": {"id": policy, "uri": f"{BASE}/ip_policies/{policy}"},
        }  # fmt: skip
        assert (await api.get(place)).json == made.json
        assert (await api.get(PLACE))["ip_policy_rules"] == [made.json]
        assert (await api.patch(place, {"cidr": "10.0.0.0/8"}))["cidr"] == "10.0.0.0/8"
        assert (await api.patch(place, {"cidr": "", "description": "d"})).json == made.json | {
            "cidr": "10.0.0.0/8", "description": "d",
        }  # fmt: skip
        assert (await api.delete(place)).status == 204
        again = await api.delete(place)
        assert (again.status, again.code) == (404, 1404)


async def test_what_is_refused(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        policy = (await api.post("/ip_policies", {}))["id"]
        good = {"cidr": "10.0.0.0/8", "ip_policy_id": policy, "action": "deny"}
        place = f"{PLACE}/{(await api.post(PLACE, good))['id']}"
        for changed, code in (
            ({}, 1408), ({"cidr": ""}, 1405), ({"cidr": None}, 1405), ({"ip_policy_id": ""}, 1405),
            ({"action": ""}, 1405), ({"action": "ALLOW"}, 1422), ({"action": "drop"}, 1422),
            ({"cidr": "10.1.0.0/8"}, 1409), ({"cidr": "10.1.0.0"}, 1413), ({"cidr": "ten"}, 1406),
            ({"cidr": "10.0.0.0/8, 11.0.0.0/8"}, 1406), ({"ip_policy_id": "ipr_1"}, 229),
            ({"ip_policy_id": "ipp_-"}, 1414), ({"description": "x" * 256}, 1421), ({"cidr": 5}, 215),
        ):  # fmt: skip
            answer = await api.post(PLACE, good | changed)
            assert (answer.status, answer.code) == (400, code), changed
        lost = await api.post(PLACE, good | {"ip_policy_id": ABSENT})
        assert (lost.status, lost.code) == (404, 1402)
        for body, code in (
            ({}, 1401), ({"cidr": ""}, 1401), ({"cidr": "10.0.0.1/8"}, 1409),
            ({"action": "allow"}, 214), ({"ip_policy_id": policy}, 214),
        ):  # fmt: skip
            assert (await api.patch(place, body)).code == code, body
        assert (await api.get(f"{PLACE}/{policy}")).code == 227


async def test_a_rule_is_its_accounts_alone(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, ben):
        policy = (await ann.post("/ip_policies", {}))["id"]
        given = {"cidr": "10.0.0.0/8", "ip_policy_id": policy, "action": "allow"}
        made = await ann.post(PLACE, given)
        await is_private(ann, ben, f"{PLACE}/{made['id']}", update={"description": "mine"})
        foreign = await ben.post(PLACE, given)
        assert (foreign.status, foreign.code) == (404, 1402)


async def test_lists_are_filtered_and_paged(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        one, two = [(await api.post("/ip_policies", {}))["id"] for _ in range(2)]
        for n in range(4):
            given = {"cidr": f"10.{n}.0.0/16", "ip_policy_id": two if n == 3 else one, "action": "deny"}
            await api.post(PLACE, given | ({"action": "allow"} if n else {}))
        for text, found in (
            (f'obj.ip_policy == "{one}"', 3), (f'obj.ip_policy.id == "{two}"', 1),
            (f'obj.ip_policy.id == "{one}" %26%26 obj.action == "allow"', 2),
            ('obj.cidr.startsWith("10.2")', 1), ('obj.action == "deny"', 1), ('obj.action in ["x"]', 0),
        ):  # fmt: skip
            assert len((await api.get(f"{PLACE}?filter={text}"))["ip_policy_rules"]) == found, text
        page = await api.get(f'{PLACE}?limit=1&filter=obj.action == "allow"')
        seen = [each["cidr"] for each in page["ip_policy_rules"]]
        while page["next_page_uri"]:
            page = await api.get(page["next_page_uri"].removeprefix(BASE))
            seen += [each["cidr"] for each in page["ip_policy_rules"]]
        assert sorted(seen) == ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"]
