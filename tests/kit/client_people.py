"""The part of ngrok's API client that is about people who sign in: acted out on a real service."""

import asyncio
import time
from typing import TYPE_CHECKING

from portway.control.certificates.seal import KEY_FILE, Seal
from portway.control.service import identities
from portway.control.service.context import Context
from portway.control.store.database import open_database
from portway.control.store.nouns import owner
from portway.control.store.tables import credentials
from portway.model.identity import Browser, Person, SessionOpening, Tokens, VisitorSession

if TYPE_CHECKING:
    from tests.kit.client_methods import Run


def people(run: "Run") -> None:
    """Have two people sign in; find, read and end their sessions, and forget them."""
    known = str(run.client("credentials.list")["credentials"][0]["id"])
    for number in range(2):
        asyncio.run(_signed_in(run, known, number))
    users = run.call("application_users.list", limit="100")["application_users"]
    sessions = run.call("application_sessions.list", limit="100")["application_sessions"]
    assert len(users) == len(sessions) == 2
    for each in users:
        assert run.call("application_users.get", id=each["id"]) == each
    for each in sessions:
        assert run.call("application_sessions.get", id=each["id"]) == each
        assert each["application_user"]["id"] in {user["id"] for user in users}
    first = sessions[0]
    run.call("application_sessions.delete", id=first["id"])
    run.refused("application_sessions.get", 0, id=first["id"])
    run.refused("application_sessions.delete", 0, id=first["id"])
    for each in users:
        run.call("application_users.delete", id=each["id"])
        run.refused("application_users.get", 0, id=each["id"])
    run.refused("application_sessions.get", 0, id=sessions[1]["id"])
    assert not run.client("application_sessions.list")["application_sessions"]


async def _signed_in(run: "Run", credential: str, number: int) -> VisitorSession:
    """Make a session in the store of the service, as its edge does when somebody has signed in."""
    data = run.service.data
    async with open_database(data / "portway.db") as database:
        context = Context(database, now=time.time, seal=Seal(data / KEY_FILE))
        async with database.read() as connection:
            account = await owner(connection, credentials, credential)
        assert account
        person = Person("google", "https://accounts.google.com", f"p{number}", f"p{number}@b.example", "P")
        browser = Browser("Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0", "192.0.2.1", "DE", 1.5, 2.5, 10)
        place = ("https://a.example", "a.example oauth")
        opening = SessionOpening(account, "ep_1", *place, "c", "s", f"h{number}", person, Tokens(), browser)
        return await identities.open_session(context, opening)
