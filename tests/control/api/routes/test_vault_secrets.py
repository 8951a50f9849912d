"""/vault_secrets over HTTP: a value goes in and never comes out."""

from pathlib import Path

from tests.kit.api import BASE, Api, running_api
from tests.kit.store import Clock
from tests.kit.tenants import two_apis

PLACE = "/vault_secrets"


async def test_a_secret_from_beginning_to_end(tmp_path: Path) -> None:
    async with running_api(tmp_path, clock=Clock()) as api:
        vault = await api.post("/vaults", {"name": "prod"})
        made = await api.post(PLACE, {"name": "key", "value": "s3cr3t-value", "vault_id": vault["id"]})
        place = f"{PLACE}/{made['id']}"
        assert made.status == 201
        assert made["id"].startswith("secret_")
        assert made["vault"] == {"id": vault["id"], "uri": f"{BASE}/vaults/{vault['id']}"}
        assert made["vault_name"] == "prod"
        assert made["created_by"]["uri"].startswith(f"{BASE}/api_keys/ak_")
        changed = await api.patch(place, {"value": "n3w-value", "description": "d"})
        assert changed["description"] == "d"
        listed = await api.get(PLACE)
        assert [each["id"] for each in listed["secrets"]] == [made["id"]]
        for filtered in ('obj.vault == "%s"', 'obj.vault.id == "%s"'):
            found = await api.get(f"{PLACE}?filter=" + (filtered % vault["id"]).replace(" ", "%20"))
            assert len(found["secrets"]) == 1
        for answer in (made, changed, listed, await api.get(place)):
            assert "-value" not in str(answer.json)
        assert (await api.delete(place)).status == 204
        assert (await api.get(place)).status == 404


async def test_a_secret_is_its_accounts_alone(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, ben):
        await ann.post("/vaults", {"name": "a"})
        made = await ann.post(PLACE, {"name": "key", "value": "v", "vault_name": "a"})
        await is_private_secret(ann, ben, f"{PLACE}/{made['id']}")


async def is_private_secret(ann: Api, ben: Api, path: str) -> None:
    for verb, body in (("GET", None), ("PATCH", {"value": "x"}), ("DELETE", None)):
        assert (await ben.send(verb, path, body)).status == 404
    assert (await ben.get(PLACE))["secrets"] == []
    assert (await ann.get(path)).status == 200
