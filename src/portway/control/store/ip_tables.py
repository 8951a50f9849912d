"""Tables of IP policies, their rules, and IP restrictions, and the queries on them that nothing else has."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    String,
    Text,
    UniqueConstraint,
    delete,
    select,
)
from sqlalchemy.engine import Row

from portway.control.store.core import AsyncConnection
from portway.control.store.edge_tables import edge_routes, edges
from portway.control.store.tables import ID, cloud_endpoints, noun
from portway.model.cidr import networks_around
from portway.model.ip import IpPolicy, IpPolicyRule, IpRestriction

ip_policies = noun("ip_policies")

ip_policy_rules = noun(
    "ip_policy_rules",
    Column("ip_policy_id", ID, ForeignKey("ip_policies.id"), nullable=False),
    # As write_network writes it: whoever asks for an address asks for the networks around it by name.
    Column("cidr", String(64), nullable=False),
    # allow or deny
    Column("action", String(8), nullable=False),
    UniqueConstraint("ip_policy_id", "cidr"),
)

ip_restrictions = noun(
    "ip_restrictions",
    Column("type", String(16), nullable=False),
    Column("enforced", Boolean, nullable=False),
    # A JSON list of identifiers, at least one. An account has four restrictions at most, so they are read.
    Column("ip_policy_ids", Text, nullable=False),
    UniqueConstraint("account_id", "type"),
)


def policy(row: Row[Any]) -> IpPolicy:
    """Make the value of a row."""
    return IpPolicy(row.id, row.account_id, row.description, row.metadata, row.created_at)


def rule(row: Row[Any]) -> IpPolicyRule:
    """Make the value of a row."""
    return IpPolicyRule(
        row.id,
        row.account_id,
        row.description,
        row.metadata,
        row.created_at,
        row.ip_policy_id,
        row.cidr,
        row.action,
    )


def restriction(row: Row[Any]) -> IpRestriction:
    """Make the value of a row."""
    return IpRestriction(
        row.id,
        row.account_id,
        row.description,
        row.metadata,
        row.created_at,
        row.type,
        row.enforced,
        tuple(json.loads(row.ip_policy_ids)),
    )


async def rule_ids(connection: AsyncConnection, policy_id: str) -> list[str]:
    """Return the rules of a policy."""
    query = select(ip_policy_rules.c.id).where(ip_policy_rules.c.ip_policy_id == policy_id)
    return list((await connection.execute(query)).scalars())


async def remove_rules(connection: AsyncConnection, policy_id: str) -> None:
    """Remove the rules of a policy."""
    await connection.execute(delete(ip_policy_rules).where(ip_policy_rules.c.ip_policy_id == policy_id))


async def rule_of(connection: AsyncConnection, policy_id: str, cidr: str) -> str | None:
    """Return the rule that a policy has for exactly this network."""
    query = select(ip_policy_rules.c.id).where(
        ip_policy_rules.c.ip_policy_id == policy_id, ip_policy_rules.c.cidr == cidr
    )
    return (await connection.execute(query)).scalar()


async def restrictions(connection: AsyncConnection, account_id: str) -> list[IpRestriction]:
    """Return an account's restrictions, of which it has one of each type at most."""
    query = select(ip_restrictions).where(ip_restrictions.c.account_id == account_id)
    return [restriction(row) for row in await connection.execute(query)]


async def restriction_of(connection: AsyncConnection, account_id: str, kind: str) -> IpRestriction | None:
    """Return an account's restriction of one type."""
    query = select(ip_restrictions).where(
        ip_restrictions.c.account_id == account_id, ip_restrictions.c.type == kind
    )
    row = (await connection.execute(query)).first()
    return None if row is None else restriction(row)


async def known(connection: AsyncConnection, account_id: str, ids: Sequence[str]) -> set[str]:
    """Return which of some policies an account has."""
    query = select(ip_policies.c.id).where(ip_policies.c.account_id == account_id, ip_policies.c.id.in_(ids))
    return set((await connection.execute(query)).scalars())


async def named_by(connection: AsyncConnection, account_id: str, thing_id: str) -> str | None:
    """Return what names an IP policy or an authority: a cloud endpoint's URL, an edge or its route; or None.

    Documents are searched for the identifier, within one account.
    """
    for shown, text in (
        (cloud_endpoints.c.url, cloud_endpoints.c.traffic_policy),
        (edges.c.id, edges.c.modules),
        (edge_routes.c.id, edge_routes.c.modules),
    ):
        ours = shown.table.c.account_id == account_id
        query = select(shown).where(ours, text.contains(thing_id, autoescape=True))
        found = (await connection.execute(query.limit(1))).scalar()
        if found is not None:
            return str(found)
    return None


async def rules_for(
    connection: AsyncConnection, account_id: str, ids: Sequence[str], address: str
) -> list[tuple[str, str]]:
    """Return action and network of the rules of some policies that hold an address.

    However many rules there are: the networks around an address are asked for by name.
    """
    query = select(ip_policy_rules.c.action, ip_policy_rules.c.cidr).where(
        ip_policy_rules.c.account_id == account_id,
        ip_policy_rules.c.ip_policy_id.in_(ids),
        ip_policy_rules.c.cidr.in_(networks_around(address)),
    )
    return [(row[0], row[1]) for row in await connection.execute(query)]
