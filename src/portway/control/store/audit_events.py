"""Queries on the journal of audit events: writing one down, reading what has not arrived, forgetting."""

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import delete, exists, func, insert, select

from portway.control.store.core import AsyncConnection
from portway.control.store.event_tables import (
    audit_deliveries,
    audit_events,
    event_destinations,
    event_links,
    event_sources,
)
from portway.model.event_target import UNDELIVERABLE

JOURNALLED: Final = "portway_journalled"
"""Stands in the ``info`` of a connection whose transaction has written an event down."""


class Entry(msgspec.Struct, frozen=True):
    """An event of the journal. ``body`` is the whole event, JSON; ``at`` Unix seconds."""

    seq: int
    id: str
    at: float
    body: str


async def destinations(connection: AsyncConnection, account_id: str, kind: str) -> list[str]:
    """Return where an account's events of a type go; nothing waits for those to which nothing is sent."""
    query = (
        select(event_links.c.destination_id)
        .join(event_sources, event_sources.c.subscription_id == event_links.c.subscription_id)
        .join(event_destinations, event_destinations.c.id == event_links.c.destination_id)
        .where(event_sources.c.account_id == account_id, event_sources.c.type == kind)
        .where(event_destinations.c.kind.not_in(UNDELIVERABLE))
        .distinct()
    )
    return list((await connection.execute(query)).scalars())


async def add(
    connection: AsyncConnection,
    event_id: str,
    account_id: str,
    at: float,
    body: str,
    destination_ids: Sequence[str],
) -> None:
    """Write an event down for these destinations, at least one."""
    added = insert(audit_events).values(id=event_id, account_id=account_id, at=at, body=body)
    seq = (await connection.execute(added.returning(audit_events.c.seq))).scalar_one()
    rows = [{"destination_id": each, "seq": seq} for each in destination_ids]
    await connection.execute(insert(audit_deliveries), rows)
    connection.info[JOURNALLED] = True


async def is_known(connection: AsyncConnection, event_id: str) -> bool:
    """Tell whether the journal has an event already."""
    query = select(audit_events.c.seq).where(audit_events.c.id == event_id)
    return (await connection.execute(query)).first() is not None


async def waiting(
    connection: AsyncConnection, destination_id: str, after: int = 0, limit: int = 500
) -> list[Entry]:
    """Return what has still to reach a destination, oldest first, from beyond a number."""
    query = (
        select(audit_events.c.seq, audit_events.c.id, audit_events.c.at, audit_events.c.body)
        .join(audit_deliveries, audit_deliveries.c.seq == audit_events.c.seq)
        .where(audit_deliveries.c.destination_id == destination_id, audit_deliveries.c.seq > after)
        .order_by(audit_events.c.seq)
        .limit(limit)
    )
    return [Entry(*row) for row in await connection.execute(query)]


async def behind(connection: AsyncConnection) -> dict[str, int]:
    """Return for each destination that something has still to reach the number of the newest such event."""
    query = select(audit_deliveries.c.destination_id, func.max(audit_deliveries.c.seq)).group_by(
        audit_deliveries.c.destination_id
    )
    return {row[0]: row[1] for row in await connection.execute(query)}


async def count(connection: AsyncConnection, destination_id: str) -> int:
    """Count what has still to reach a destination."""
    query = select(func.count()).where(audit_deliveries.c.destination_id == destination_id)
    return (await connection.execute(query)).scalar_one()


async def arrived(connection: AsyncConnection, destination_id: str, seqs: Sequence[int]) -> None:
    """These events have reached a destination, or never will; forget those that nobody waits for."""
    await connection.execute(
        delete(audit_deliveries).where(
            audit_deliveries.c.destination_id == destination_id, audit_deliveries.c.seq.in_(seqs)
        )
    )
    await _forget(connection, seqs)


async def abandon(connection: AsyncConnection, destination_id: str) -> None:
    """Nothing is delivered to a destination any more."""
    gone = delete(audit_deliveries).where(audit_deliveries.c.destination_id == destination_id)
    seqs = list((await connection.execute(gone.returning(audit_deliveries.c.seq))).scalars())
    await _forget(connection, seqs)


async def expire(connection: AsyncConnection, before: float) -> dict[str, int]:
    """Forget events from before a time; return how many of them each destination did not get."""
    old = select(audit_events.c.seq).where(audit_events.c.at < before)
    query = (
        select(audit_deliveries.c.destination_id, func.count())
        .where(audit_deliveries.c.seq.in_(old))
        .group_by(audit_deliveries.c.destination_id)
    )
    lost = {row[0]: row[1] for row in await connection.execute(query)}
    if lost:
        await connection.execute(delete(audit_deliveries).where(audit_deliveries.c.seq.in_(old)))
    await connection.execute(delete(audit_events).where(audit_events.c.at < before))
    return lost


async def trim(connection: AsyncConnection, destination_id: str, keep: int) -> int:
    """Give up the oldest events that wait for a destination, but for so many; return how many."""
    table = audit_deliveries
    newest = select(table.c.seq).where(table.c.destination_id == destination_id)
    kept_from = await connection.execute(newest.order_by(table.c.seq.desc()).offset(keep - 1).limit(1))
    seq = kept_from.scalar()
    if seq is None:
        return 0
    old = delete(table).where(table.c.destination_id == destination_id, table.c.seq < seq)
    gone = list((await connection.execute(old.returning(table.c.seq))).scalars())
    for start in range(0, len(gone), 500):
        await _forget(connection, gone[start : start + 500])
    return len(gone)


async def _forget(connection: AsyncConnection, seqs: Sequence[int]) -> None:
    wanted = exists().where(audit_deliveries.c.seq == audit_events.c.seq)
    await connection.execute(delete(audit_events).where(audit_events.c.seq.in_(seqs), ~wanted))
