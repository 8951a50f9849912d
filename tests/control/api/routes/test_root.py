"""/ and /self."""

from pathlib import Path

import pytest
from tests.kit.api import BASE, running_api
from tests.kit.store import Clock

from portway.model.agent_version import read_demands


@pytest.mark.row("C20")
async def test_what_there_is(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        root = await api.get("/")
        assert root["uri"] == f"{BASE}/"
        for name, uri in root["subresource_uris"].items():
            assert uri == f"{BASE}/{name}"
            assert (await api.get(f"/{name}")).status == 200


@pytest.mark.row("C20")
async def test_who_calls(tmp_path: Path) -> None:
    demands = read_demands("0.2,0.3@2027-01-15,0.4@2027-01-16")
    async with running_api(tmp_path, clock=Clock(), min_agent_version=demands) as api:
        told = await api.get("/self")
        other = await (await api.other_account()).get("/self")
    assert told["account"] == {
        "id": api.account_id,
        "name": "owner",
        "created_at": "2027-01-15T08:00:00Z",
        "suspended": False,
        "enforce_sso": False,
        "min_api_version": "2",
        "min_agent_version": "0.3",
        "user_mfa_required": False,
        "traffic_full_capture": False,
    }
    assert told["api_key"]["token"] is None
    assert told["user"] == "owner"
    assert other["account"]["name"] == "other"
    assert api.key not in told.body.decode()
