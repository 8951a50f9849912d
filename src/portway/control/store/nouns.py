"""Queries that serve every table of something that an account owns.

Each has the account in its WHERE: a row of somebody else's is not there. That holds for reading,
changing and removing alike, so a foreign identifier cannot answer otherwise than one that never was.
The one exception, :func:`owner`, is for the operator.
"""

from typing import Any

from sqlalchemy import ColumnElement, Table, delete, func, insert, select, update
from sqlalchemy.engine import Row

from portway.control.store.core import AsyncConnection


async def add(connection: AsyncConnection, table: Table, values: dict[str, Any]) -> None:
    """Add a row. Raises IntegrityError when something unique is taken or something named is not there."""
    await connection.execute(insert(table).values(values))


async def find(connection: AsyncConnection, table: Table, account_id: str, row_id: str) -> Row[Any] | None:
    """Return an account's row."""
    query = select(table).where(table.c.account_id == account_id, table.c.id == row_id)
    return (await connection.execute(query)).first()


async def change(
    connection: AsyncConnection, table: Table, account_id: str, row_id: str, values: dict[str, Any]
) -> Row[Any] | None:
    """Change an account's row and return it as it is then; None if there is none."""
    await connection.execute(
        update(table).where(table.c.account_id == account_id, table.c.id == row_id).values(values)
    )
    return await find(connection, table, account_id, row_id)


async def remove(connection: AsyncConnection, table: Table, account_id: str, row_id: str) -> bool:
    """Remove an account's row; tell whether there was one. Raises IntegrityError while others refer to it."""
    result = await connection.execute(
        delete(table).where(table.c.account_id == account_id, table.c.id == row_id)
    )
    return result.rowcount > 0


async def count(
    connection: AsyncConnection, table: Table, account_id: str, *where: ColumnElement[bool]
) -> int:
    """Count an account's rows."""
    query = select(func.count()).select_from(table).where(table.c.account_id == account_id, *where)
    return (await connection.execute(query)).scalar_one()


async def owner(connection: AsyncConnection, table: Table, row_id: str) -> str | None:
    """Return whose a row is. For the operator's commands only, which act for every account."""
    return (await connection.execute(select(table.c.account_id).where(table.c.id == row_id))).scalar()
