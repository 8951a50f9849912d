"""The journal of audit events."""

from pathlib import Path

from sqlalchemy import func, select
from tests.kit.store import opened

from portway.control.store import audit_events as store
from portway.control.store.core import AsyncConnection
from portway.control.store.event_tables import audit_events


async def _two(connection: AsyncConnection) -> None:
    await store.add(connection, "ev_1", "ac_1", 10.0, "one", ["ed_1", "ed_2"])
    await store.add(connection, "ev_2", "ac_1", 20.0, "two", ["ed_1"])


async def _kept(connection: AsyncConnection) -> int:
    return (await connection.execute(select(func.count()).select_from(audit_events))).scalar_one()


async def test_an_event_stays_until_it_has_reached_everybody(tmp_path: Path) -> None:
    async with opened(tmp_path) as context, context.database.write() as connection:
        await _two(connection)
        first, second = await store.waiting(connection, "ed_1")
        assert (first.id, first.at, first.body, second.id) == ("ev_1", 10.0, "one", "ev_2")
        assert await store.waiting(connection, "ed_1", first.seq) == [second]
        assert await store.behind(connection) == {"ed_1": second.seq, "ed_2": first.seq}
        await store.arrived(connection, "ed_1", [first.seq, second.seq])
        assert await store.waiting(connection, "ed_1") == []
        assert await _kept(connection) == 1
        assert await store.count(connection, "ed_2") == 1
        await store.arrived(connection, "ed_2", [first.seq])
        assert await _kept(connection) == 0


async def test_a_destination_that_goes_takes_what_waited_for_it_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as context, context.database.write() as connection:
        await _two(connection)
        await store.abandon(connection, "ed_1")
        assert [each.id for each in await store.waiting(connection, "ed_2")] == ["ev_1"]
        assert await _kept(connection) == 1


async def test_what_is_too_old_is_forgotten_and_counted(tmp_path: Path) -> None:
    async with opened(tmp_path) as context, context.database.write() as connection:
        await _two(connection)
        assert await store.expire(connection, 15.0) == {"ed_1": 1, "ed_2": 1}
        assert await store.expire(connection, 15.0) == {}
        assert [each.id for each in await store.waiting(connection, "ed_1")] == ["ev_2"]
        assert await store.is_known(connection, "ev_2")
        assert not await store.is_known(connection, "ev_1")
