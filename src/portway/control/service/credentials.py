"""Credentials: the authtokens with which agents connect."""

from typing import Final

from portway.control.service import plans, shown
from portway.control.service.context import Context
from portway.control.service.keys import Kind
from portway.control.store import changes
from portway.control.store.keys import KeyRow
from portway.control.store.tables import credentials
from portway.errors import Error, RefusedSession
from portway.model.entities import Credential, Grant
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


KIND: Final = Kind(
    credentials,
    "cr",
    "authtoken",
    changes.CREDENTIAL,
    "tunnel_credential",
    _credential,
    shown.credential,
    plans.Gate("authtokens", "authtokens", credentials, 615, 615, 602),
)
create, get, page, update, delete = KIND.create, KIND.get, KIND.page, KIND.update, KIND.delete
add, add_within, listed, revoke = KIND.add, KIND.add_within, KIND.listed, KIND.revoke
known = KIND.known

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
        found = await KIND.owner_of(connection, token)
    if found is None or found[0].revoked_at is not None:
        unknown = "The authtoken is well formed but this service does not know it, or it was revoked."
        if found is not None:
            raise RefusedSession(unknown, 107, found[1].account_id, found[0].id)
        raise Error(unknown, 107)
    row, owner = found
    return Grant(owner.account_id, owner.account_name, owner.plan, row.id, row.acl)
