"""Pages of what an account owns."""

import re
import tracemalloc
from pathlib import Path
from typing import Any

from sqlalchemy import Select, insert
from tests.kit.many import filled
from tests.kit.store import opened, place

from portway.control.store import accounts
from portway.control.store.core import AsyncConnection
from portway.control.store.rows import Page, page, page_query
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


EACH = 50_000


async def plan(connection: AsyncConnection, query: Select[*tuple[Any, ...]]) -> str:
    """Return how the database carries a query out."""
    explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    compiled = query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
    return "\n".join(str(each[-1]) for each in await connection.exec_driver_sql(f"{explain} {compiled}"))


async def test_a_page_of_very_many_rows_is_a_walk_along_the_index(tmp_path: Path) -> None:
    """Wherever the page is, and though all rows of another account are newer."""
    async with filled(place(tmp_path), EACH) as database, database.read() as connection:
        for before in ("", f"ra_0{10_000_000 + EACH // 2}", f"ra_0{10_000_000 + 50}"):
            query = page_query(reserved_addrs, "ac_1", Page(100, before))
            steps = await plan(connection, query)
            assert "ix_reserved_addrs_account_id_id" in steps
            assert not re.search(r"Sort|Seq Scan|Filter|SCAN|TEMP B-TREE", steps), steps
            await page(connection, reserved_addrs, "ac_1", Page(100, before))  # first, fill the caches
            tracemalloc.start()
            rows = await page(connection, reserved_addrs, "ac_1", Page(100, before))
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert len(rows) == (49 if before.endswith("050") else 101)
            assert {each.account_id for each in rows} == {"ac_1"}
            assert peak < 1 << 20, "memory is that of a page"
