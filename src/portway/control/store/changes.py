"""What a running service must hear of, in order.

A change says which row, not what happened to it: whoever follows reads the row. If it is there (and,
for a key, not revoked) its value now is what holds; if not, it is gone. So changes may be read late,
twice or several in one, and the last word is always right.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import delete, func, insert, select

from portway.control.store.core import AsyncConnection
from portway.control.store.tables import changes

ACCOUNT: Final = "account"
CREDENTIAL: Final = "credential"
API_KEY: Final = "api_key"
SSH_CREDENTIAL: Final = "ssh_credential"
RESERVED_ADDR: Final = "reserved_addr"
RESERVED_DOMAIN: Final = "reserved_domain"
TLS_CERTIFICATE: Final = "tls_certificate"
CERTIFICATE_AUTHORITY: Final = "certificate_authority"
CLOUD_ENDPOINT: Final = "cloud_endpoint"
APP_SESSION: Final = "app_session"
IP_POLICY: Final = "ip_policy"
IP_RULE: Final = "ip_rule"
IP_RESTRICTION: Final = "ip_restriction"
BACKEND: Final = "backend"
EVENT_DESTINATION: Final = "event_destination"
EVENT_SUBSCRIPTION: Final = "event_subscription"
EDGE: Final = "edge"
EDGE_ROUTE: Final = "edge_route"
EDGE_ENDPOINT: Final = "edge_endpoint"
VAULT: Final = "vault"
SECRET: Final = "secret"  # noqa: S105 - a kind of row, not one of them

KEPT: Final = 86_400.0
"""Seconds that a change is kept. Who has not heard of it by then reads all anew."""

NOTED: Final = "portway_noted"
"""Stands in the ``info`` of a connection whose transaction has noted a change."""


class Change(msgspec.Struct, frozen=True):
    """One entry. ``subject_id`` is the row's identifier."""

    seq: int
    kind: str
    account_id: str
    subject_id: str


async def note(connection: AsyncConnection, kind: str, account_id: str, subject_id: str, now: float) -> None:
    """Write down that a row was made, changed or removed, in the transaction that does it.

    Who follows in this process hears of it as soon as the transaction is committed.
    """
    await connection.execute(
        insert(changes).values(kind=kind, account_id=account_id, subject_id=subject_id, at=now)
    )
    await connection.execute(delete(changes).where(changes.c.at < now - KEPT))
    connection.info[NOTED] = True


async def note_all(
    connection: AsyncConnection, kind: str, account_id: str, subject_ids: Sequence[str], now: float
) -> None:
    """The same of many rows."""
    if not subject_ids:
        return
    await connection.execute(
        insert(changes),
        [{"kind": kind, "account_id": account_id, "subject_id": each, "at": now} for each in subject_ids],
    )
    connection.info[NOTED] = True


async def last(connection: AsyncConnection) -> int:
    """Return the number of the newest change, 0 if there is none."""
    return (await connection.execute(select(func.max(changes.c.seq)))).scalar() or 0


async def follows(connection: AsyncConnection, seq: int) -> bool:
    """Tell whether every change that came after a number is still there."""
    oldest, newest = (
        await connection.execute(select(func.min(changes.c.seq), func.max(changes.c.seq)))
    ).one()
    if newest is None:
        return seq == 0
    return oldest - 1 <= seq <= newest


async def after(connection: AsyncConnection, seq: int, limit: int | None = None) -> list[Change]:
    """Return the changes that follow a number, oldest first, at most ``limit`` of them."""
    query = (
        select(changes.c.seq, changes.c.kind, changes.c.account_id, changes.c.subject_id)
        .where(changes.c.seq > seq)
        .order_by(changes.c.seq)
        .limit(limit)
    )
    return [Change(*row) for row in await connection.execute(query)]
