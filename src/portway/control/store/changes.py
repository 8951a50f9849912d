"""What a running service must hear of, in order."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from portway.control.store.tables import changes

CREDENTIAL_REVOKED: Final = "credential_revoked"

KEPT: Final = 86_400.0
"""Seconds that a change is kept. A service hears of it within one second or reads all anew."""


@dataclass(frozen=True, slots=True)
class Change:
    """One entry. ``subject_id`` is what changed."""

    seq: int
    kind: str
    account_id: str
    subject_id: str


async def note(connection: AsyncConnection, kind: str, account_id: str, subject_id: str, now: float) -> None:
    """Write a change down, in the transaction that makes it."""
    await connection.execute(
        insert(changes).values(kind=kind, account_id=account_id, subject_id=subject_id, at=now)
    )
    await connection.execute(delete(changes).where(changes.c.at < now - KEPT))


async def last(connection: AsyncConnection) -> int:
    """Return the number of the newest change, 0 if there is none."""
    return (await connection.execute(select(func.max(changes.c.seq)))).scalar() or 0


async def after(connection: AsyncConnection, seq: int) -> list[Change]:
    """Return the changes that follow a number."""
    query = (
        select(changes.c.seq, changes.c.kind, changes.c.account_id, changes.c.subject_id)
        .where(changes.c.seq > seq)
        .order_by(changes.c.seq)
    )
    return [Change(*row) for row in await connection.execute(query)]
