"""/api_keys over HTTP."""

from pathlib import Path

import pytest
from tests.kit.api import BASE, running_api
from tests.kit.store import Clock, everything

PLACE = "/api_keys"


@pytest.mark.row("C1", "C10")
async def test_a_key_from_beginning_to_end(tmp_path: Path) -> None:
    clock = Clock()
    async with running_api(tmp_path, clock=clock) as api:
        clock.now += 5
        made = await api.post(PLACE, {"description": "d", "metadata": ""})
        place = f"{PLACE}/{made['id']}"
        assert made.status == 201
        assert made.json == {
            "id": made["id"],
            "uri": f"{BASE}{place}",
            "description": "d",
            "metadata": "",
            "created_at": "2027-01-15T08:00:05Z",
            "token": made["token"],
            "owner_id": None,
        }
        assert made["token"].encode() not in everything(tmp_path)
        shown = made.json | {"token": None}
        assert (await api.get(PLACE))["keys"][0] == shown
        other = api.with_key(made["token"])
        assert (await other.get(place)).json == shown
        assert (await other.patch(place, {"metadata": "m"})).json == shown | {"metadata": "m"}
        assert (await other.patch(place, {})).code == 606
        assert (await other.delete(place)).status == 204, "a key may end itself"
        assert (await other.get(place)).code == 203
        assert (await api.get(place)).status == 404
        assert len((await api.get(PLACE))["keys"]) == 1


async def test_what_is_refused(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        assert (await api.post(PLACE, {"acl": []})).code == 214
        assert (await api.post(PLACE, {"description": "x" * 256})).code == 604
        assert (await api.post(PLACE, {"owner_id": "usr_x"})).code == 634
        assert (await api.post(PLACE, {"owner_id": ""})).status == 201
