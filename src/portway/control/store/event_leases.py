"""Who of several services on one store sends audit events to a destination.

Whoever finds events waiting takes the destination for some seconds and renews that while it sends. A service
that is gone, or whose tries fail, lets it lapse, and another goes on where it stopped. Clocks that differ by
more than a lease cost an event sent twice, never one that is not sent.
"""

from sqlalchemy import delete, insert, or_, select, update

from portway.control.store.core import AsyncConnection
from portway.control.store.event_tables import event_leases


async def is_free(connection: AsyncConnection, destination_id: str, holder: str, now: float) -> bool:
    """Tell whether nobody but this holder has a destination now."""
    query = select(event_leases.c.holder).where(
        event_leases.c.destination_id == destination_id, event_leases.c.until >= now
    )
    return (await connection.execute(query)).scalar() in (None, holder)


async def take(
    connection: AsyncConnection, destination_id: str, holder: str, now: float, until: float
) -> bool:
    """Take or renew a destination until then; False while another has it. In a transaction that writes."""
    table = event_leases
    values = {"destination_id": destination_id, "holder": holder, "until": until}
    mine = update(table).where(
        table.c.destination_id == destination_id, or_(table.c.holder == holder, table.c.until < now)
    )
    if (await connection.execute(mine.values(values).returning(table.c.holder))).first() is not None:
        return True
    known = select(table.c.holder).where(table.c.destination_id == destination_id)
    if (await connection.execute(known)).first() is not None:
        return False
    await connection.execute(insert(table).values(values))  # those who write do so one after the other
    return True


async def leave(connection: AsyncConnection, holder: str) -> None:
    """Let every destination of a holder go."""
    await connection.execute(delete(event_leases).where(event_leases.c.holder == holder))


async def forget(connection: AsyncConnection, destination_id: str) -> None:
    """A destination is gone."""
    await connection.execute(delete(event_leases).where(event_leases.c.destination_id == destination_id))
