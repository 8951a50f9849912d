"""Queries on event destinations, subscriptions, and what joins them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.engine import Row

from portway.control.store import rows
from portway.control.store.core import AsyncConnection
from portway.control.store.event_tables import (
    event_destinations,
    event_links,
    event_sources,
    event_subscriptions,
)
from portway.control.store.rows import Page
from portway.model.events import EventDestination, EventSource, EventSubscription


def read_destination(row: Row[Any]) -> EventDestination:
    """Make the value of a row."""
    return EventDestination(
        row.id, row.account_id, row.description, row.metadata, row.created_at, row.format, row.kind,
        json.loads(row.settings), row.durable,
    )  # fmt: skip


async def is_linked(connection: AsyncConnection, destination_id: str) -> bool:
    """Tell whether a subscription uses a destination."""
    query = select(event_links.c.subscription_id).where(event_links.c.destination_id == destination_id)
    return (await connection.execute(query.limit(1))).first() is not None


async def using(connection: AsyncConnection, destination_id: str) -> list[str]:
    """Return the subscriptions that use a destination."""
    query = select(event_links.c.subscription_id).where(event_links.c.destination_id == destination_id)
    return list((await connection.execute(query)).scalars())


async def kinds_of(connection: AsyncConnection, account_id: str, ids: Sequence[str]) -> dict[str, str]:
    """Return the kind of each of these destinations that the account has."""
    query = select(event_destinations.c.id, event_destinations.c.kind).where(
        event_destinations.c.account_id == account_id, event_destinations.c.id.in_(ids)
    )
    return {row[0]: row[1] for row in await connection.execute(query)}


async def find(connection: AsyncConnection, account_id: str, row_id: str) -> EventSubscription | None:
    """Return a subscription of an account."""
    table = event_subscriptions
    query = select(table).where(table.c.account_id == account_id, table.c.id == row_id)
    found = await _whole(connection, list(await connection.execute(query)))
    return found[0] if found else None


async def page(connection: AsyncConnection, account_id: str, page: Page) -> list[EventSubscription]:
    """Return a page of an account's subscriptions, newest first, and one beyond it if there are more."""
    return await _whole(connection, await rows.page(connection, event_subscriptions, account_id, page))


async def every(connection: AsyncConnection) -> list[EventSubscription]:
    """Return every subscription of every account: for whoever delivers."""
    return await _whole(connection, list(await connection.execute(select(event_subscriptions))), None)


async def add(connection: AsyncConnection, made: EventSubscription) -> None:
    """Add a subscription with all that belongs to it."""
    await connection.execute(
        insert(event_subscriptions).values(
            id=made.id,
            account_id=made.account_id,
            description=made.description,
            metadata=made.metadata,
            created_at=made.created_at,
        )
    )
    await put_sources(connection, made)
    await put_links(connection, made)


async def put_texts(connection: AsyncConnection, row_id: str, values: Mapping[str, Any]) -> None:
    """Change columns of a subscription."""
    table = event_subscriptions
    await connection.execute(update(table).where(table.c.id == row_id).values(dict(values)))


async def put_sources(connection: AsyncConnection, of: EventSubscription) -> None:
    """Let a subscription have the sources of this value, and no others."""
    await connection.execute(delete(event_sources).where(event_sources.c.subscription_id == of.id))
    added = [
        {
            "subscription_id": of.id,
            "type": each.type,
            "account_id": of.account_id,
            "place": place,
            "filter": each.filter,
            "fields": "" if each.fields is None else json.dumps(each.fields),
            "sample": each.sample,
        }
        for place, each in enumerate(of.sources)
    ]
    if added:
        await connection.execute(insert(event_sources), added)


async def put_links(connection: AsyncConnection, of: EventSubscription) -> None:
    """Let a subscription have the destinations of this value, and no others."""
    await connection.execute(delete(event_links).where(event_links.c.subscription_id == of.id))
    added = [
        {"subscription_id": of.id, "destination_id": each, "place": place}
        for place, each in enumerate(of.destination_ids)
    ]
    if added:
        await connection.execute(insert(event_links), added)


async def remove(connection: AsyncConnection, row_id: str) -> None:
    """Remove a subscription with all that belongs to it."""
    for table in (event_sources, event_links):
        await connection.execute(delete(table).where(table.c.subscription_id == row_id))
    await connection.execute(delete(event_subscriptions).where(event_subscriptions.c.id == row_id))


async def destinations(connection: AsyncConnection) -> list[Row[Any]]:
    """Return every destination of every account, sealed secrets too: for whoever delivers."""
    return list(await connection.execute(select(event_destinations)))


async def _whole(
    connection: AsyncConnection, found: Sequence[Row[Any]], ids: Iterable[str] | None = ()
) -> list[EventSubscription]:
    """Add sources and destinations to the rows of subscriptions. ``ids`` None: they are all there are."""
    if not found:
        return []
    named = [row.id for row in found]

    def within(column: ColumnElement[str]) -> list[ColumnElement[bool]]:
        return [] if ids is None else [column.in_(named)]

    sources: dict[str, list[EventSource]] = {}
    query = select(event_sources).where(*within(event_sources.c.subscription_id))
    for row in await connection.execute(query.order_by(event_sources.c.place)):
        fields = tuple(json.loads(row.fields)) if row.fields else None
        made = EventSource(row.type, row.filter, fields, row.sample)
        sources.setdefault(row.subscription_id, []).append(made)
    links: dict[str, list[str]] = {}
    query = select(event_links).where(*within(event_links.c.subscription_id))
    for row in await connection.execute(query.order_by(event_links.c.place)):
        links.setdefault(row.subscription_id, []).append(row.destination_id)
    return [
        EventSubscription(
            row.id, row.account_id, row.description, row.metadata, row.created_at,
            tuple(sources.get(row.id, ())), tuple(links.get(row.id, ())),
        )
        for row in found
    ]  # fmt: skip
