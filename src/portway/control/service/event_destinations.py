"""Event destinations: where events are sent, and with which secrets."""

import json
import logging
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy.engine import Row

from portway.control.service import audit, event_wishes, shown, texts
from portway.control.service.context import Context
from portway.control.service.noun import Noun
from portway.control.store import audit_events, changes, event_leases, nouns
from portway.control.store import event_subscriptions as store
from portway.control.store.core import AsyncConnection
from portway.control.store.event_tables import event_destinations
from portway.errors import ConfigError, Error, NotFound
from portway.model.event_target import Target, parse_target
from portway.model.events import EventDestination
from portway.model.ids import new_id

FORMAT: Final = "json"
_TEXTS: Final = (5101, 5102)

NOUN: Final = Noun(
    event_destinations,
    store.read_destination,
    shown.event_destination,
    changes.EVENT_DESTINATION,
    "event_destination",
)
get, listed = NOUN.get, NOUN.listed

_log = logging.getLogger(__name__)


async def create(
    context: Context,
    account_id: str,
    target: Mapping[str, Any],
    *,
    format: str = "",  # noqa: A002 - the name of the field
    description: str = "",
    metadata: str = "",
    durable: bool = False,
) -> EventDestination:
    """Make a destination. Raises Error 235, 236, 240 or 5100–5133."""
    texts.check(description, metadata, _TEXTS)
    checked, now = parse_target(target), context.now()
    made_id = new_id("ed", context.random, now)
    values = {
        "id": made_id,
        "account_id": account_id,
        "description": description,
        "metadata": metadata,
        "created_at": now,
        "format": _format(format),
        "durable": durable,
    }
    async with context.database.write() as connection:
        await nouns.add(connection, event_destinations, values | _target(context, made_id, checked))
        made = await NOUN.find(connection, account_id, made_id)
        await _changed(context, connection, made, "created")
    return made


async def update(
    context: Context,
    account_id: str,
    destination_id: str,
    *,
    target: Mapping[str, Any] | None = None,
    format: str = "",  # noqa: A002
    description: str | None = None,
    metadata: str | None = None,
    durable: bool | None = None,
) -> EventDestination:
    """Change a destination; a target takes the place of the whole target. Nothing given changes nothing.

    Raises NotFound, Error as :func:`create` does.
    """
    texts.check(description, metadata, _TEXTS)
    values: dict[str, Any] = dict(texts.given(description=description, metadata=metadata))
    if format:
        values["format"] = _format(format)
    if durable is not None:
        values["durable"] = durable
    if not values and not target:
        return await get(context, account_id, destination_id)
    async with context.database.write() as connection:
        row = await nouns.find(connection, event_destinations, account_id, destination_id)
        if row is None:
            raise NotFound
        if target:
            checked = parse_target(target, opened(context, row))
            values |= _target(context, destination_id, checked)
        await nouns.change(connection, event_destinations, account_id, destination_id, values)
        changed = await NOUN.find(connection, account_id, destination_id)
        for each in await store.using(connection, destination_id):
            await event_wishes.refresh(connection, context, account_id, each)
        await _changed(context, connection, changed, "updated")
    return changed


async def delete(context: Context, account_id: str, destination_id: str) -> None:
    """Forget a destination, and what was to be sent there. Raises NotFound; Error 5112 while it is used."""
    async with context.database.write() as connection:
        gone = await NOUN.find(connection, account_id, destination_id)
        if await store.is_linked(connection, destination_id):
            raise Error("A subscription sends events to this destination; take it from there first.", 5112)
        await audit_events.abandon(connection, destination_id)
        await event_leases.forget(connection, destination_id)
        await nouns.remove(connection, event_destinations, account_id, destination_id)
        await _changed(context, connection, gone, "deleted")


async def test(context: Context, account_id: str, destination_id: str) -> str:
    """Send a test event; return its identifier. Raises NotFound, Error 5132 with what the receiver said."""
    async with context.database.read() as connection:
        row = await nouns.find(connection, event_destinations, account_id, destination_id)
    if row is None:
        raise NotFound
    return await context.deliveries.test(account_id, destination_id, opened(context, row))


def opened(context: Context, row: Row[Any]) -> Target:
    """Return the target of a row with its secrets. Raises Error 128 when they cannot be opened now."""
    secrets: dict[str, Any] = {}
    if row.sealed is not None:
        try:
            secrets = json.loads(context.seal.open(row.sealed, row.id))
        except ConfigError as error:
            raise _no_key(error) from error
    return Target(row.kind, json.loads(row.settings), secrets)


def _target(context: Context, destination_id: str, target: Target) -> dict[str, Any]:
    """Return the columns of a target."""
    sealed = None
    if target.secrets:
        try:
            sealed = context.seal.seal(json.dumps(target.secrets).encode(), destination_id)
        except ConfigError as error:
            raise _no_key(error) from error
    return {"kind": target.kind, "settings": json.dumps(target.masked), "sealed": sealed}


def _format(given: str) -> str:
    if given.lower() not in {"", FORMAT}:
        raise Error(f"The format must be json, not {given[:100]!r}.", 235)
    return FORMAT


async def _changed(
    context: Context, connection: AsyncConnection, made: EventDestination, action: audit.Action
) -> None:
    connection.info[audit_events.JOURNALLED] = True  # whoever delivers looks again
    await NOUN.noted(context, connection, action, made)


def _no_key(error: ConfigError) -> Error:
    """Make the refusal, and log what only the operator may know."""
    _log.error("%s", error)
    return Error("The secrets of this service cannot be used now; its log says why.", 128)
