"""API keys: what opens the control API."""

import re
from typing import Final

from portway.control.service import accounts, credentials, keys, plans, shown
from portway.control.service.context import Context
from portway.control.service.keys import Texts
from portway.control.store import changes
from portway.control.store import keys as store
from portway.control.store.core import AsyncConnection
from portway.control.store.keys import KeyRow
from portway.control.store.rows import Page
from portway.control.store.tables import api_keys
from portway.errors import Error
from portway.model.entities import ApiKey, Issued
from portway.model.ids import ID_LENGTH, token_row, well_formed_token


def _api_key(row: KeyRow) -> ApiKey:
    return ApiKey(
        row.id,
        row.account_id,
        row.description,
        row.created_at,
        row.revoked_at,
        row.metadata,
        row.owner_id,
    )


KIND: Final = keys.Kind(
    api_keys,
    "ak",
    "API key",
    changes.API_KEY,
    "api_key",
    lambda settings, row: shown.api_key(settings, _api_key(row)),
)

_GATE: Final = plans.Gate("api_keys", "API keys", api_keys, 613, 613, 603)

_IDENTIFIER: Final = re.compile(rf"(ak|cr)_[0-9A-Za-z]{{{ID_LENGTH}}}", re.ASCII)

# What a tenant does.


async def create(context: Context, account_id: str, given: Texts, owner_id: str = "") -> Issued[ApiKey]:
    """Make an API key of an account. Raises Error 604 or 605, 603 or 613 when its plan is full."""
    async with context.database.write() as connection:
        await plans.check_room(context, connection, account_id, _GATE, api_keys.c.revoked_at.is_(None))
        row, token = await keys.issue(context, connection, KIND, account_id, given, owner_id)
    return Issued(_api_key(row), token)


async def get(context: Context, account_id: str, key_id: str) -> ApiKey:
    """Return one of an account's API keys. Raises NotFound."""
    async with context.database.read() as connection:
        return _api_key(await keys.get(connection, KIND, account_id, key_id))


async def page(context: Context, account_id: str, page: Page) -> list[ApiKey]:
    """Return a page of an account's API keys, newest first, and one beyond it if there are more."""
    async with context.database.read() as connection:
        return [_api_key(row) for row in await store.page(connection, api_keys, account_id, page)]


async def update(context: Context, account_id: str, key_id: str, given: Texts) -> ApiKey:
    """Change the texts of an API key. Raises NotFound, Error 604–606."""
    return _api_key(await keys.update(context, KIND, account_id, key_id, given))


async def delete(context: Context, account_id: str, key_id: str) -> None:
    """End an API key. Raises NotFound."""
    await keys.delete(context, KIND, account_id, key_id)


# What the operator does, for any account.


async def add(context: Context, account: str | None = None, description: str = "") -> Issued[ApiKey]:
    """Make an API key of an account (identifier or name; None: the only one). Raises Error."""
    async with context.database.write() as connection:
        owner = await accounts.resolve(connection, account)
        return await add_within(context, connection, owner.id, description)


async def add_within(
    context: Context, connection: AsyncConnection, account_id: str, description: str = ""
) -> Issued[ApiKey]:
    """Make an API key as a part of a larger transaction. Raises Error 604."""
    row, token = await keys.issue(context, connection, KIND, account_id, Texts(description))
    return Issued(_api_key(row), token)


async def listed(context: Context, account: str | None = None) -> list[ApiKey]:
    """Return the API keys of one account or of all, oldest first, revoked ones too."""
    async with context.database.read() as connection:
        owner = (await accounts.resolve(connection, account)).id if account is not None else None
        return [_api_key(row) for row in await store.listed(connection, api_keys, owner)]


async def revoke(context: Context, key: str) -> ApiKey:
    """End an API key (by its identifier). Raises Error when there is none."""
    return _api_key(await keys.revoke(context, KIND, key))


# What opens the API.


async def authenticate(context: Context, token: str) -> ApiKey:
    """Check what a client of the API presents.

    Raises Error 208 or 207 for the identifier of an API key or of an authtoken, 202 for what cannot
    be a key, 206 for a good authtoken, 203 for a key that is unknown or revoked.
    """
    if identifier := _IDENTIFIER.fullmatch(token):
        if identifier[1] == "ak":
            raise Error("This is the identifier of an API key; send its token, shown when it was made.", 208)
        raise Error("This is the identifier of an authtoken; the API wants the token of an API key.", 207)
    if not well_formed_token(token) or not token_row(token):
        raise Error("This cannot be an API key: it may have been cut or altered when copied.", 202)
    async with context.database.read() as connection:
        found = await keys.check(connection, KIND, token)
    if found is not None:
        return _api_key(found[0])
    if await credentials.known(context, token):
        raise Error("This is an authtoken, which is for agents; the API wants an API key.", 206)
    raise Error("This service does not know the API key, or it was revoked.", 203)


async def known(context: Context, token: str) -> bool:
    """Tell whether a token is a good API key now."""
    async with context.database.read() as connection:
        return await keys.check(connection, KIND, token) is not None
