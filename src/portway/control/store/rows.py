"""Reading one page of what an account owns, newest first.

Every table of a noun has an index on (account, identifier), and identifiers sort by the time they
were made. So a page is a walk along that index from a known place, however many rows there are.
"""

from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Select, Table, literal, select, tuple_
from sqlalchemy.engine import Row

from portway.control.store.core import AsyncConnection

PAGE_LIMIT: Final = 100
"""Rows of a page that anybody may ask for."""


AnyRow = Row[*tuple[Any, ...]]
"""A row of any table; its columns are attributes."""


class Page(msgspec.Struct, frozen=True):
    """Which rows: at most ``limit`` (1 to 100), those older than ``before_id`` ("": from the newest)."""

    limit: int = PAGE_LIMIT
    before_id: str = ""


async def page(
    connection: AsyncConnection, table: Table, account_id: str, page: Page, *where: ColumnElement[bool]
) -> list[AnyRow]:
    """Return the rows of a page and, if there are more, one beyond it.

    ``before_id`` need not exist any more. ``where`` narrows the rows; what it drops is still walked
    over, so a rare match in a large table takes as long as the table.
    """
    result = await connection.execute(page_query(table, account_id, page, *where))
    return list(result)


def page_query(table: Table, account_id: str, page: Page, *where: ColumnElement[bool]) -> Select[Any]:
    """Return the query of :func:`page`."""
    # Said as a range of the index's own order. Of "account = A and id < X" PostgreSQL thinks that walking
    # back over the rows of all accounts and picking A's is as good, which it is not when A's are old.
    place = tuple_(table.c.account_id, table.c.id)
    if page.before_id:
        below = place < tuple_(literal(account_id), literal(page.before_id))
    else:
        below = table.c.account_id <= account_id
    query = select(table).where(table.c.account_id >= account_id, below, *where)
    return query.order_by(table.c.account_id.desc(), table.c.id.desc()).limit(page.limit + 1)
