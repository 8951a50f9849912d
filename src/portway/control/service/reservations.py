"""Reservations: the names and ports that sessions hold, so that a restart does not free them.

Who may have a name is decided by the data plane, which knows it at once; this is its memory. Hence a
write here never refuses: it replaces what stood.
"""

from sqlalchemy.exc import IntegrityError

from portway.control.service.context import Context
from portway.control.store import reservations as store
from portway.errors import Error
from portway.model.entities import Reservation


async def reserve(context: Context, url: str, account_id: str, session_key: str) -> None:
    """Write down that a name is online. Raises Error 336 when the account does not exist."""
    try:
        async with context.database.write() as connection:
            await store.put(connection, Reservation(url, account_id, session_key))
    except IntegrityError as error:
        raise Error(f"There is no account {account_id!r}.", 336) from error


async def hold(context: Context, url: str, until: float) -> None:
    """Write down that a name is offline and kept until then, in Unix seconds."""
    async with context.database.write() as connection:
        await store.hold(connection, url, until)


async def release(context: Context, url: str) -> None:
    """Forget a name."""
    async with context.database.write() as connection:
        await store.remove(connection, url)


async def standing(context: Context) -> list[Reservation]:
    """Return all names that still stand, and forget the others."""
    now = context.now()
    async with context.database.write() as connection:
        await store.sweep(connection, now)
        return await store.standing(connection, now)
