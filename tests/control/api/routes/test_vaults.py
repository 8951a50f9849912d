"""/vaults over HTTP."""

from pathlib import Path

import pytest
from tests.kit.api import BASE, running_api
from tests.kit.store import Clock
from tests.kit.tenants import is_private, two_apis

PLACE = "/vaults"


@pytest.mark.row("C1", "C19")
async def test_a_vault_from_beginning_to_end(tmp_path: Path) -> None:
    async with running_api(tmp_path, clock=Clock()) as api:
        made = await api.post(PLACE, {"name": "prod", "description": "d", "metadata": ""})
        place = f"{PLACE}/{made['id']}"
        assert made.status == 201
        assert made["id"].startswith("vault_")
        assert made["created_by"] == made["last_updated_by"]
        assert made["created_by"].startswith("ak_")
        assert made["uri"] == f"{BASE}{place}"
        assert (await api.get(place)).json == made.json
        assert (await api.get(PLACE))["vaults"] == [made.json]
        assert (await api.patch(place, {"name": "live"}))["name"] == "live"
        secret = await api.post("/vault_secrets", {"name": "key", "value": "v", "vault_name": "live"})
        listed = await api.get(f"{place}/secrets")
        assert listed.json == {
            "secrets": [secret.json],
            "uri": f"{BASE}{place}/secrets",
            "next_page_uri": None,
        }
        refused = await api.delete(place)
        assert (refused.status, refused.code) == (400, 23003)
        await api.delete(f"/vault_secrets/{secret['id']}")
        assert (await api.delete(place)).status == 204
        assert (await api.get(place)).status == 404
        assert (await api.get(f"{place}/secrets")).status == 404


async def test_a_vault_is_its_accounts_alone(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, ben):
        made = await ann.post(PLACE, {"name": "a"})
        place = f"{PLACE}/{made['id']}"
        await is_private(ann, ben, place, update={"description": "mine"})
        assert (await ben.get(f"{place}/secrets")).status == 404
