"""Queries on people who have signed in, and their sessions, that no other noun has."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, delete, insert, select, update

from portway.control.store.core import AsyncConnection
from portway.control.store.identity_tables import application_sessions, application_users
from portway.control.store.rows import AnyRow

_users = application_users.c
_sessions = application_sessions.c

_PERSON: Final = (
    _users.provider, _users.provider_url, _users.subject, _users.email, _users.name, _users.username,
)  # fmt: skip


def _with_person() -> Select[Any]:
    """Return the query for sessions, each with who it is."""
    joined = application_sessions.join(application_users, _users.id == _sessions.user_id)
    return select(application_sessions, *_PERSON).select_from(joined)


async def user_of(
    connection: AsyncConnection, account_id: str, provider: str, url: str, subject: str
) -> AnyRow | None:
    """Return a person by who it is at the provider."""
    query = select(application_users).where(
        _users.account_id == account_id,
        _users.provider == provider,
        _users.provider_url == url,
        _users.subject == subject,
    )
    return (await connection.execute(query)).first()


async def change_user(connection: AsyncConnection, user_id: str, values: dict[str, Any]) -> None:
    """Change what is known of a person."""
    await connection.execute(update(application_users).where(_users.id == user_id).values(values))


async def by_token(connection: AsyncConnection, token_hash: str) -> AnyRow | None:
    """Return the session of a cookie, whoever has it, with its person."""
    return (await connection.execute(_with_person().where(_sessions.token_hash == token_hash))).first()


async def by_id(connection: AsyncConnection, session_id: str) -> AnyRow | None:
    """Return a session, whoever has it, with its person. For the data plane alone."""
    return (await connection.execute(_with_person().where(_sessions.id == session_id))).first()


async def add_session(connection: AsyncConnection, values: dict[str, Any]) -> None:
    """Add a session."""
    await connection.execute(insert(application_sessions).values(values))


async def change_session(connection: AsyncConnection, session_id: str, values: dict[str, Any]) -> bool:
    """Change a session; tell whether there was one."""
    done = await connection.execute(
        update(application_sessions).where(_sessions.id == session_id).values(values)
    )
    return done.rowcount > 0


async def sessions_of(connection: AsyncConnection, user_id: str) -> list[str]:
    """Return the identifiers of a person's sessions, oldest first."""
    query = select(_sessions.id).where(_sessions.user_id == user_id).order_by(_sessions.id)
    return list((await connection.execute(query)).scalars())


async def remove_sessions(connection: AsyncConnection, ids: Sequence[str]) -> None:
    """Remove sessions."""
    for start in range(0, len(ids), 500):
        await _remove(connection, _sessions.id.in_(ids[start : start + 500]))


async def remove_expired(connection: AsyncConnection, now: float) -> None:
    """Remove the sessions that nobody can use any more."""
    await _remove(connection, _sessions.expires_at < now)


async def _remove(connection: AsyncConnection, where: ColumnElement[bool]) -> None:
    await connection.execute(delete(application_sessions).where(where))
