"""Very many rows, made by the database itself."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import text

from portway.control.store import accounts
from portway.control.store.database import Database, back_end_of, open_database
from portway.model.entities import Account

ACCOUNTS = ("ac_1", "ac_2")

_FILL = """
INSERT INTO reserved_addrs (id, account_id, description, created_at, region, host, port)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
SELECT 'ra_{prefix}' || (10000000 + i), '{account}', '', 1.0, 'local', '{account}', i FROM n
"""


@asynccontextmanager
async def filled(where: Path | str, each: int) -> AsyncGenerator[Database]:
    """Open an empty store and give two accounts so many reserved addresses each, the second newer ones."""
    async with open_database(where):
        pass
    database = Database(back_end_of(where, command_timeout=None))
    try:
        await _fill(database, each)
        yield database
    finally:
        await database.close()


async def _fill(database: Database, each: int) -> None:
    async with database.write() as connection:
        for prefix, account in enumerate(ACCOUNTS):
            await accounts.add(connection, Account(account, account, "free", 1.0))
            await connection.execute(text(_FILL.format(count=each, prefix=prefix, account=account)))
    async with database.write() as connection:
        await connection.execute(text("ANALYZE"))
