"""Queries on cloud endpoints, and on what endpoints of any kind refer to."""

from collections.abc import Collection, Sequence
from typing import Any

from msgspec.structs import asdict
from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.engine import Row

from portway.control.store.core import AsyncConnection
from portway.control.store.tables import cloud_endpoints, credentials, reserved_addrs, reserved_domains
from portway.model.cloud_endpoint import CloudEndpoint


def read(row: Row[Any]) -> CloudEndpoint:
    """Make the value of a row."""
    return CloudEndpoint(
        id=row.id,
        account_id=row.account_id,
        url=row.url,
        binding=row.binding,
        pooling_enabled=row.pooling_enabled,
        traffic_policy=row.traffic_policy,
        description=row.description,
        metadata=row.metadata,
        created_at=row.created_at,
        updated_at=row.updated_at,
        domain_id=row.domain_id,
        tcp_addr_id=row.tcp_addr_id,
    )


def values(endpoint: CloudEndpoint) -> dict[str, Any]:
    """Make the row of a value."""
    return asdict(endpoint)


async def at(connection: AsyncConnection, urls: Collection[str]) -> list[CloudEndpoint]:
    """Return the cloud endpoints with one of these URLs, whoever they belong to, oldest first."""
    query = select(cloud_endpoints).where(cloud_endpoints.c.url.in_(urls)).order_by(cloud_endpoints.c.id)
    return [read(row) for row in await connection.execute(query)]


def named(ids: Sequence[str], urls: Sequence[str]) -> list[ColumnElement[bool]]:
    """Return the conditions that narrow a page to identifiers, to URLs, or to both; none for none."""
    narrowed: list[ColumnElement[bool]] = []
    if ids:
        narrowed.append(cloud_endpoints.c.id.in_(ids))
    if urls:
        narrowed.append(cloud_endpoints.c.url.in_(urls))
    return narrowed


async def domains(connection: AsyncConnection, account_id: str, names: Collection[str]) -> dict[str, str]:
    """Return those of some names that an account has reserved, with their identifiers."""
    columns = reserved_domains.c
    query = select(columns.domain, columns.id).where(
        columns.account_id == account_id, columns.domain.in_(names)
    )
    return {row.domain: row.id for row in await connection.execute(query)}


async def domain_owner(connection: AsyncConnection, name: str) -> str | None:
    """Return the account that has reserved exactly a name. For refusals, never for answers."""
    query = select(reserved_domains.c.account_id).where(reserved_domains.c.domain == name)
    return (await connection.execute(query)).scalar()


async def addresses(
    connection: AsyncConnection, account_id: str, places: Collection[tuple[str, int]]
) -> dict[tuple[str, int], str]:
    """Return those of some hosts and ports that an account has reserved, with their identifiers."""
    columns = reserved_addrs.c
    query = select(columns.host, columns.port, columns.id).where(
        columns.account_id == account_id, tuple_(columns.host, columns.port).in_(places)
    )
    return {(row.host, row.port): row.id for row in await connection.execute(query)}


async def owners(connection: AsyncConnection, account_id: str, ids: Collection[str]) -> dict[str, str]:
    """Return the users to whom some authtokens of an account belong; "" for none."""
    query = select(credentials.c.id, credentials.c.owner_id).where(
        credentials.c.account_id == account_id, credentials.c.id.in_(ids)
    )
    return {row.id: row.owner_id for row in await connection.execute(query)}
