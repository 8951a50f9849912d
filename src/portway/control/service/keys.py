"""What credentials and API keys share: issuing, revoking and checking a secret.

A token is shown once, when it is issued. The store keeps its SHA-256; a presented token is compared
with it in constant time, and a row that does not exist costs the same comparison.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from portway.control.service.context import Context
from portway.control.store import keys as store
from portway.control.store.keys import KeyRow, Owner
from portway.errors import Error
from portway.model.ids import new_id, new_token, token_row

DESCRIPTION_LIMIT: Final = 255
"""Bytes of a description; more is ERR_NGROK_604."""

_NOBODY: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of key: its table, the prefix of its identifiers, its name for people."""

    table: Table
    prefix: str
    name: str


async def issue(
    context: Context, connection: AsyncConnection, kind: Kind, account_id: str, description: str
) -> tuple[KeyRow, str]:
    """Make a key; return its row and its token, which cannot be had again. Raises Error 604."""
    if len(description.encode()) > DESCRIPTION_LIMIT:
        raise Error(f"A description has at most {DESCRIPTION_LIMIT} bytes.", 604)
    now = context.now()
    key_id = new_id(kind.prefix, context.random, now)
    token = new_token(key_id, context.random)
    row = KeyRow(key_id, account_id, description, _hash(token), now)
    await store.add(connection, kind.table, row)
    return row, token


async def revoke(context: Context, connection: AsyncConnection, kind: Kind, key: str) -> KeyRow:
    """Make a key useless. ``key`` is its identifier. Raises Error when there is none.

    Revoking twice is no error: the first time stands.
    """
    row = await store.find(connection, kind.table, key)
    if row is None:
        raise Error(f"There is no {kind.name} {key!r}.")
    if row.revoked_at is None:
        await store.revoke(connection, kind.table, row.id, context.now())
        row = await store.find(connection, kind.table, row.id) or row
    return row


async def check(connection: AsyncConnection, kind: Kind, token: str) -> tuple[KeyRow, Owner] | None:
    """Return key and account of a token that is good now, else None."""
    found = await store.owner(connection, kind.table, f"{kind.prefix}_{token_row(token)}")
    expected = found[0].token_hash if found else _NOBODY
    same = hmac.compare_digest(_hash(token), expected)
    return found if found and same and found[0].revoked_at is None else None


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
