"""Event subscriptions: which types of events go to which destinations, and what is kept of them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from portway.control.service import audit, event_wishes, shown, texts
from portway.control.service.context import Context
from portway.control.store import audit_events
from portway.control.store import event_subscriptions as store
from portway.control.store.core import AsyncConnection
from portway.control.store.rows import Page
from portway.errors import Error, NotFound
from portway.model.event_types import FIELDS, TRAFFIC_TYPES, TYPES
from portway.model.events import EventSource, EventSubscription
from portway.model.ids import new_id
from portway.policy.event_filter import check_filter

_TEXTS: Final = (5121, 5122)
NO_DESTINATION, NO_SUBSCRIPTION, NO_SOURCE, TWICE = 5103, 5123, 5125, 5131
DESTINATIONS_LIMIT: Final = 100


async def create(
    context: Context,
    account_id: str,
    sources: Sequence[EventSource],
    destination_ids: Sequence[str],
    *,
    description: str = "",
    metadata: str = "",
) -> EventSubscription:
    """Make a subscription. Raises Error 238, 239, 5103, 5121, 5122, 5131 or 5400–5406."""
    texts.check(description, metadata, _TEXTS)
    now = context.now()
    made = EventSubscription(
        new_id("esb", context.random, now), account_id, description, metadata, now,
        _checked(sources), tuple(dict.fromkeys(destination_ids)),
    )  # fmt: skip
    async with context.database.write() as connection:
        await _check_destinations(connection, made)
        await store.add(connection, made)
        await _changed(context, connection, made, "created")
    return made


async def get(context: Context, account_id: str, subscription_id: str) -> EventSubscription:
    """Return a subscription of an account. Raises NotFound."""
    async with context.database.read() as connection:
        return await _get(connection, account_id, subscription_id)


async def listed(context: Context, account_id: str, page: Page) -> list[EventSubscription]:
    """Return a page of an account's subscriptions, newest first, and one beyond it if there are more."""
    async with context.database.read() as connection:
        return await store.page(connection, account_id, page)


async def update(
    context: Context,
    account_id: str,
    subscription_id: str,
    *,
    sources: Sequence[EventSource] = (),
    destination_ids: Sequence[str] | None = None,
    description: str | None = None,
    metadata: str | None = None,
) -> EventSubscription:
    """Change a subscription. No sources: they stay as they are. Raises NotFound, Error as ``create``."""
    texts.check(description, metadata, _TEXTS)
    values = texts.given(description=description, metadata=metadata)
    async with context.database.write() as connection:
        before = await _get(connection, account_id, subscription_id)
        changed = replace(before, **values)
        if sources:
            changed = replace(changed, sources=_checked(sources))
        if destination_ids is not None:
            changed = replace(changed, destination_ids=tuple(dict.fromkeys(destination_ids)))
            await _check_destinations(connection, changed)
        if changed != before:
            if values:
                await store.put_texts(connection, subscription_id, values)
            await store.put_sources(connection, changed)
            await store.put_links(connection, changed)
            await _changed(context, connection, changed, "updated")
    return changed


async def delete(context: Context, account_id: str, subscription_id: str) -> None:
    """End a subscription. Raises NotFound."""
    async with context.database.write() as connection:
        gone = await _get(connection, account_id, subscription_id)
        await _changed(context, connection, gone, "deleted")  # before it goes: it may want to know itself
        await store.remove(connection, subscription_id)


# Its sources.


async def source(context: Context, account_id: str, subscription_id: str, kind: str) -> EventSource:
    """Return a source. Raises Error 5123 or 5125, both with status 404."""
    async with context.database.read() as connection:
        return _source(await _owner(connection, account_id, subscription_id), kind)


async def sources(context: Context, account_id: str, subscription_id: str) -> tuple[EventSource, ...]:
    """Return all sources of a subscription. Raises Error 5123."""
    async with context.database.read() as connection:
        return (await _owner(connection, account_id, subscription_id)).sources


async def add_source(
    context: Context, account_id: str, subscription_id: str, added: EventSource
) -> EventSource:
    """Add a source. Raises Error 238, 239, 5123, 5131 or 5400–5406."""
    async with context.database.write() as connection:
        owner = await _owner(connection, account_id, subscription_id)
        await _put(context, connection, owner, (*owner.sources, added))
    return added


