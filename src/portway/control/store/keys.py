"""Queries on keys: credentials and API keys have one shape, so one set of queries serves both.

A key that was revoked stays, so that what it did can be told; for the API it is gone.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Select, Table, insert, literal, select, update
from sqlalchemy.engine import Row

from portway.control.store import rows
from portway.control.store.core import AsyncConnection
from portway.control.store.rows import Page
from portway.control.store.tables import accounts

_COLUMNS = (
    "id",
    "account_id",
    "description",
    "token_hash",
    "created_at",
    "revoked_at",
    "metadata",
    "owner_id",
)


class KeyRow(msgspec.Struct, frozen=True):
    """A stored key. ``token_hash`` is the SHA-256 of its token; API keys have no ``acl``."""

    id: str
    account_id: str
    description: str
    token_hash: bytes
    created_at: float
    revoked_at: float | None = None
    metadata: str = ""
    owner_id: str = ""
    acl: tuple[str, ...] = ()


class Owner(msgspec.Struct, frozen=True):
    """The account of a key, as far as a check needs it."""

    account_id: str
    account_name: str
    plan: str


async def add(connection: AsyncConnection, table: Table, row: KeyRow) -> None:
    """Add a key."""
    values: dict[str, object] = {
        "id": row.id,
        "account_id": row.account_id,
        "description": row.description,
        "token_hash": row.token_hash,
        "created_at": row.created_at,
        "revoked_at": row.revoked_at,
        "metadata": row.metadata,
        "owner_id": row.owner_id,
    }
    if "acl" in table.c:
        values["acl"] = written_acl(row.acl)
    await connection.execute(insert(table).values(values))


async def find(connection: AsyncConnection, table: Table, key_id: str) -> KeyRow | None:
    """Return the key with this identifier, whoever owns it and whether it is good or not."""
    row = (await connection.execute(_select(table).where(table.c.id == key_id))).first()
    return _row(row) if row else None


async def owned(connection: AsyncConnection, table: Table, account_id: str, key_id: str) -> KeyRow | None:
    """Return an account's key if it is good."""
    query = _select(table).where(
        table.c.id == key_id, table.c.account_id == account_id, table.c.revoked_at.is_(None)
    )
    row = (await connection.execute(query)).first()
    return _row(row) if row else None


async def listed(connection: AsyncConnection, table: Table, account_id: str | None) -> list[KeyRow]:
    """Return the keys of one account, or of all, oldest first, revoked ones too."""
    query = _select(table).order_by(table.c.created_at, table.c.id)
    if account_id is not None:
        query = query.where(table.c.account_id == account_id)
    return [_row(row) for row in await connection.execute(query)]


async def page(connection: AsyncConnection, table: Table, account_id: str, page: Page) -> list[KeyRow]:
    """Return a page of an account's good keys, and one beyond it if there are more."""
    found = await rows.page(connection, table, account_id, page, table.c.revoked_at.is_(None))
    return [_row(row) for row in found]


async def change(
    connection: AsyncConnection, table: Table, key_id: str, values: Mapping[str, object]
) -> None:
    """Give columns of a key new values."""
    await connection.execute(update(table).where(table.c.id == key_id).values(dict(values)))


async def revoke(connection: AsyncConnection, table: Table, key_id: str, now: float) -> None:
    """Mark a key as no longer good."""
    await change(connection, table, key_id, {"revoked_at": now})


async def owner(connection: AsyncConnection, table: Table, key_id: str) -> tuple[KeyRow, Owner] | None:
    """Return a key and its account in one query: what authentication needs."""
    query = (
        _select(table)
        .add_columns(accounts.c.name.label("account_name"), accounts.c.plan)
        .join(accounts, accounts.c.id == table.c.account_id)
        .where(table.c.id == key_id)
    )
    row = (await connection.execute(query)).first()
    return (_row(row), Owner(row.account_id, row.account_name, row.plan)) if row else None


def written_acl(rules: Sequence[str]) -> str:
    """Return access rules as their column holds them."""
    return json.dumps(list(rules))


def read_acl(text: str) -> tuple[str, ...]:
    """Return what :func:`written_acl` wrote."""
    return tuple(json.loads(text))


def _select(table: Table) -> Select[Any]:
    acl = table.c.acl if "acl" in table.c else literal("[]").label("acl")
    return select(*(table.c[name] for name in _COLUMNS), acl)


def _row(row: Row[Any]) -> KeyRow:
    return KeyRow(
        row.id,
        row.account_id,
        row.description,
        row.token_hash,
        row.created_at,
        row.revoked_at,
        row.metadata,
        row.owner_id,
        read_acl(getattr(row, "acl", "[]")),
    )
