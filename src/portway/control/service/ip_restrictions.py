"""IP restrictions: from where an account's dashboard, API, agents and endpoints may be used.

Those of agents, API and dashboard are judged here, by the store as it is at that moment; those of endpoints
at the edge, which is told of every change.

The operator cannot be locked out: the machine's own addresses and those of ``Settings.admin_cidrs`` always
get through to API and dashboard.
"""

import json
import logging
from collections.abc import Sequence
from enum import Enum
from ipaddress import ip_address
from typing import Final, Literal

from portway.control.service import plans, shown, texts
from portway.control.service.context import Context
from portway.control.service.ip_policy_rules import check_policy_id
from portway.control.service.noun import Noun
from portway.control.store import changes, ip_tables
from portway.control.store.core import AsyncConnection
from portway.control.store.ip_tables import ip_restrictions
from portway.errors import Error
from portway.model.cidr import CidrSet
from portway.model.ids import new_id
from portway.model.ip import TYPES, IpRestriction

POLICIES: Final = 100
"""IP policies of one restriction."""

_TEXTS: Final = (215, 215)
_NOT_INCLUDED: Final = {"dashboard": 1805, "api": 1806, "agent": 1807, "endpoints": 1808}
"""The codes of a plan without restrictions."""

NOUN: Final = Noun(
    ip_restrictions,
    ip_tables.restriction,
    shown.ip_restriction,
    changes.IP_RESTRICTION,
    "ip_restriction",
)
get, listed = NOUN.get, NOUN.listed

_log = logging.getLogger(__name__)


class Standing(Enum):
    """What a restriction says of an address."""

    FREE = "free"
    """Nobody asks from where it comes."""
    ALLOWED = "allowed"
    WARNED = "warned"
    """It may not, but the restriction is not enforced."""
    REFUSED = "refused"


async def create(
    context: Context,
    account_id: str,
    kind: str,
    policy_ids: Sequence[str],
    *,
    enforced: bool = False,
    description: str = "",
    metadata: str = "",
) -> IpRestriction:
    """Restrict something of an account.

    Raises Error 1803 for the type, 1802 when there is one of it, 1800, 1801, 1804, 229 or 1414 for the
    policies, 1805 to 1808 when the plan has none, 215 for the texts.
    """
    if kind not in TYPES:
        raise Error(f"The type {kind[:40]!r} is none of {', '.join(TYPES)}.", 1803)
    texts.check(description, metadata, _TEXTS)
    ids = _checked(policy_ids)
    async with context.database.write() as connection:
        if not (await plans.plan_of(context, connection, account_id)).ip_restrictions:
            raise Error("The plan of this account does not include IP restrictions.", _NOT_INCLUDED[kind])
        if (there := await ip_tables.restriction_of(connection, account_id, kind)) is not None:
            raise Error(f"There is a restriction of type {kind} already: {there.id}.", 1802)
        await _check_known(connection, account_id, ids)
        now = context.now()
        made = IpRestriction(
            new_id("ipx", context.random, now), account_id, description, metadata, now, kind, enforced, ids
        )
        values = {
            "id": made.id,
            "account_id": account_id,
            "description": description,
            "metadata": metadata,
            "created_at": now,
            "type": kind,
            "enforced": enforced,
            "ip_policy_ids": json.dumps(ids),
        }
        await NOUN.add(context, connection, values, made)
    return made


async def update(
    context: Context,
    account_id: str,
    restriction_id: str,
    *,
    policy_ids: Sequence[str] = (),
    enforced: bool | None = None,
    description: str | None = None,
    metadata: str | None = None,
) -> IpRestriction:
    """Change a restriction; without policies it keeps those that it has. Raises as ``create``, NotFound."""
    texts.check(description, metadata, _TEXTS)
    values: dict[str, object] = dict(texts.given(description=description, metadata=metadata))
    if enforced is not None:
        values["enforced"] = enforced
    ids = _checked(policy_ids) if policy_ids else ()
    async with context.database.write() as connection:
        found = await NOUN.find(connection, account_id, restriction_id)
        if ids:
            await _check_known(connection, account_id, ids)
            values["ip_policy_ids"] = json.dumps(ids)
        if not values:
            return found
        return await NOUN.change(context, connection, account_id, restriction_id, values)


async def delete(context: Context, account_id: str, restriction_id: str) -> None:
    """Lift a restriction. Raises NotFound."""
    async with context.database.write() as connection:
        await NOUN.remove(context, connection, await NOUN.find(connection, account_id, restriction_id))


# Who may come.


async def standing(
    context: Context, account_id: str, kind: Literal["dashboard", "api", "agent"], address: str
) -> Standing:
    """Judge an address: what the restriction of this type says of it now.

    ``address`` is the other end of the connection as the edge saw it, perhaps in brackets; "" for somebody on
    this machine who came through no connection at all.
    """
    address = address.strip("[]").partition("%")[0]
    if kind != "agent" and is_operator(context, address):
        return Standing.FREE
    async with context.database.read() as connection:
        held = await ip_tables.restriction_of(connection, account_id, kind)
        if held is None:
            return Standing.FREE
        rules = await ip_tables.rules_for(connection, account_id, held.ip_policy_ids, address)
    actions = {action for action, _ in rules}
    if actions == {"allow"}:
        return Standing.ALLOWED
    said = "is refused" if held.enforced else "would be refused, were it enforced"
    fields = {"account": account_id, "restriction": held.id, "type": kind, "source": address}
    _log.warning("IP restriction: %s %s", address, said, extra={"fields": fields})
    return Standing.REFUSED if held.enforced else Standing.WARNED


def is_operator(context: Context, address: str) -> bool:
    """Tell whether an address is one that is never locked out of API and dashboard."""
    if not address:
        return True
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    if (mapped or ip).is_loopback:
        return True
    return CidrSet(context.settings.admin_cidrs).match(address) is not None


async def check_agent(context: Context, account_id: str, address: str) -> None:
    """Refuse an agent, or an SSH client, that connects from elsewhere. Raises Error 115."""
    if await standing(context, account_id, "agent", address) is Standing.REFUSED:
        raise Error(f"Agents of this account may not connect from {address}.", 115)


async def check_api(context: Context, account_id: str, address: str) -> None:
    """Refuse a caller of the API from elsewhere. Raises Error 220."""
    if await standing(context, account_id, "api", address) is Standing.REFUSED:
        raise Error(f"The API may not be used with keys of this account from {address}.", 220)


def _checked(policy_ids: Sequence[str]) -> tuple[str, ...]:
    """Return identifiers, each once. Raises Error 1800, 1804, 229, 1414."""
    ids = tuple(dict.fromkeys(policy_ids))
    if not ids:
        raise Error("An IP restriction needs at least one IP policy.", 1804)
    if len(ids) > POLICIES:
        raise Error(f"An IP restriction may have {POLICIES} IP policies.", 1800)
    for each in ids:
        check_policy_id(each)
    return ids


async def _check_known(connection: AsyncConnection, account_id: str, ids: tuple[str, ...]) -> None:
    known = await ip_tables.known(connection, account_id, ids)
    for each in ids:
        if each not in known:
            raise Error(f"There is no IP policy {each}.", 1801)
