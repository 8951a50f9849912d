"""/app/users over HTTP."""

from pathlib import Path

import pytest
from tests.control.service.test_identities import opening
from tests.kit.api import Api
from tests.kit.store import Clock
from tests.kit.tenants import two_apis

from portway.control.service import identities
from portway.model.identity import VisitorSession

USERS = "/app/users"


async def signed_in(api: Api, token_hash: str = "h") -> VisitorSession:
    """Have somebody sign in."""
    return await identities.open_session(api.context, opening(api.account_id, token_hash))


@pytest.mark.row("P-54")
async def test_people_are_listed_read_and_forgotten(tmp_path: Path) -> None:
    async with two_apis(tmp_path, Clock()) as (ann, ben):
        session = await signed_in(ann)
        (user,) = (await ann.send("GET", USERS)).json["application_users"]
        assert user == {
            "id": session.user_id, "uri": f"{ann.context.settings.api_url}{USERS}/{session.user_id}",
            "identity_provider": {"name": "google", "url": "https://accounts.google.com"},
            "provider_user_id": "ada", "username": "ada", "email": "ada@example.com", "name": "Ada",
            "created_at": "2027-01-15T08:00:00Z", "last_active": "2027-01-15T08:00:00Z",
            "last_login": "2027-01-15T08:00:00Z",
        }  # fmt: skip
        place = f"{USERS}/{session.user_id}"
        assert (await ann.send("GET", place)).json == user
        for verb in ("GET", "DELETE"):
            assert (await ben.send(verb, place)).status == 404
        assert (await ben.send("GET", USERS)).json["application_users"] == []
        assert (await ann.send("GET", f"{USERS}/ep_123")).code == 227
        assert (await ann.send("DELETE", place)).status == 204
        assert (await ann.send("DELETE", place)).status == 404
        assert await identities.find_session(ann.context, "h") is None
