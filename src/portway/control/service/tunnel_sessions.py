"""Tunnel sessions: the agents that are connected now, and what they can be told to do."""

from itertools import islice

from portway.control.service import online
from portway.control.service.context import Context
from portway.control.store.rows import Page
from portway.errors import NotFound
from portway.model.live import LiveSession


async def listed(context: Context, account_id: str, page: Page) -> list[LiveSession]:
    """Return a page of an account's sessions, newest first, and one beyond it if there are more."""
    live = await online.directory(context)
    return list(islice(live.sessions.older(account_id, page.before_id), page.limit + 1))


async def get(context: Context, account_id: str, session_id: str) -> LiveSession:
    """Return one session of an account. Raises NotFound."""
    session = (await online.directory(context)).sessions.get(account_id, session_id)
    if session is None:
        raise NotFound
    return session


async def command(
    context: Context, account_id: str, session_id: str, what: str, version: str = ""
) -> LiveSession:
    """Have an agent "stop", "restart" or "update" itself, and return when it says that it does.

    ``version`` is for update, "" meaning the newest. Raises NotFound; Error 804 to 806 when the agent does
    not do that, 807 to 809 when it failed, 810 when nobody knows what it did. Cancelled: it may have done
    it.
    """
    session = await get(context, account_id, session_id)
    await context.agents.command(session.id, what, version)
    return session
