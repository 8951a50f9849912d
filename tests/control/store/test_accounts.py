"""Queries on accounts."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy.exc import IntegrityError
from tests.kit.store import opened

from portway.control.store import accounts
from portway.model.entities import Account

ACCOUNT = Account("ac_1", "a", "free", 1.0)


async def test_an_account_comes_back_as_it_was(tmp_path: Path) -> None:
    async with opened(tmp_path) as context, context.database.write() as connection:
        await accounts.add(connection, ACCOUNT)
        assert await accounts.find(connection, "ac_1") == ACCOUNT
        assert await accounts.find(connection, "a") == ACCOUNT
        assert await accounts.find(connection, "b") is None
        assert await accounts.listed(connection) == [ACCOUNT]
        await accounts.set_plan(connection, "ac_1", "team")
        assert await accounts.find(connection, "ac_1") == replace(ACCOUNT, plan="team")


async def test_a_name_is_taken_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        async with context.database.write() as connection:
            await accounts.add(connection, ACCOUNT)
        with pytest.raises(IntegrityError):
            async with context.database.write() as connection:
                await accounts.add(connection, Account("ac_2", "a", "free", 1.0))


async def test_an_only_account_is_known_as_such(tmp_path: Path) -> None:
    async with opened(tmp_path) as context, context.database.write() as connection:
        assert await accounts.only_one(connection) == ""
        await accounts.add(connection, ACCOUNT)
        assert await accounts.only_one(connection) == "ac_1"
        await accounts.add(connection, Account("ac_2", "b", "free", 1.0))
        assert await accounts.only_one(connection) == ""