async def change_source(
    context: Context, account_id: str, subscription_id: str, changed: EventSource
) -> EventSource:
    """Change the source of this type. Raises Error 238, 239, 5123, 5125 or 5400–5406."""
    async with context.database.write() as connection:
        owner = await _owner(connection, account_id, subscription_id)
        if changed != _source(owner, changed.type):
            kept = tuple(changed if each.type == changed.type else each for each in owner.sources)
            await _put(context, connection, owner, kept)
    return changed


async def remove_source(context: Context, account_id: str, subscription_id: str, kind: str) -> None:
    """Take a source away. Raises Error 5123 or 5125."""
    async with context.database.write() as connection:
        owner = await _owner(connection, account_id, subscription_id)
        gone = _source(owner, kind)
        await _put(context, connection, owner, tuple(each for each in owner.sources if each != gone))


async def _put(
    context: Context, connection: AsyncConnection, owner: EventSubscription, sources: Sequence[EventSource]
) -> None:
    changed = replace(owner, sources=_checked(sources))
    await store.put_sources(connection, changed)
    await _changed(context, connection, changed, "updated")


async def _owner(connection: AsyncConnection, account_id: str, subscription_id: str) -> EventSubscription:
    found = await store.find(connection, account_id, subscription_id)
    if found is None:
        raise Error("There is no such event subscription.", NO_SUBSCRIPTION)
    return found


def _source(owner: EventSubscription, kind: str) -> EventSource:
    found = next((each for each in owner.sources if each.type == kind), None)
    if found is None:
        raise Error("The subscription has no source of this type.", NO_SOURCE)
    return found


async def _get(connection: AsyncConnection, account_id: str, subscription_id: str) -> EventSubscription:
    found = await store.find(connection, account_id, subscription_id)
    if found is None:
        raise NotFound
    return found


async def _changed(
    context: Context, connection: AsyncConnection, made: EventSubscription, action: audit.Action
) -> None:
    await event_wishes.refresh(connection, context, made.account_id, made.id)
    connection.info[audit_events.JOURNALLED] = True  # whoever delivers looks again
    seen = shown.event_subscription(context.settings, made)
    await audit.note(connection, context, "event_subscription", action, made.account_id, seen)


async def _check_destinations(connection: AsyncConnection, of: EventSubscription) -> None:
    if len(of.destination_ids) > DESTINATIONS_LIMIT:
        raise Error(f"A subscription has at most {DESTINATIONS_LIMIT} destinations.", NO_DESTINATION)
    known = await store.kinds_of(connection, of.account_id, of.destination_ids)
    for each in of.destination_ids:
        if each not in known:
            raise Error(f"There is no event destination {each[:100]!r}.", NO_DESTINATION)


def _checked(sources: Sequence[EventSource]) -> tuple[EventSource, ...]:
    """Refuse sources that are wrong, and types that are named twice."""
    seen: set[str] = set()
    for each in sources:
        check_source(each)
        if each.type in seen:
            raise Error(f"The subscription has a source of type {each.type} already.", TWICE)
        seen.add(each.type)
    return tuple(sources)


def check_source(each: EventSource) -> None:
    """Refuse a source that is wrong. Raises Error 238, 239 or 5400–5406."""
    if each.type not in TYPES:
        raise Error(f"There is no event type {each.type[:100]!r}.", 238)
    if each.type not in TRAFFIC_TYPES:
        if each.fields is not None:
            raise Error(f"Events of type {each.type} are sent whole; they take no fields.", 5401)
        if each.filter or each.sample is not None:
            raise Error(f"Events of type {each.type} are sent all; they take no filter and no sample.", 5402)
    else:
        _check_fields(each)
        if each.filter:
            check_filter(each.filter, each.type)
    if each.sample is not None and not 0 <= each.sample <= 1:
        raise Error("sample must be between 0 and 1.", 215)


def _check_fields(each: EventSource) -> None:
    if each.fields is None:
        return
    if not each.fields:
        raise Error("A source of traffic events needs at least one field; leave fields out for all.", 5400)
    every: frozenset[str] = frozenset[str]().union(*FIELDS.values())
    for field in each.fields:
        if field in FIELDS[each.type]:
            continue
        if field in every:
            raise Error(f"Events of type {each.type} have no field {field!r}.", 5403)
        if any(known.startswith(f"{field}.") for known in FIELDS[each.type]):
            raise Error(f"{field!r} is a group of fields; name those of it that you want.", 5405)
        raise Error(f"There is no field {field[:100]!r}.", 239)
