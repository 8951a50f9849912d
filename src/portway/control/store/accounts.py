"""Queries on accounts."""

from sqlalchemy import insert, or_, select, update
from sqlalchemy.engine import Row

from portway.control.store.core import AsyncConnection
from portway.control.store.tables import accounts
from portway.model.entities import Account

_COLUMNS = (accounts.c.id, accounts.c.name, accounts.c.plan, accounts.c.created_at)


async def add(connection: AsyncConnection, account: Account) -> None:
    """Add an account. Raises IntegrityError when the name is taken."""
    await connection.execute(
        insert(accounts).values(
            id=account.id, name=account.name, plan=account.plan, created_at=account.created_at
        )
    )


async def find(connection: AsyncConnection, key: str) -> Account | None:
    """Return the account with this identifier or name."""
    query = select(*_COLUMNS).where(or_(accounts.c.id == key, accounts.c.name == key))
    row = (await connection.execute(query)).first()
    return _account(row) if row else None


async def set_plan(connection: AsyncConnection, account_id: str, plan: str) -> None:
    """Change the plan of an account."""
    await connection.execute(update(accounts).where(accounts.c.id == account_id).values(plan=plan))


async def listed(connection: AsyncConnection) -> list[Account]:
    """Return all accounts, oldest first."""
    rows = await connection.execute(select(*_COLUMNS).order_by(accounts.c.created_at, accounts.c.id))
    return [_account(row) for row in rows]


async def only_one(connection: AsyncConnection) -> str:
    """Return the account of a store that has just one, "" for any other store."""
    found = (await connection.execute(select(accounts.c.id).limit(2))).scalars().all()
    return found[0] if len(found) == 1 else ""


def _account(row: Row[str, str, str, float]) -> Account:
    return Account(*row)
