"""Queries on event subscriptions."""

from pathlib import Path

from tests.kit.store import opened

from portway.control.service import accounts, event_destinations
from portway.control.store import event_subscriptions as store
from portway.control.store.rows import Page
from portway.model.events import EventSource, EventSubscription


async def test_a_subscription_is_read_as_it_was_written(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        account = (await accounts.add(context, "ann")).id
        to = (await event_destinations.create(context, account, {"stdout": {}})).id
        sources = (EventSource("b", "f", ("x", "y"), 0.5), EventSource("a"))
        made = EventSubscription("esb_1", account, "d", "m", 5.0, sources, (to,))
        async with context.database.write() as connection:
            await store.add(connection, made)
            await store.add(connection, EventSubscription("esb_2", account, "", "", 6.0))
            assert await store.find(connection, account, "esb_1") == made
            assert await store.find(connection, "ac_other", "esb_1") is None
            assert [each.id for each in await store.page(connection, account, Page())] == ["esb_2", "esb_1"]
            assert made in await store.every(connection)
            assert await store.using(connection, to) == ["esb_1"]
            assert await store.kinds_of(connection, account, [to, "ed_x"]) == {to: "stdout"}
            await store.remove(connection, "esb_1")
            assert not await store.is_linked(connection, to)
            assert [row.id for row in await store.destinations(connection)] == [to]
