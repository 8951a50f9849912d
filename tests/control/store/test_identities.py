"""Queries on people and sessions."""

from pathlib import Path

from sqlalchemy import insert
from tests.kit.store import opened

from portway.control.store import identities
from portway.control.store.identity_tables import application_users
from portway.control.store.tables import accounts

SESSION = {
    "endpoint_id": "ep_1", "public_url": "u", "realm": "r", "client": "c", "settings": "s",
    "sealed_tokens": b"x", "user_agent": "", "ip": "",
    "country": "", "latitude": 0.0, "longitude": 0.0, "radius": 0, "idle": 0.0,
    "most": 0.0, "created_at": 1.0, "last_active": 1.0, "refreshed_at": 1.0,
}  # fmt: skip


async def test_people_and_sessions_are_found_changed_and_removed(tmp_path: Path) -> None:
    async with opened(tmp_path) as context, context.database.write() as connection:
        account = "ac_1"
        await connection.execute(insert(accounts).values(id=account, name="a", plan="", created_at=1.0))
        person = {"account_id": account, "provider": "google", "provider_url": "u", "subject": "ada"}
        texts = {"email": "a@b.example", "name": "Ada", "username": ""}
        times = {"created_at": 1.0, "last_active": 1.0, "last_login": 1.0}
        await connection.execute(insert(application_users).values(id="appusr_1", **person, **texts, **times))
        for number in range(3):
            ids = {"id": f"appsess_{number}", "account_id": account, "user_id": "appusr_1"}
            more = {"token_hash": f"h{number}", "expires_at": 10.0 + number}
            await identities.add_session(connection, {**SESSION, **ids, **more})
        found = await identities.user_of(connection, account, "google", "u", "ada")
        assert found is not None
        assert found.id == "appusr_1"
        assert await identities.user_of(connection, "ac_2", "google", "u", "ada") is None
        await identities.change_user(connection, "appusr_1", {"name": "Ada L"})
        session = await identities.by_token(connection, "h1")
        assert session is not None
        assert (session.id, session.name, session.subject) == ("appsess_1", "Ada L", "ada")
        assert await identities.by_token(connection, "none") is None
        assert await identities.change_session(connection, "appsess_1", {"last_active": 5.0})
        assert not await identities.change_session(connection, "appsess_9", {"last_active": 5.0})
        again = await identities.by_id(connection, "appsess_1")
        assert again is not None
        assert again.last_active == 5.0
        assert await identities.sessions_of(connection, "appusr_1") == ["appsess_0", "appsess_1", "appsess_2"]
        await identities.remove_expired(connection, 11.0)
        assert await identities.sessions_of(connection, "appusr_1") == ["appsess_1", "appsess_2"]
        await identities.remove_sessions(connection, ["appsess_1", "appsess_2"])
        assert await identities.sessions_of(connection, "appusr_1") == []
