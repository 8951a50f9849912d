"""API keys: what opens the control API."""

import re
from typing import Final

from portway.control.service import credentials, plans, shown
from portway.control.service.context import Context
from portway.control.service.keys import Kind
from portway.control.store import changes
from portway.control.store.keys import KeyRow
from portway.control.store.tables import api_keys
from portway.errors import Error
from portway.model.entities import ApiKey
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


KIND: Final = Kind(
    api_keys,
    "ak",
    "API key",
    changes.API_KEY,
    "api_key",
    _api_key,
    shown.api_key,
    plans.Gate("api_keys", "API keys", api_keys, 613, 613, 603),
)
create, get, page, update, delete = KIND.create, KIND.get, KIND.page, KIND.update, KIND.delete
add, add_within, listed, revoke = KIND.add, KIND.add_within, KIND.listed, KIND.revoke
known = KIND.known

_IDENTIFIER: Final = re.compile(rf"(ak|cr)_[0-9A-Za-z]{{{ID_LENGTH}}}", re.ASCII)

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
        found = await KIND.check(connection, token)
    if found is not None:
        return _api_key(found[0])
    if await credentials.known(context, token):
        raise Error("This is an authtoken, which is for agents; the API wants an API key.", 206)
    raise Error("This service does not know the API key, or it was revoked.", 203)
