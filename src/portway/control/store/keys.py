"""Queries on keys: credentials and API keys have one shape, so one set of queries serves both."""

from dataclasses import dataclass

from sqlalchemy import Select, Table, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from portway.control.store.tables import accounts


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A stored key. ``token_hash`` is the SHA-256 of its token."""

    id: str
    account_id: str
    description: str
    token_hash: bytes
    created_at: float
    revoked_at: float | None = None


@dataclass(frozen=True, slots=True)
class Owner:
    """The account of a key, as far as a check needs it."""

    account_id: str
    account_name: str
    plan: str


async def add(connection: AsyncConnection, table: Table, row: KeyRow) -> None:
    """Add a key."""
    await connection.execute(
        insert(table).values(
            id=row.id,
            account_id=row.account_id,
            description=row.description,
            token_hash=row.token_hash,
            created_at=row.created_at,
            revoked_at=row.revoked_at,
        )
    )


async def find(connection: AsyncConnection, table: Table, key_id: str) -> KeyRow | None:
    """Return the key with this identifier."""
    row = (await connection.execute(_select(table).where(table.c.id == key_id))).first()
    return KeyRow(*row) if row else None


async def listed(connection: AsyncConnection, table: Table, account_id: str | None) -> list[KeyRow]:
    """Return the keys of one account, or of all, oldest first."""
    query = _select(table).order_by(table.c.created_at, table.c.id)
    if account_id is not None:
        query = query.where(table.c.account_id == account_id)
    return [KeyRow(*row) for row in await connection.execute(query)]


async def revoke(connection: AsyncConnection, table: Table, key_id: str, now: float) -> None:
    """Mark a key as no longer good."""
    await connection.execute(update(table).where(table.c.id == key_id).values(revoked_at=now))


async def owner(connection: AsyncConnection, table: Table, key_id: str) -> tuple[KeyRow, Owner] | None:
    """Return a key and its account in one query: what authentication needs."""
    query = (
        _select(table)
        .add_columns(accounts.c.id, accounts.c.name, accounts.c.plan)
        .join(accounts, accounts.c.id == table.c.account_id)
        .where(table.c.id == key_id)
    )
    row = (await connection.execute(query)).first()
    return (KeyRow(*row[:6]), Owner(*row[6:])) if row else None


def _select(table: Table) -> Select[str, str, str, bytes, float, float | None]:
    return select(
        table.c.id,
        table.c.account_id,
        table.c.description,
        table.c.token_hash,
        table.c.created_at,
        table.c.revoked_at,
    )
