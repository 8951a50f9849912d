"""Pages of what an account owns."""

from pathlib import Path

from sqlalchemy import insert
from tests.kit.store import opened

from portway.control.store import accounts
from portway.control.store.rows import Page, page
from portway.control.store.tables import reserved_addrs
from portway.model.entities import Account


def row(number: int, account: str = "ac_1") -> dict[str, object]:
    return {
        "id": f"ra_{number:03}", "account_id": account, "description": "", "created_at": 1.0,
        "region": "local", "host": account, "port": number,
    }  # fmt: skip


async def test_pages_go_from_the_newest_to_the_oldest_of_one_account(tmp_path: Path) -> None:
    async with opened(tmp_path) as context, context.database.write() as connection:
        for account in ("ac_1", "ac_2"):
            await accounts.add(connection, Account(account, account, "free", 1.0))
        rows = [row(number) for number in range(10)] + [row(20 + number, "ac_2") for number in range(10)]
        await connection.execute(insert(reserved_addrs), rows)

        async def ids(account: str, limit: int = 100, before_id: str = "") -> list[str]:
            rows = await page(connection, reserved_addrs, account, Page(limit, before_id))
            return [each.id for each in rows]

        assert await ids("ac_1", 3) == ["ra_009", "ra_008", "ra_007", "ra_006"]
        assert await ids("ac_1", 3, "ra_007") == ["ra_006", "ra_005", "ra_004", "ra_003"]
        assert await ids("ac_1", 3, "ra_003") == ["ra_002", "ra_001", "ra_000"]
        assert await ids("ac_1", 3, "ra_000") == []
        assert await ids("ac_1", 3, "ra_0005") == ["ra_000"], "the place need not be a row"
        assert await ids("ac_2", 1) == ["ra_029", "ra_028"]
        assert await ids("ac_3") == []
        only = await page(connection, reserved_addrs, "ac_1", Page(), reserved_addrs.c.port > 7)
        assert [each.port for each in only] == [9, 8]
