"""Accounts."""

from pathlib import Path

import pytest
from tests.kit.names import noted
from tests.kit.store import Clock, opened

from portway.control.service import accounts
from portway.control.store import changes
from portway.errors import Error


async def test_accounts_are_listed_oldest_first(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as context:
        first = await accounts.add(context, " Zoë ")
        clock.now += 1
        second = await accounts.add(context, "adam", plan="free")
        assert await accounts.listed(context) == [first, second]
    assert first.name == "Zoë"
    assert first.id.startswith("ac_")
    assert second.plan == "free"
    assert second.created_at == clock.now


async def test_an_account_is_put_on_another_plan(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        account = await accounts.add(context, "a")
        assert account.plan == accounts.DEFAULT_PLAN
        changed = await accounts.set_plan(context, "a", " free ")
        assert changed.plan == "free"
        assert await accounts.listed(context) == [changed]
        assert await noted(context) == [(changes.ACCOUNT, account.id)]
        for plan in ("", " ", "a\nb", "x" * 41):
            with pytest.raises(Error, match="1 to 40 printable"):
                await accounts.set_plan(context, "a", plan)
        with pytest.raises(Error, match="no account"):
            await accounts.set_plan(context, "b", "free")


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 256])
async def test_a_bad_name_is_refused(tmp_path: Path, name: str) -> None:
    async with opened(tmp_path) as context:
        with pytest.raises(Error, match="1 to 255 printable"):
            await accounts.add(context, name)


async def test_names_are_unique(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        await accounts.add(context, "a")
        with pytest.raises(Error, match="already"):
            await accounts.add(context, "a")
        assert len(await accounts.listed(context)) == 1


async def test_an_account_is_found_by_name_by_id_or_by_being_the_only_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as context, context.database.read() as connection:
        with pytest.raises(Error, match="no account yet"):
            await accounts.resolve(connection, None)
    async with opened(tmp_path) as context:
        a = await accounts.add(context, "a")
        async with context.database.read() as connection:
            for key in ("a", a.id, None):
                assert await accounts.resolve(connection, key) == a
            with pytest.raises(Error, match="no account 'b'"):
                await accounts.resolve(connection, "b")
        await accounts.add(context, "b")
        async with context.database.read() as connection:
            with pytest.raises(Error, match="several"):
                await accounts.resolve(connection, None)
