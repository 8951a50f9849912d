"""Who of several services sends to a destination."""

from pathlib import Path

from tests.kit.store import opened

from portway.control.store import event_leases as leases


async def test_one_has_a_destination_until_it_lets_it_lapse(tmp_path: Path) -> None:
    async with opened(tmp_path) as context, context.database.write() as connection:
        assert await leases.is_free(connection, "ed_1", "one", 10.0)
        assert await leases.take(connection, "ed_1", "one", 10.0, 30.0)
        assert await leases.is_free(connection, "ed_1", "one", 15.0)
        assert not await leases.is_free(connection, "ed_1", "two", 15.0)
        assert not await leases.take(connection, "ed_1", "two", 15.0, 35.0)
        assert await leases.take(connection, "ed_2", "two", 15.0, 35.0)
        assert await leases.take(connection, "ed_1", "one", 20.0, 40.0), "renewed"
        assert not await leases.take(connection, "ed_1", "two", 35.0, 60.0)
        assert await leases.is_free(connection, "ed_1", "two", 40.5)
        assert await leases.take(connection, "ed_1", "two", 40.5, 60.0)
        assert not await leases.take(connection, "ed_1", "one", 41.0, 61.0)


async def test_who_goes_leaves_what_it_had(tmp_path: Path) -> None:
    async with opened(tmp_path) as context, context.database.write() as connection:
        for to in ("ed_1", "ed_2"):
            await leases.take(connection, to, "one", 10.0, 30.0)
        await leases.take(connection, "ed_3", "two", 10.0, 30.0)
        await leases.leave(connection, "one")
        assert await leases.is_free(connection, "ed_2", "two", 11.0)
        assert not await leases.is_free(connection, "ed_3", "one", 11.0)
        await leases.forget(connection, "ed_3")
        assert await leases.is_free(connection, "ed_3", "one", 11.0)
