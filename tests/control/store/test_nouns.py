"""Queries that serve every table: the account is always asked for."""

from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError
from tests.kit.names import two_accounts
from tests.kit.store import opened

from portway.control.store import nouns
from portway.control.store.tables import reserved_addrs


async def test_a_row_is_its_accounts_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        mine, theirs = (account.id for account in await two_accounts(context))
        values = {
            "id": "ra_1", "account_id": mine, "description": "", "metadata": "", "created_at": 1.0,
            "region": "local", "host": "h", "port": 1,
        }  # fmt: skip
        async with context.database.write() as connection:
            await nouns.add(connection, reserved_addrs, values)
            assert await nouns.find(connection, reserved_addrs, theirs, "ra_1") is None
            assert await nouns.change(connection, reserved_addrs, theirs, "ra_1", {"metadata": "x"}) is None
            assert not await nouns.remove(connection, reserved_addrs, theirs, "ra_1")
            assert await nouns.count(connection, reserved_addrs, theirs) == 0
            row = await nouns.find(connection, reserved_addrs, mine, "ra_1")
            assert row is not None
            assert {name: getattr(row, name) for name in values} == values
            assert await nouns.count(connection, reserved_addrs, mine) == 1
            assert await nouns.count(connection, reserved_addrs, mine, reserved_addrs.c.port > 1) == 0
            row = await nouns.change(connection, reserved_addrs, mine, "ra_1", {"metadata": "x"})
            assert row is not None
            assert row.metadata == "x"
            assert await nouns.owner(connection, reserved_addrs, "ra_1") == mine
            assert await nouns.remove(connection, reserved_addrs, mine, "ra_1")
            assert await nouns.owner(connection, reserved_addrs, "ra_1") is None
            assert await nouns.find(connection, reserved_addrs, mine, "ra_1") is None
        with pytest.raises(IntegrityError):
            async with context.database.write() as connection:
                await nouns.add(connection, reserved_addrs, {**values, "account_id": "ac_x"})
