"""Event subscriptions: what the routes' tests do not see."""

from pathlib import Path

import pytest
from tests.kit.events import journal
from tests.kit.names import refused
from tests.kit.store import opened

from portway.control.service import accounts, event_destinations, event_subscriptions
from portway.control.store import changes
from portway.errors import NotFound
from portway.model.events import EventSource

SELF = [EventSource(f"event_subscription_{action}.v0") for action in ("created", "updated", "deleted")]


async def test_a_subscription_may_hear_of_itself_and_of_its_end(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        account = (await accounts.add(context, "ann")).id
        to = (await event_destinations.create(context, account, {"stdout": {}})).id
        made = await event_subscriptions.create(context, account, SELF, [to, to])
        assert made.destination_ids == (to,)
        same = await event_subscriptions.update(context, account, made.id, description="")
        assert same == made
        await event_subscriptions.change_source(context, account, made.id, SELF[0])
        await event_subscriptions.add_source(context, account, made.id, EventSource("domain_created.v0"))
        await event_subscriptions.remove_source(context, account, made.id, SELF[1].type)
        await event_subscriptions.delete(context, account, made.id)
        told = [each["event_type"] for each in await journal(context)]
        with pytest.raises(NotFound):
            await event_subscriptions.get(context, account, made.id)
        async with context.database.read() as connection:
            kinds = {each.kind for each in await changes.after(connection, 0)}
    assert told == [SELF[0].type, SELF[1].type, SELF[2].type]
    assert kinds == {changes.EVENT_DESTINATION, changes.EVENT_SUBSCRIPTION}


async def test_too_many_destinations_are_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        account = (await accounts.add(context, "ann")).id
        with refused(5103):
            await event_subscriptions.create(context, account, [], [f"ed_{each}" for each in range(101)])
