"""Queries on reservations."""

from pathlib import Path

from tests.kit.store import opened

from portway.control.store import accounts, reservations
from portway.model.entities import Account, Reservation


async def test_put_replaces_hold_dates_and_sweep_removes(tmp_path: Path) -> None:
    async with opened(tmp_path) as context, context.database.write() as connection:
        await accounts.add(connection, Account("ac_1", "a", "free", 1.0))
        await reservations.put(connection, Reservation("u", "ac_1", "one"))
        await reservations.put(connection, Reservation("u", "ac_1", "two"))
        await reservations.put(connection, Reservation("v", "ac_1", "one", 10.0))
        assert [each.session_key for each in await reservations.standing(connection, 9.0)] == ["two", "one"]
        await reservations.hold(connection, "u", 5.0)
        assert [each.url for each in await reservations.standing(connection, 9.0)] == ["v"]
        await reservations.sweep(connection, 9.0)
        assert [each.url for each in await reservations.standing(connection, 0.0)] == ["v"]
        await reservations.remove(connection, "v")
        assert await reservations.standing(connection, 0.0) == []
