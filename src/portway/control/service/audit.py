"""Audit events: each change of a thing is told, by whom it was made and what the thing is then.

A use case calls :func:`note` in the transaction that makes the change, so the event exists if and only if
the change does. Nothing is written where nobody subscribes to the type; then a change costs one more query.
Delivery is the business of ``control/events``.

::

    async with context.database.write() as connection:
        …
        await audit.note(connection, context, "ip_policy", "created", account_id, shown.ip_policy(…))

Who makes the change is ``context.principal``: routes get a context that names the caller's key.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from portway.control.service.context import Context
from portway.control.service.principal import Principal
from portway.control.service.shown import timestamp
from portway.control.store import audit_events
from portway.control.store.core import AsyncConnection
from portway.model.event_types import SESSION_TYPES, STEMS
from portway.model.ids import new_id

Action = Literal["created", "updated", "deleted"]

AGENT: Final = Principal("Agent")


async def note(
    connection: AsyncConnection,
    context: Context,
    stem: str,
    action: Action,
    account_id: str,
    object: Mapping[str, Any],  # noqa: A002 - the name of the event's field
    *,
    principal: Principal | None = None,
) -> None:
    """Tell of a change, in the transaction that makes it.

    ``stem`` is one of ``model.event_types.STEMS``. ``object`` is the thing as the API shows it, without
    secrets; of a deleted one, as it was last. ``principal`` is who made it, if not who called.
    """
    assert stem in STEMS, stem
    who = principal or context.principal
    await _write(connection, context, f"{stem}_{action}.v0", account_id, object, who, "")


async def note_session(
    context: Context, kind: str, event_id: str, account_id: str, session: Mapping[str, Any]
) -> None:
    """Tell of the start or the end of an agent's session. Told twice, it is written once."""
    assert kind in SESSION_TYPES, kind
    async with context.database.write() as connection:
        if not await audit_events.is_known(connection, event_id):
            await _write(connection, context, kind, account_id, session, AGENT, event_id)


async def _write(
    connection: AsyncConnection,
    context: Context,
    kind: str,
    account_id: str,
    payload: Mapping[str, Any],
    principal: Principal,
    event_id: str,
) -> None:
    wanted = await audit_events.destinations(connection, account_id, kind)
    if not wanted:
        return
    now = context.now()
    event_id = event_id or new_id("ev", context.random, now)
    body = {
        "event_id": event_id,
        "event_type": kind,
        "event_timestamp": timestamp(now),
        "account_id": account_id,
        "principal": principal.shown(context.settings.api_url),
        "object": payload,
    }
    await audit_events.add(connection, event_id, account_id, now, msgspec.json.encode(body).decode(), wanted)
