"""Tables of vaults and their secrets. Values are sealed before they come here (certificates/seal.py)."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Float, ForeignKey, Index, LargeBinary, Select, String, Table, Text, select
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.engine import Row

from portway.control.store.core import AsyncConnection
from portway.control.store.tables import ID, metadata
from portway.model.vault import Secret, Vault


def _noun(name: str, *columns: "Column[Any] | Unique") -> Table:
    return Table(
        name,
        metadata,
        Column("id", ID, primary_key=True),
        Column("account_id", ID, ForeignKey("accounts.id"), nullable=False),
        Column("name", String(255), nullable=False),
        Column("description", String(255), nullable=False),
        Column("metadata", Text, nullable=False, server_default=""),
        Column("created_at", Float, nullable=False),
        Column("updated_at", Float, nullable=False),
        Column("created_by", String(40), nullable=False),
        Column("updated_by", String(40), nullable=False),
        *columns,
        Index(None, "account_id", "id"),
    )


vaults = _noun("vaults", Unique("account_id", "name"))

vault_secrets = _noun(
    "vault_secrets",
    Column("vault_id", ID, ForeignKey("vaults.id"), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Unique("vault_id", "name"),
)


def vault(row: Row[Any]) -> Vault:
    """Make the value of a row."""
    return Vault(
        row.id, row.account_id, row.name, row.description, row.metadata, row.created_at, row.updated_at,
        row.created_by, row.updated_by,
    )  # fmt: skip


def secret(row: Row[Any], vault_name: str) -> Secret:
    """Make the value of a row, without what is sealed in it."""
    return Secret(
        row.id, row.account_id, row.vault_id, vault_name, row.name, row.description, row.metadata,
        row.created_at, row.updated_at, row.created_by, row.updated_by,
    )  # fmt: skip


async def by_name(connection: AsyncConnection, account_id: str, name: str) -> Vault | None:
    """Return an account's vault of this name."""
    query = select(vaults).where(vaults.c.account_id == account_id, vaults.c.name == name)
    row = (await connection.execute(query)).first()
    return None if row is None else vault(row)


async def secret_named(connection: AsyncConnection, account_id: str, vault_id: str, name: str) -> str | None:
    """Return the identifier of a vault's secret of this name."""
    query: Select[Any] = select(vault_secrets.c.id).where(
        vault_secrets.c.account_id == account_id,
        vault_secrets.c.vault_id == vault_id,
        vault_secrets.c.name == name,
    )
    return (await connection.execute(query)).scalar()


async def names_of(connection: AsyncConnection, account_id: str, ids: Sequence[str]) -> dict[str, str]:
    """Return the names of some of an account's vaults."""
    query = select(vaults.c.id, vaults.c.name).where(vaults.c.account_id == account_id, vaults.c.id.in_(ids))
    return {row[0]: row[1] for row in await connection.execute(query)}
