"""What credentials and API keys share: issuing, changing, revoking and checking a secret.

A token is shown once, when it is issued. The store keeps its SHA-256; a presented token is compared
with it in constant time, and a row that does not exist costs the same comparison.

There are no users yet to own a key: a key belongs to whom the key that made it belongs.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Table

from portway.control.service import audit, texts
from portway.control.service.context import Context
from portway.control.service.settings import Settings
from portway.control.store import changes
from portway.control.store import keys as store
from portway.control.store.core import AsyncConnection
from portway.control.store.keys import KeyRow, Owner
from portway.errors import Error, NotFound
from portway.model.acl import Acl
from portway.model.ids import new_id, new_token, token_row

TEXT_CODES: Final = (604, 605)
"""Codes of a description and of metadata that are too long."""

_NOBODY: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of key: its table, the prefix of its identifiers, its name for people, its changes.

    ``stem`` is what audit events call it, ``shown`` makes what they have as their object.
    """

    table: Table
    prefix: str
    name: str
    change: str
    stem: str
    shown: Callable[[Settings, KeyRow], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Texts:
    """What a key is given or changed to; None: left as it is."""

    description: str | None = None
    metadata: str | None = None
    acl: tuple[str, ...] | None = None

    def values(self) -> dict[str, object]:
        """Return the columns to write. Raises Error 604, 605 or 600."""
        texts.check(self.description, self.metadata, TEXT_CODES)
        values: dict[str, object] = dict(texts.given(description=self.description, metadata=self.metadata))
        if self.acl is not None:
            Acl.parse(self.acl)
            values["acl"] = store.written_acl(self.acl)
        return values

    def news(self) -> dict[str, object]:
        """Return the columns to change. Raises Error 606 when there are none, and as ``values`` does."""
        values = self.values()
        if not values:
            raise Error("The update names nothing to change.", 606)
        return values


def check_owner(asked: str, own: str) -> str:
    """Return whom a new key shall belong to. Raises Error 634: only the caller's own user can."""
    if asked and asked != own:
        raise Error(f"There is no user {asked[:100]!r} to own this.", 634)
    return own


async def issue(
    context: Context,
    connection: AsyncConnection,
    kind: Kind,
    account_id: str,
    given: Texts,
    owner_id: str = "",
) -> tuple[KeyRow, str]:
    """Make a key; return its row and its token, which cannot be had again. Raises Error 600, 604, 605."""
    given.values()
    now = context.now()
    key_id = new_id(kind.prefix, context.random, now)
    token = new_token(key_id, context.random)
    row = KeyRow(
        key_id,
        account_id,
        given.description or "",
        _hash(token),
        now,
        metadata=given.metadata or "",
        owner_id=owner_id,
        acl=given.acl or (),
    )
    await store.add(connection, kind.table, row)
    await changes.note(connection, kind.change, account_id, key_id, now)
    await _tell(context, connection, kind, "created", row)
    return row, token


async def get(connection: AsyncConnection, kind: Kind, account_id: str, key_id: str) -> KeyRow:
    """Return an account's key. Raises NotFound."""
    row = await store.owned(connection, kind.table, account_id, key_id)
    if row is None:
        raise NotFound
    return row


async def update(context: Context, kind: Kind, account_id: str, key_id: str, given: Texts) -> KeyRow:
    """Change what a key is called, and what it may. Raises NotFound, Error 600 or 604–606."""
    async with context.database.write() as connection:
        await get(connection, kind, account_id, key_id)
        await store.change(connection, kind.table, key_id, given.news())
        await changes.note(connection, kind.change, account_id, key_id, context.now())
        row = await get(connection, kind, account_id, key_id)
        await _tell(context, connection, kind, "updated", row)
        return row


async def delete(context: Context, kind: Kind, account_id: str, key_id: str) -> None:
    """Make an account's key useless. Raises NotFound."""
    async with context.database.write() as connection:
        row = await get(connection, kind, account_id, key_id)
        await _end(context, connection, kind, row)


async def revoke(context: Context, kind: Kind, key: str) -> KeyRow:
    """Make a key useless, whoever owns it. ``key`` is its identifier. Raises Error when there is none.

    Revoking twice is no error: the first time stands.
    """
    async with context.database.write() as connection:
        row = await store.find(connection, kind.table, key)
        if row is None:
            raise Error(f"There is no {kind.name} {key!r}.")
        if row.revoked_at is None:
            await _end(context, connection, kind, row)
            row = await store.find(connection, kind.table, row.id) or row
        return row


async def check(connection: AsyncConnection, kind: Kind, token: str) -> tuple[KeyRow, Owner] | None:
    """Return key and account of a token that is good now, else None."""
    found = await owner_of(connection, kind, token)
    return found if found is not None and found[0].revoked_at is None else None


async def owner_of(connection: AsyncConnection, kind: Kind, token: str) -> tuple[KeyRow, Owner] | None:
    """Return key and account of a token, good or revoked; None if it never was one."""
    found = await store.owner(connection, kind.table, f"{kind.prefix}_{token_row(token)}")
    expected = found[0].token_hash if found else _NOBODY
    same = hmac.compare_digest(_hash(token), expected)
    return found if found and same else None


async def _end(context: Context, connection: AsyncConnection, kind: Kind, row: KeyRow) -> None:
    now = context.now()
    await store.revoke(connection, kind.table, row.id, now)
    await changes.note(connection, kind.change, row.account_id, row.id, now)
    await _tell(context, connection, kind, "deleted", row)


async def _tell(
    context: Context, connection: AsyncConnection, kind: Kind, action: audit.Action, row: KeyRow
) -> None:
    seen = kind.shown(context.settings, row)
    await audit.note(connection, context, kind.stem, action, row.account_id, seen)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
