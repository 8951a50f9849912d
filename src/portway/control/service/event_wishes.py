"""Which traffic events an account's subscriptions want: what the data plane must know, and no more.

A subscription without a destination that anything is sent to wants nothing, so nobody pays for it.
"""

import json
from typing import Final

from portway.control.service.context import Context
from portway.control.store import changes
from portway.control.store import event_subscriptions as store
from portway.control.store.core import AsyncConnection
from portway.model.event_target import undeliverable
from portway.model.event_types import HTTP, TRAFFIC_TYPES
from portway.model.events import EventSource
from portway.policy.event_filter import compile_filter, named

_HEADERS: Final = ("http.request.headers", "http.response.headers")


async def refresh(
    connection: AsyncConnection, context: Context, account_id: str, subscription_id: str
) -> None:
    """Write down what a subscription wants now, for the data plane to hear of."""
    found = await store.find(connection, account_id, subscription_id)
    if found is not None:
        kinds = await store.kinds_of(connection, account_id, found.destination_ids)
        sent = any(not undeliverable(kind) for kind in kinds.values())
        wanted = {each.type: wants_headers(each) for each in found.sources if each.type in TRAFFIC_TYPES}
        traffic = json.dumps(wanted if sent else {})
        await store.put_texts(connection, subscription_id, {"traffic": traffic})
    await changes.note(connection, changes.EVENT_SUBSCRIPTION, account_id, subscription_id, context.now())


def wants_headers(source: EventSource) -> bool:
    """Tell whether events of a source need the fields of heads, which are not kept otherwise."""
    if source.type != HTTP:
        return False
    if source.fields is None or any(each in _HEADERS for each in source.fields):
        return True
    return bool(source.filter) and any(
        path.startswith(_HEADERS) or any(each.startswith(f"{path}.") for each in _HEADERS)
        for path in named(compile_filter(source.filter, source.type).tree)
    )
