"""Queries on reserved domains."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.engine import Row

from portway.control.store import edges
from portway.control.store.core import AsyncConnection
from portway.control.store.tables import cloud_endpoints, reservations, reserved_domains
from portway.model.domain import ReservedDomain

_domain = reserved_domains.c.domain


def read(row: Row[Any]) -> ReservedDomain:
    """Make the value of a row."""
    return ReservedDomain(
        id=row.id,
        account_id=row.account_id,
        description=row.description,
        metadata=row.metadata,
        created_at=row.created_at,
        domain=row.domain,
        is_dev=row.is_dev,
        certificate_id=row.certificate_id,
        authority=row.certificate_authority,
        key_type=row.certificate_key_type,
        resolves_to=tuple(json.loads(row.resolves_to)),
    )


def values(domain: ReservedDomain) -> dict[str, Any]:
    """Make the row of a value."""
    return {
        "id": domain.id,
        "account_id": domain.account_id,
        "description": domain.description,
        "metadata": domain.metadata,
        "created_at": domain.created_at,
        "domain": domain.domain,
        "region": "",
        "is_dev": domain.is_dev,
        "certificate_id": domain.certificate_id,
        "certificate_authority": domain.authority,
        "certificate_key_type": domain.key_type,
        "resolves_to": json.dumps(domain.resolves_to),
    }


async def named(connection: AsyncConnection, names: Sequence[str]) -> list[ReservedDomain]:
    """Return what is reserved of some names, by anybody."""
    rows = await connection.execute(select(reserved_domains).where(_domain.in_(names)))
    return [read(row) for row in rows]


async def below(connection: AsyncConnection, bare: str, account_id: str) -> ReservedDomain | None:
    """Return one name below another that somebody else has reserved, if there is any."""
    query = select(reserved_domains).where(
        _domain.endswith(f".{bare}", autoescape=True), reserved_domains.c.account_id != account_id
    )
    row = (await connection.execute(query.limit(1))).first()
    return read(row) if row else None


async def online(connection: AsyncConnection, name: str, account_id: str, now: float) -> bool:
    """Tell whether somebody else's session is, or may come back, at a name or below it.

    For a wildcard: below the name that it stands under.
    """
    bare = name.removeprefix("*.")
    url = reservations.c.url
    places: list[ColumnElement[bool]] = [url.endswith(f".{bare}"), url.contains(f".{bare}:")]
    if bare == name:
        places += [url.endswith(f"//{bare}"), url.contains(f"//{bare}:")]
    query = select(url).where(
        or_(*places),
        reservations.c.account_id != account_id,
        or_(reservations.c.held_until.is_(None), reservations.c.held_until > now),
    )
    return (await connection.execute(query.limit(1))).first() is not None


async def is_used(connection: AsyncConnection, domain_id: str) -> bool:
    """Tell whether a cloud endpoint has this domain."""
    query = select(cloud_endpoints.c.id).where(cloud_endpoints.c.domain_id == domain_id).limit(1)
    if (await connection.execute(query)).first() is not None:
        return True
    return await edges.has_domain(connection, domain_id)
