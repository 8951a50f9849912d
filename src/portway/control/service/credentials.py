"""Credentials: the authtokens with which agents connect."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from portway.control.service import accounts, keys
from portway.control.service.context import Context
from portway.control.store import changes
from portway.control.store import keys as store
from portway.control.store.keys import KeyRow
from portway.control.store.tables import credentials
from portway.errors import Error
from portway.model.entities import Credential, Grant, Issued
from portway.model.ids import well_formed_token

_KIND: Final = keys.Kind(credentials, "cr", "authtoken")


async def add(context: Context, account: str | None = None, description: str = "") -> Issued[Credential]:
    """Make an authtoken of an account (identifier or name; None: the only one). Raises Error."""
    async with context.database.write() as connection:
        owner = await accounts.resolve(connection, account)
        return await add_within(context, connection, owner.id, description)


async def add_within(
    context: Context, connection: AsyncConnection, account_id: str, description: str = ""
) -> Issued[Credential]:
    """Make an authtoken as a part of a larger transaction. Raises Error 604."""
    row, token = await keys.issue(context, connection, _KIND, account_id, description)
    return Issued(_credential(row), token)


async def listed(context: Context, account: str | None = None) -> list[Credential]:
    """Return the authtokens of one account or of all, oldest first, revoked ones too."""
    async with context.database.read() as connection:
        owner = (await accounts.resolve(connection, account)).id if account is not None else None
        return [_credential(row) for row in await store.listed(connection, credentials, owner)]


async def revoke(context: Context, key: str) -> Credential:
    """End an authtoken (by its identifier) and, within a second, the sessions it opened. Raises Error."""
    async with context.database.write() as connection:
        row = await keys.revoke(context, connection, _KIND, key)
        await changes.note(connection, changes.CREDENTIAL, row.account_id, row.id, context.now())
    return _credential(row)


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
        found = await keys.check(connection, _KIND, token)
    if found is None:
        raise Error("The authtoken is well formed but this service does not know it, or it was revoked.", 107)
    row, owner = found
    return Grant(owner.account_id, owner.account_name, owner.plan, row.id)


def _credential(row: KeyRow) -> Credential:
    return Credential(row.id, row.account_id, row.description, row.created_at, row.revoked_at)
