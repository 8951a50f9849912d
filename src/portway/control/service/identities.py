"""People who have signed in at endpoints, and their sessions.

The data plane makes and uses sessions; an account's owner can look at them and end them. A session that is
deleted, alone or with its person, is told to the data plane as a change and lets nobody in from then on.
"""

from typing import Any, Final

import msgspec

from portway.control.service.context import Context
from portway.control.store import changes, identities, nouns, rows
from portway.control.store.core import AsyncConnection
from portway.control.store.identity_tables import application_sessions, application_users
from portway.control.store.rows import AnyRow, Page
from portway.errors import ConfigError, Error, NotFound
from portway.model.identity import Person, SessionOpening, SessionRefresh, Tokens, VisitorSession
from portway.model.ids import new_id

KEPT: Final = 30 * 86_400.0
"""Seconds that a session without an idle timeout may be unused."""
SESSIONS_OF_USER: Final = 100
"""Sessions of one person; the oldest ends when there is one more."""


class User(msgspec.Struct, frozen=True):
    """A person, as an account sees them. Times are Unix seconds."""

    id: str
    provider: str
    provider_url: str
    subject: str
    email: str
    name: str
    username: str
    created_at: float
    last_active: float
    last_login: float


class UserSession(msgspec.Struct, frozen=True):
    """A session, as an account sees it."""

    id: str
    user_id: str
    endpoint_id: str
    public_url: str
    user_agent: str
    ip: str
    country: str
    latitude: float
    longitude: float
    radius: int
    created_at: float
    last_active: float
    expires_at: float


# -- for an account


async def user(context: Context, account_id: str, user_id: str) -> User:
    """Return a person. Raises NotFound."""
    async with context.database.read() as connection:
        row = await nouns.find(connection, application_users, account_id, user_id)
    if row is None:
        raise NotFound
    return _user(row)


async def users(context: Context, account_id: str, page: Page) -> list[User]:
    """Return a page of an account's people, newest first, and one beyond it if there are more."""
    async with context.database.read() as connection:
        return [_user(row) for row in await rows.page(connection, application_users, account_id, page)]


async def delete_user(context: Context, account_id: str, user_id: str) -> None:
    """Forget a person and end all their sessions. Raises NotFound."""
    async with context.database.write() as connection:
        if await nouns.find(connection, application_users, account_id, user_id) is None:
            raise NotFound
        await _end(context, connection, account_id, await identities.sessions_of(connection, user_id))
        await nouns.remove(connection, application_users, account_id, user_id)


async def session(context: Context, account_id: str, session_id: str) -> UserSession:
    """Return a session. Raises NotFound."""
    async with context.database.read() as connection:
        row = await nouns.find(connection, application_sessions, account_id, session_id)
    if row is None or row.expires_at < context.now():
        raise NotFound
    return _session(row)


async def sessions(context: Context, account_id: str, page: Page) -> list[UserSession]:
    """Return a page of an account's sessions, newest first, and one beyond it if there are more."""
    stands = application_sessions.c.expires_at >= context.now()
    async with context.database.read() as connection:
        found = await rows.page(connection, application_sessions, account_id, page, stands)
    return [_session(row) for row in found]


async def delete_session(context: Context, account_id: str, session_id: str) -> None:
    """End a session. Raises NotFound."""
    async with context.database.write() as connection:
        if await nouns.find(connection, application_sessions, account_id, session_id) is None:
            raise NotFound
        await _end(context, connection, account_id, [session_id])


# -- for the data plane


async def open_session(context: Context, opening: SessionOpening) -> VisitorSession:
    """Make a session, and the person if it is not known yet. Raises Error 128: tokens cannot be sealed."""
    now = context.now()
    session_id = new_id("appsess", context.random, now)
    sealed = _sealed(context, opening.tokens, session_id)
    browser = opening.browser
    async with context.database.write() as connection:
        await identities.remove_expired(connection, now)
        user_id = await _known(context, connection, opening.account_id, opening.person, now)
        earlier = await identities.sessions_of(connection, user_id)
        surplus = earlier[: max(0, len(earlier) - SESSIONS_OF_USER + 1)]
        await _end(context, connection, opening.account_id, surplus)
        values: dict[str, Any] = {
            "id": session_id,
            "account_id": opening.account_id,
            "user_id": user_id,
            "endpoint_id": opening.endpoint_id,
            "public_url": opening.url,
            "realm": opening.realm,
            "client": opening.client,
            "settings": opening.settings,
            "token_hash": opening.token_hash,
            "sealed_tokens": sealed,
            "user_agent": browser.user_agent,
            "ip": browser.address,
            "country": browser.country,
            "latitude": browser.latitude,
            "longitude": browser.longitude,
            "radius": browser.radius,
            "idle": opening.idle,
            "most": opening.most,
            "created_at": now,
            "last_active": now,
            "refreshed_at": now,
            "expires_at": _end_of(now, now, opening.idle, opening.most),
        }
        await identities.add_session(connection, values)
    return VisitorSession(
        session_id, opening.account_id, user_id, opening.realm, opening.client, opening.settings,
        opening.person, opening.tokens, now, now, now, float(values["expires_at"]),
    )  # fmt: skip


