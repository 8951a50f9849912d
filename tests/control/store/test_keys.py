"""Queries on keys."""

from pathlib import Path

import pytest
from sqlalchemy import Table
from sqlalchemy.exc import IntegrityError
from tests.kit.store import opened

from portway.control.store import accounts, keys
from portway.control.store.tables import api_keys, credentials
from portway.model.entities import Account

ROW = keys.KeyRow("xx_1", "ac_1", "d", bytes(32), 1.0)


@pytest.mark.parametrize("table", [credentials, api_keys], ids=str)
async def test_a_key_comes_back_with_its_owner(tmp_path: Path, table: Table) -> None:
    async with opened(tmp_path) as context, context.database.write() as connection:
        await accounts.add(connection, Account("ac_1", "a", "free", 1.0))
        await keys.add(connection, table, ROW)
        assert await keys.find(connection, table, "xx_1") == ROW
        assert await keys.find(connection, table, "xx_2") is None
        assert await keys.owner(connection, table, "xx_1") == (ROW, keys.Owner("ac_1", "a", "free"))
        assert await keys.owner(connection, table, "xx_2") is None
        assert await keys.listed(connection, table, None) == [ROW]
        assert await keys.listed(connection, table, "ac_2") == []
        await keys.revoke(connection, table, "xx_1", 5.0)
        revoked = await keys.find(connection, table, "xx_1")
    assert revoked is not None
    assert revoked.revoked_at == 5.0


async def test_a_key_needs_its_account(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        with pytest.raises(IntegrityError):
            async with context.database.write() as connection:
                await keys.add(connection, credentials, ROW)
