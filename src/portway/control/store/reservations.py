"""Queries on reservations."""

from sqlalchemy import delete, insert, or_, select, update

from portway.control.store.core import AsyncConnection
from portway.control.store.tables import reservations
from portway.model.entities import Reservation

_COLUMNS = (
    reservations.c.url,
    reservations.c.account_id,
    reservations.c.session_key,
    reservations.c.held_until,
)


async def put(connection: AsyncConnection, reservation: Reservation) -> None:
    """Write a reservation over whatever stood for its URL. Raises IntegrityError: no such account."""
    values = {
        "account_id": reservation.account_id,
        "session_key": reservation.session_key,
        "held_until": reservation.held_until,
    }
    # Transactions that write run one after the other, so nobody comes in between.
    replaced = await connection.execute(
        update(reservations).where(reservations.c.url == reservation.url).values(**values)
    )
    if replaced.rowcount == 0:
        await connection.execute(insert(reservations).values(url=reservation.url, **values))


async def hold(connection: AsyncConnection, url: str, until: float) -> None:
    """Say up to when a name waits for its session. Nothing happens if it is not reserved."""
    await connection.execute(update(reservations).where(reservations.c.url == url).values(held_until=until))


async def remove(connection: AsyncConnection, url: str) -> None:
    """Forget a name."""
    await connection.execute(delete(reservations).where(reservations.c.url == url))


async def standing(connection: AsyncConnection, now: float) -> list[Reservation]:
    """Return what is online or still held."""
    query = (
        select(*_COLUMNS)
        .where(or_(reservations.c.held_until.is_(None), reservations.c.held_until > now))
        .order_by(reservations.c.url)
    )
    return [Reservation(*row) for row in await connection.execute(query)]


async def sweep(connection: AsyncConnection, now: float) -> None:
    """Remove what is no longer held."""
    await connection.execute(delete(reservations).where(reservations.c.held_until <= now))
