"""/ssh_credentials over HTTP."""

from pathlib import Path

import pytest
from tests.kit.api import BASE, running_api
from tests.kit.store import Clock
from tests.kit.things import PUBLIC_KEY

PLACE = "/ssh_credentials"
GIVEN: dict[str, object] = {"description": "", "metadata": "", "acl": [], "public_key": PUBLIC_KEY}
"""What ngrok's client sends of a key when it is told nothing else."""


@pytest.mark.row("C1")
async def test_a_key_from_beginning_to_end(tmp_path: Path) -> None:
    async with running_api(tmp_path, clock=Clock()) as api:
        made = await api.post(PLACE, GIVEN)
        place = f"{PLACE}/{made['id']}"
        assert made.status == 201
        assert made.json == {
            "id": made["id"],
            "uri": f"{BASE}{place}",
            "created_at": "2027-01-15T08:00:00Z",
            "description": "",
            "metadata": "",
            "public_key": PUBLIC_KEY,
            "acl": [],
            "owner_id": None,
        }
        assert (await api.get(place)).json == made.json
        assert (await api.get(PLACE))["ssh_credentials"] == [made.json]
        assert (await api.patch(place, {"acl": ["bind:a=b"]}))["acl"] == ["bind:a=b"]
        assert (await api.patch(place, {"public_key": PUBLIC_KEY})).code == 214
        assert (await api.patch(place, {})).code == 606
        assert (await api.delete(place)).status == 204
        assert (await api.delete(place)).status == 404


async def test_what_is_refused(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        assert (await api.post(PLACE, {})).code == 611
        assert (await api.post(PLACE, {"public_key": "nonsense"})).code == 612
        await api.post(PLACE, GIVEN)
        assert (await api.post(PLACE, GIVEN)).code == 609
        assert (await (await api.other_account()).post(PLACE, GIVEN)).code == 610
