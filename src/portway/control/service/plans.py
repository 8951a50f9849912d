"""Plan gates: what an account may have is bounded by its plan, if its operator wants that.

``Settings.plans`` names the limits of each plan. It is empty by default: everybody may have
everything, and nothing is counted. A plan that is not named there has no limits.
"""

import msgspec
from sqlalchemy import ColumnElement, Table

from portway.control.service.context import Context
from portway.control.store import accounts, nouns
from portway.control.store.core import AsyncConnection
from portway.errors import Error
from portway.model.plan import Plan


class Gate(msgspec.Struct, frozen=True):
    """One limit: its field in Plan, what it counts, and its codes.

    ``forbidden`` is for a limit of 0, ``full`` for one that is reached, ``upgrade`` for one that is
    reached while another plan has a higher one.
    """

    limit: str
    things: str
    table: Table
    forbidden: int
    full: int
    upgrade: int


async def plan_of(context: Context, connection: AsyncConnection, account_id: str) -> Plan:
    """Return the limits of an account."""
    if not context.settings.plans:
        return Plan()
    account = await accounts.find(connection, account_id)
    return context.settings.plans.get(account.plan if account else "", Plan())


async def check_room(
    context: Context,
    connection: AsyncConnection,
    account_id: str,
    gate: Gate,
    *where: ColumnElement[bool],
) -> None:
    """Make sure that an account may have one more; in a transaction that writes, until it ends.

    ``where`` says which rows of the gate's table count. Raises Error with one of the gate's codes.
    """
    limit: int | None = getattr(await plan_of(context, connection, account_id), gate.limit)
    if limit is None:
        return
    if limit == 0:
        raise Error(f"The plan of this account does not include {gate.things}.", gate.forbidden)
    if await nouns.count(connection, gate.table, account_id, *where) < limit:
        return
    higher = [getattr(plan, gate.limit) for plan in context.settings.plans.values()]
    more = any(each is None or each > limit for each in higher)
    hint = " Another plan has more." if more else ""
    raise Error(
        f"The plan of this account includes {limit} {gate.things}, and all are in use.{hint}",
        gate.upgrade if more else gate.full,
    )