async def find_session(context: Context, token_hash: str) -> VisitorSession | None:
    """Return the session of a cookie. Raises Error 128: its tokens cannot be opened."""
    async with context.database.read() as connection:
        row = await identities.by_token(connection, token_hash)
    if row is None or row.expires_at < context.now():
        return None
    return _read(context, row)


async def refresh_session(context: Context, refresh: SessionRefresh) -> VisitorSession | None:
    """Write down what was learnt anew of a person; None: the session has ended. Raises Error 128."""
    now = context.now()
    sealed = _sealed(context, refresh.tokens, refresh.session_id)
    person = refresh.person
    async with context.database.write() as connection:
        row = await identities.by_id(connection, refresh.session_id)
        if row is None or row.account_id != refresh.account_id:
            return None
        await identities.change_session(
            connection,
            refresh.session_id,
            {"settings": refresh.settings, "sealed_tokens": sealed, "refreshed_at": now},
        )
        known = {"email": person.email, "name": person.name, "username": person.username, "last_active": now}
        await identities.change_user(connection, row.user_id, known)
        fresh = await identities.by_id(connection, refresh.session_id)
    return None if fresh is None else _read(context, fresh)


async def use_session(context: Context, session_id: str, at: float) -> None:
    """Write down when a session was used last."""
    async with context.database.write() as connection:
        row = await identities.by_id(connection, session_id)
        if row is None or row.last_active >= at:
            return
        end = _end_of(row.created_at, at, row.idle, row.most)
        await identities.change_session(connection, session_id, {"last_active": at, "expires_at": end})
        await identities.change_user(connection, row.user_id, {"last_active": at})


async def close_session(context: Context, session_id: str) -> None:
    """End a session whose visitor has signed out; one that is gone is ignored."""
    async with context.database.write() as connection:
        row = await identities.by_id(connection, session_id)
        if row is not None:
            await _end(context, connection, row.account_id, [session_id])


# -- inside


async def _known(
    context: Context, connection: AsyncConnection, account_id: str, person: Person, now: float
) -> str:
    """Return the identifier of a person, whom the account knows from now on."""
    row = await identities.user_of(connection, account_id, person.provider, person.url, person.subject)
    said = {"email": person.email, "name": person.name, "username": person.username}
    if row is not None:
        values = {**said, "last_active": now, "last_login": now}
        await identities.change_user(connection, row.id, values)
        return str(row.id)
    user_id = new_id("appusr", context.random, now)
    values = {
        "id": user_id,
        "account_id": account_id,
        "provider": person.provider,
        "provider_url": person.url,
        "subject": person.subject,
        **said,
        "created_at": now,
        "last_active": now,
        "last_login": now,
    }
    await nouns.add(connection, application_users, values)
    return user_id


async def _end(context: Context, connection: AsyncConnection, account_id: str, ids: list[str]) -> None:
    """Remove sessions and have the data plane told."""
    if ids:
        await identities.remove_sessions(connection, ids)
        await changes.note_all(connection, changes.APP_SESSION, account_id, ids, context.now())


def _end_of(created_at: float, last_active: float, idle: float, most: float) -> float:
    end = last_active + (idle or KEPT)
    return min(end, created_at + most) if most else end


def _sealed(context: Context, tokens: Tokens, session_id: str) -> bytes:
    try:
        return context.seal.seal(msgspec.json.encode(tokens), session_id)
    except ConfigError as error:
        raise Error(f"The tokens of a session cannot be sealed: {error}", 128) from error


def _read(context: Context, row: AnyRow) -> VisitorSession:
    try:
        tokens = msgspec.json.decode(context.seal.open(row.sealed_tokens, row.id), type=Tokens)
    except (ConfigError, msgspec.MsgspecError) as error:
        raise Error(f"The tokens of a session cannot be opened: {error}", 128) from error
    person = Person(row.provider, row.provider_url, row.subject, row.email, row.name, row.username)
    return VisitorSession(
        row.id, row.account_id, row.user_id, row.realm, row.client, row.settings, person, tokens,
        row.created_at, row.last_active, row.refreshed_at, row.expires_at,
    )  # fmt: skip


def _user(row: Any) -> User:
    return User(
        row.id, row.provider, row.provider_url, row.subject, row.email, row.name, row.username,
        row.created_at, row.last_active, row.last_login,
    )  # fmt: skip


def _session(row: Any) -> UserSession:
    return UserSession(
        row.id, row.user_id, row.endpoint_id, row.public_url, row.user_agent, row.ip, row.country,
        row.latitude, row.longitude, row.radius, row.created_at, row.last_active, row.expires_at,
    )  # fmt: skip
