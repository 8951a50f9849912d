"""IP policies: sets of rules about addresses, which restrictions, traffic policies and edges refer to."""

from typing import Final

from portway.control.service import plans, shown, texts
from portway.control.service.context import Context
from portway.control.service.noun import Noun
from portway.control.store import changes, ip_tables, nouns
from portway.control.store.core import AsyncConnection
from portway.control.store.ip_tables import ip_policies
from portway.errors import Error, NotFound
from portway.model.ids import new_id
from portway.model.ip import IpPolicy

LIMIT: Final = 1000
"""IP policies of one account."""
TEXTS: Final = (1421, 1421)
_GATE: Final = plans.Gate("ip_policies", "IP policies", ip_policies, 1410, 1410, 1410)

NOUN: Final = Noun(
    ip_policies,
    ip_tables.policy,
    shown.ip_policy,
    changes.IP_POLICY,
    "ip_policy",
    lambda: NotFound("There is no such IP policy.", 1402),
)
get, listed = NOUN.get, NOUN.listed


async def create(context: Context, account_id: str, *, description: str = "", metadata: str = "") -> IpPolicy:
    """Make a policy without rules. Raises Error 1410 or 1415 when there are too many, 1421."""
    texts.check(description, metadata, TEXTS)
    async with context.database.write() as connection:
        await plans.check_room(context, connection, account_id, _GATE)
        if await nouns.count(connection, ip_policies, account_id) >= LIMIT:
            raise Error(f"An account may have {LIMIT} IP policies.", 1415)
        now = context.now()
        made = IpPolicy(new_id("ipp", context.random, now), account_id, description, metadata, now)
        values = {
            "id": made.id,
            "account_id": account_id,
            "description": description,
            "metadata": metadata,
            "created_at": now,
        }
        await NOUN.add(context, connection, values, made)
    return made


async def update(
    context: Context,
    account_id: str,
    policy_id: str,
    *,
    description: str | None = None,
    metadata: str | None = None,
) -> IpPolicy:
    """Change the texts of a policy. Raises NotFound 1402, Error 1400 when nothing is given, 1421."""
    texts.check(description, metadata, TEXTS)
    values = texts.given(description=description, metadata=metadata)
    async with context.database.write() as connection:
        await NOUN.find(connection, account_id, policy_id)
        if not values:
            raise Error("The update names nothing to change.", 1400)
        return await NOUN.change(context, connection, account_id, policy_id, values)


async def delete(context: Context, account_id: str, policy_id: str) -> None:
    """Delete a policy and its rules. Raises NotFound 1402, Error 1420 while something refers to it.

    What an agent has brought along may still name it: there it is a policy without rules from now on.
    """
    async with context.database.write() as connection:
        gone = await NOUN.find(connection, account_id, policy_id)
        await _check_unused(connection, account_id, policy_id)
        rules = await ip_tables.rule_ids(connection, policy_id)
        await ip_tables.remove_rules(connection, policy_id)
        await changes.note_all(connection, changes.IP_RULE, account_id, rules, context.now())
        await NOUN.remove(context, connection, gone)


async def _check_unused(connection: AsyncConnection, account_id: str, policy_id: str) -> None:
    for each in await ip_tables.restrictions(connection, account_id):
        if policy_id in each.ip_policy_ids:
            raise Error(f"The IP restriction {each.id} uses this IP policy.", 1420)
    named_by = await ip_tables.named_by(connection, account_id, policy_id)
    if named_by is not None:
        raise Error(f"{named_by} uses this IP policy.", 1420)
