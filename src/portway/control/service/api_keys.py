"""API keys: what opens the control API."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from portway.control.service import accounts, keys
from portway.control.service.context import Context
from portway.control.store import keys as store
from portway.control.store.keys import KeyRow
from portway.control.store.tables import api_keys
from portway.model.entities import ApiKey, Issued

_KIND: Final = keys.Kind(api_keys, "ak", "API key")


async def add(context: Context, account: str | None = None, description: str = "") -> Issued[ApiKey]:
    """Make an API key of an account (identifier or name; None: the only one). Raises Error."""
    async with context.database.write() as connection:
        owner = await accounts.resolve(connection, account)
        return await add_within(context, connection, owner.id, description)


async def add_within(
    context: Context, connection: AsyncConnection, account_id: str, description: str = ""
) -> Issued[ApiKey]:
    """Make an API key as a part of a larger transaction. Raises Error 604."""
    row, token = await keys.issue(context, connection, _KIND, account_id, description)
    return Issued(_api_key(row), token)


async def listed(context: Context, account: str | None = None) -> list[ApiKey]:
    """Return the API keys of one account or of all, oldest first, revoked ones too."""
    async with context.database.read() as connection:
        owner = (await accounts.resolve(connection, account)).id if account is not None else None
        return [_api_key(row) for row in await store.listed(connection, api_keys, owner)]


async def revoke(context: Context, key: str) -> ApiKey:
    """End an API key (by its identifier). Raises Error when there is none."""
    async with context.database.write() as connection:
        return _api_key(await keys.revoke(context, connection, _KIND, key))


async def known(context: Context, token: str) -> bool:
    """Tell whether a token is a good API key now."""
    async with context.database.read() as connection:
        return await keys.check(connection, _KIND, token) is not None


def _api_key(row: KeyRow) -> ApiKey:
    return ApiKey(row.id, row.account_id, row.description, row.created_at, row.revoked_at)
