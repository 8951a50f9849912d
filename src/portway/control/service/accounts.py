"""Accounts: who owns keys, names and endpoints."""

from typing import Final

from msgspec.structs import replace
from sqlalchemy.exc import IntegrityError

from portway.control.service.context import Context
from portway.control.store import accounts as store
from portway.control.store import changes
from portway.control.store.core import AsyncConnection
from portway.errors import Error, NotFound
from portway.model.entities import Account
from portway.model.ids import new_id

NAME_LIMIT: Final = 255
PLAN_LIMIT: Final = 40
DEFAULT_PLAN: Final = "self-hosted"


async def add(context: Context, name: str, plan: str = DEFAULT_PLAN) -> Account:
    """Add an account. Raises Error when the name is empty, too long, unprintable or taken."""
    async with context.database.write() as connection:
        return await add_within(context, connection, name, plan)


async def add_within(
    context: Context, connection: AsyncConnection, name: str, plan: str = DEFAULT_PLAN
) -> Account:
    """Add an account as a part of a larger transaction. Raises Error as :func:`add` does."""
    name = name.strip()
    if not name or not name.isprintable() or len(name.encode()) > NAME_LIMIT:
        raise Error(f"The name of an account has 1 to {NAME_LIMIT} printable characters.")
    now = context.now()
    account = Account(new_id("ac", context.random, now), name, plan, now)
    try:
        await store.add(connection, account)
    except IntegrityError as error:
        raise Error(f"There is an account named {name!r} already.") from error
    return account


async def set_plan(context: Context, key: str, plan: str) -> Account:
    """Put an account (identifier or name) on a plan; what it has already stays. Raises Error."""
    plan = plan.strip()
    if not plan or not plan.isprintable() or len(plan) > PLAN_LIMIT:
        raise Error(f"The name of a plan has 1 to {PLAN_LIMIT} printable characters.")
    async with context.database.write() as connection:
        account = await resolve(connection, key)
        await store.set_plan(connection, account.id, plan)
        await changes.note(connection, changes.ACCOUNT, account.id, account.id, context.now())
    return replace(account, plan=plan)


async def listed(context: Context) -> list[Account]:
    """Return all accounts, oldest first."""
    async with context.database.read() as connection:
        return await store.listed(connection)


async def get(context: Context, account_id: str) -> Account:
    """Return an account. Raises NotFound."""
    async with context.database.read() as connection:
        account = await store.find(connection, account_id)
    if account is None or account.id != account_id:
        raise NotFound
    return account


async def resolve(connection: AsyncConnection, key: str | None) -> Account:
    """Return the account with this identifier or name; None means the only one there is.

    Raises Error when there is none, or when None could mean several.
    """
    if key is not None:
        account = await store.find(connection, key)
        if account is None:
            raise Error(f"There is no account {key!r}.")
        return account
    everyone = await store.listed(connection)
    if len(everyone) == 1:
        return everyone[0]
    if not everyone:
        raise Error("There is no account yet; add one first.")
    raise Error("There are several accounts; say which one.")
