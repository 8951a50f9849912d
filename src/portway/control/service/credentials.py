"""Credentials: the authtokens with which agents connect."""

from typing import Final

from portway.control.service import accounts, keys, plans, shown
from portway.control.service.context import Context
from portway.control.service.keys import Texts
from portway.control.store import changes
from portway.control.store import keys as store
from portway.control.store.core import AsyncConnection
from portway.control.store.keys import KeyRow
from portway.control.store.rows import Page
from portway.control.store.tables import credentials
from portway.errors import Error, RefusedSession
from portway.model.entities import Credential, Grant, Issued
from portway.model.ids import well_formed_token


def _credential(row: KeyRow) -> Credential:
    return Credential(
        row.id,
        row.account_id,
        row.description,
        row.created_at,
        row.revoked_at,
        row.metadata,
        row.owner_id,
        row.acl,
    )


KIND: Final = keys.Kind(
    credentials,
    "cr",
    "authtoken",
    changes.CREDENTIAL,
    "tunnel_credential",
    lambda settings, row: shown.credential(settings, _credential(row)),
)

_GATE: Final = plans.Gate("authtokens", "authtokens", credentials, 615, 615, 602)

# What a tenant does.


async def create(context: Context, account_id: str, given: Texts, owner_id: str = "") -> Issued[Credential]:
    """Make an authtoken of an account. Raises Error 600, 604 or 605, 602 or 615 when its plan is full."""
    async with context.database.write() as connection:
        await plans.check_room(context, connection, account_id, _GATE, credentials.c.revoked_at.is_(None))
        row, token = await keys.issue(context, connection, KIND, account_id, given, owner_id)
    return Issued(_credential(row), token)


async def get(context: Context, account_id: str, credential_id: str) -> Credential:
    """Return one of an account's authtokens. Raises NotFound."""
    async with context.database.read() as connection:
        return _credential(await keys.get(connection, KIND, account_id, credential_id))


async def page(context: Context, account_id: str, page: Page) -> list[Credential]:
    """Return a page of an account's authtokens, newest first, and one beyond it if there are more."""
    async with context.database.read() as connection:
        return [_credential(row) for row in await store.page(connection, credentials, account_id, page)]


async def update(context: Context, account_id: str, credential_id: str, given: Texts) -> Credential:
    """Change an authtoken; new rules hold for its live sessions too. Raises NotFound, Error 600, 604–606."""
    return _credential(await keys.update(context, KIND, account_id, credential_id, given))


async def delete(context: Context, account_id: str, credential_id: str) -> None:
    """End an authtoken and the sessions it opened. Raises NotFound."""
    await keys.delete(context, KIND, account_id, credential_id)


# What the operator does, for any account.


async def add(context: Context, account: str | None = None, description: str = "") -> Issued[Credential]:
    """Make an authtoken of an account (identifier or name; None: the only one). Raises Error."""
    async with context.database.write() as connection:
        owner = await accounts.resolve(connection, account)
        return await add_within(context, connection, owner.id, description)


async def add_within(
    context: Context, connection: AsyncConnection, account_id: str, description: str = ""
) -> Issued[Credential]:
    """Make an authtoken as a part of a larger transaction. Raises Error 604."""
    row, token = await keys.issue(context, connection, KIND, account_id, Texts(description))
    return Issued(_credential(row), token)


async def listed(context: Context, account: str | None = None) -> list[Credential]:
    """Return the authtokens of one account or of all, oldest first, revoked ones too."""
    async with context.database.read() as connection:
        owner = (await accounts.resolve(connection, account)).id if account is not None else None
        return [_credential(row) for row in await store.listed(connection, credentials, owner)]


async def revoke(context: Context, key: str) -> Credential:
    """End an authtoken (by its identifier) and, within a second, the sessions it opened. Raises Error."""
    return _credential(await keys.revoke(context, KIND, key))


# What an agent does.


async def authenticate(context: Context, token: str) -> Grant:
    """Check what an agent presents.

    Raises Error 4018 when there is nothing, 105 when it cannot be a token, 107 when it is unknown
    or revoked. The token itself is never repeated.
    """
    token = token.strip()
    if not token:
        raise Error("An authtoken is needed; the administrator of this service can make one.", 4018)
    if not well_formed_token(token):
        raise Error("The authtoken is malformed: it may have been cut or altered when copied.", 105)
    async with context.database.read() as connection:
        found = await keys.owner_of(connection, KIND, token)
    if found is None or found[0].revoked_at is not None:
        unknown = "The authtoken is well formed but this service does not know it, or it was revoked."
        if found is not None:
            raise RefusedSession(unknown, 107, found[1].account_id, found[0].id)
        raise Error(unknown, 107)
    row, owner = found
    return Grant(owner.account_id, owner.account_name, owner.plan, row.id, row.acl)


async def known(context: Context, token: str) -> bool:
    """Tell whether a token is a good authtoken now."""
    async with context.database.read() as connection:
        return await keys.check(connection, KIND, token) is not None
