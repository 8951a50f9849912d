"""Queries on reserved addresses."""

from pathlib import Path

from tests.kit.names import configured, two_accounts
from tests.kit.store import opened

from portway.control.service import reservations
from portway.control.service import reserved_addrs as service
from portway.control.store import reserved_addrs


async def test_what_is_taken_given_back_and_whose(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path)
        account, _ = await two_accounts(context)
        addr = await service.create(context, account.id)
        await reservations.reserve(context, f"tcp://{addr.host}:9", account.id, "s")
        await reservations.reserve(context, f"tcp://x{addr.host}:10", account.id, "s")
        async with context.database.write() as connection:
            assert await reserved_addrs.taken(connection, addr.host, 1.0) == {addr.port, 9}
            assert await reserved_addrs.taken(connection, "other", 1.0) == set()
            assert await reserved_addrs.at(connection, addr.host, addr.port) == addr
            assert await reserved_addrs.at(connection, addr.host, 1) is None
            assert not await reserved_addrs.is_used(connection, addr.id)
            for port, now in ((7, 3.0), (8, 2.0), (9, 1.0), (8, 4.0)):
                await reserved_addrs.remember(connection, addr.host, port, now)
            assert await reserved_addrs.former(connection, addr.host) == [9, 7, 8]
            assert await reserved_addrs.former(connection, "other") == []
