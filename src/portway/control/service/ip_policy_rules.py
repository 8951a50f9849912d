"""Rules of IP policies: networks whose addresses are allowed or denied."""

from typing import Final

from portway.control.service import ip_policies, plans, shown, texts
from portway.control.service.context import Context
from portway.control.service.ip_policies import TEXTS
from portway.control.service.noun import Noun
from portway.control.store import changes, ip_tables, nouns
from portway.control.store.core import AsyncConnection
from portway.control.store.ip_tables import ip_policy_rules
from portway.errors import Error, NotFound
from portway.model.ids import new_id
from portway.model.ip import ACTIONS, IpPolicyRule, read_cidr

PER_POLICY: Final = 10_000
"""Rules of one policy."""
LIMIT: Final = 50_000
"""Rules of one account."""
_GATE: Final = plans.Gate("ip_rules", "rules of IP policies", ip_policy_rules, 1417, 1417, 1417)
_POLICY_GATE: Final = plans.Gate(
    "ip_policy_rules", "rules of one IP policy", ip_policy_rules, 1411, 1411, 1411
)

NOUN: Final = Noun(
    ip_policy_rules,
    ip_tables.rule,
    shown.ip_policy_rule,
    changes.IP_RULE,
    "ip_policy_rule",
    lambda: NotFound("There is no such rule of an IP policy.", 1404),
)
get, listed = NOUN.get, NOUN.listed


async def create(
    context: Context,
    account_id: str,
    policy_id: str,
    cidr: str,
    action: str,
    *,
    description: str = "",
    metadata: str = "",
) -> IpPolicyRule:
    """Add a rule to a policy.

    Raises NotFound 1402 when there is no such policy; Error 1405 when something is missing, 1406, 1409 or
    1413 for the network, 1408 when the policy has a rule for it, 1411 or 1417 when there are too many, 1414
    and 229 for what is no identifier of a policy, 1421, 1422 for the action.
    """
    for name, value in (("ip_policy_id", policy_id), ("cidr", cidr), ("action", action)):
        if not value:
            raise Error(f"The rule has no {name}.", 1405)
    if action not in ACTIONS:
        raise Error(f"The action {action[:40]!r} is neither allow nor deny.", 1422)
    check_policy_id(policy_id)
    texts.check(description, metadata, TEXTS)
    network = read_cidr(cidr)
    async with context.database.write() as connection:
        await ip_policies.NOUN.find(connection, account_id, policy_id)
        await _check_new(connection, policy_id, network)
        await _check_room(context, connection, account_id, policy_id)
        now = context.now()
        rule_id = new_id("ipr", context.random, now)
        made = IpPolicyRule(rule_id, account_id, description, metadata, now, policy_id, network, action)
        values = {
            "id": made.id,
            "account_id": account_id,
            "description": description,
            "metadata": metadata,
            "created_at": now,
            "ip_policy_id": policy_id,
            "cidr": network,
            "action": action,
        }
        await NOUN.add(context, connection, values, made)
    return made


async def update(
    context: Context,
    account_id: str,
    rule_id: str,
    *,
    cidr: str | None = None,
    description: str | None = None,
    metadata: str | None = None,
) -> IpPolicyRule:
    """Change the network or the texts of a rule; an empty network is left as it is.

    Raises NotFound 1404, Error 1401 when nothing is given, and for the network and texts as ``create``.
    """
    texts.check(description, metadata, TEXTS)
    values = texts.given(description=description, metadata=metadata)
    network = read_cidr(cidr) if cidr else None
    async with context.database.write() as connection:
        before = await NOUN.find(connection, account_id, rule_id)
        if network is not None:
            values["cidr"] = network
        if not values:
            raise Error("The update names nothing to change.", 1401)
        if network is not None and network != before.cidr:
            await _check_new(connection, before.ip_policy_id, network)
        return await NOUN.change(context, connection, account_id, rule_id, values)


async def delete(context: Context, account_id: str, rule_id: str) -> None:
    """Delete a rule.

    Raises NotFound 1404, Error 1419 for the last one that lets anybody in to a dashboard that is enforced.
    """
    async with context.database.write() as connection:
        gone = await NOUN.find(connection, account_id, rule_id)
        await _check_dashboard(connection, gone)
        await NOUN.remove(context, connection, gone)


def check_policy_id(policy_id: str) -> None:
    """Refuse what is no identifier of a policy. Raises Error 229 for another prefix, 1414 for the rest."""
    prefix, _, rest = policy_id.partition("_")
    if prefix != "ipp":
        raise Error(f"{policy_id[:60]!r} is not the identifier of an IP policy.", 229)
    if not (rest.isascii() and rest.isalnum() and len(rest) <= 36):
        raise Error(f"The identifier {policy_id[:60]!r} of an IP policy is malformed.", 1414)


async def _check_new(connection: AsyncConnection, policy_id: str, network: str) -> None:
    there = await ip_tables.rule_of(connection, policy_id, network)
    if there is not None:
        raise Error(f"The rule {there} of this IP policy is for {network} already.", 1408)


async def _check_room(context: Context, connection: AsyncConnection, account_id: str, policy_id: str) -> None:
    ours = ip_policy_rules.c.ip_policy_id == policy_id
    await plans.check_room(context, connection, account_id, _GATE)
    await plans.check_room(context, connection, account_id, _POLICY_GATE, ours)
    if await nouns.count(connection, ip_policy_rules, account_id, ours) >= PER_POLICY:
        raise Error(f"An IP policy may have {PER_POLICY} rules.", 1411)
    if await nouns.count(connection, ip_policy_rules, account_id) >= LIMIT:
        raise Error(f"An account may have {LIMIT} rules of IP policies.", 1417)


async def _check_dashboard(connection: AsyncConnection, rule: IpPolicyRule) -> None:
    held = await ip_tables.restriction_of(connection, rule.account_id, "dashboard")
    if held is None or not held.enforced or rule.ip_policy_id not in held.ip_policy_ids:
        return
    others = ip_policy_rules.c.ip_policy_id.in_(held.ip_policy_ids), ip_policy_rules.c.id != rule.id
    if not await nouns.count(connection, ip_policy_rules, rule.account_id, *others):
        raise Error(f"This is the last rule of the enforced IP restriction {held.id} of the dashboard.", 1419)
