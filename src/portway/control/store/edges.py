"""Queries on edges, their addresses and their routes."""

import json
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.engine import Row

from portway.control.store.core import AsyncConnection
from portway.control.store.edge_tables import edge_endpoints, edge_routes, edges
from portway.model.edge import Edge, EdgeEndpoint, EdgeRoute, written


def read(row: Row[Any], hostports: Sequence[str] = ()) -> Edge:
    """Make the value of a row."""
    return Edge(
        id=row.id,
        account_id=row.account_id,
        kind=row.kind,
        description=row.description,
        metadata=row.metadata,
        created_at=row.created_at,
        modules=json.loads(row.modules),
        hostports=tuple(hostports),
    )


def values(edge: Edge) -> dict[str, Any]:
    """Make the row of a value."""
    return {
        "id": edge.id,
        "account_id": edge.account_id,
        "kind": edge.kind,
        "description": edge.description,
        "metadata": edge.metadata,
        "created_at": edge.created_at,
        "modules": written(edge.modules),
    }


def read_endpoint(row: Row[Any]) -> EdgeEndpoint:
    """Make the value of an address's row."""
    return EdgeEndpoint(
        id=row.id,
        account_id=row.account_id,
        edge_id=row.edge_id,
        hostport=row.hostport,
        url=row.url,
        place=row.place,
        domain_id=row.domain_id,
        tcp_addr_id=row.tcp_addr_id,
        created_at=row.created_at,
    )


def endpoint_values(endpoint: EdgeEndpoint, position: int) -> dict[str, Any]:
    """Make the row of an address."""
    return {
        "id": endpoint.id,
        "account_id": endpoint.account_id,
        "edge_id": endpoint.edge_id,
        "position": position,
        "hostport": endpoint.hostport,
        "url": endpoint.url,
        "place": endpoint.place,
        "domain_id": endpoint.domain_id,
        "tcp_addr_id": endpoint.tcp_addr_id,
        "created_at": endpoint.created_at,
    }


def read_route(row: Row[Any]) -> EdgeRoute:
    """Make the value of a route's row."""
    return EdgeRoute(
        id=row.id,
        account_id=row.account_id,
        edge_id=row.edge_id,
        description=row.description,
        metadata=row.metadata,
        created_at=row.created_at,
        match_type=row.match_type,
        match=row.path,
        modules=json.loads(row.modules),
    )


def route_values(route: EdgeRoute) -> dict[str, Any]:
    """Make the row of a route."""
    return {
        "id": route.id,
        "account_id": route.account_id,
        "edge_id": route.edge_id,
        "description": route.description,
        "metadata": route.metadata,
        "created_at": route.created_at,
        "match_type": route.match_type,
        "path": route.match,
        "modules": written(route.modules),
    }


async def addresses_of(
    connection: AsyncConnection, account_id: str, ids: Collection[str]
) -> list[EdgeEndpoint]:
    """Return the addresses of some edges of an account, those of each in their order."""
    query = (
        select(edge_endpoints)
        .where(edge_endpoints.c.account_id == account_id, edge_endpoints.c.edge_id.in_(ids))
        .order_by(edge_endpoints.c.edge_id, edge_endpoints.c.position)
    )
    return [read_endpoint(row) for row in await connection.execute(query)]


async def at(connection: AsyncConnection, places: Collection[str]) -> list[EdgeEndpoint]:
    """Return the edges' addresses in some places, whoever they belong to."""
    query = select(edge_endpoints).where(edge_endpoints.c.place.in_(places))
    return [read_endpoint(row) for row in await connection.execute(query)]


async def routes_of(connection: AsyncConnection, account_id: str, ids: Collection[str]) -> list[EdgeRoute]:
    """Return the routes of some edges of an account, oldest first."""
    query = (
        select(edge_routes)
        .where(edge_routes.c.account_id == account_id, edge_routes.c.edge_id.in_(ids))
        .order_by(edge_routes.c.created_at, edge_routes.c.id)
    )
    return [read_route(row) for row in await connection.execute(query)]


async def count_routes(connection: AsyncConnection, edge_id: str) -> int:
    """Count the routes of an edge."""
    query = select(func.count()).select_from(edge_routes).where(edge_routes.c.edge_id == edge_id)
    return (await connection.execute(query)).scalar_one()


async def move_address(connection: AsyncConnection, endpoint: EdgeEndpoint, position: int) -> None:
    """Give an address its place among those of its edge, and the text by which it is named."""
    query = update(edge_endpoints).where(edge_endpoints.c.id == endpoint.id)
    await connection.execute(query.values(position=position, hostport=endpoint.hostport))


async def remove_address(connection: AsyncConnection, endpoint_id: str) -> None:
    """Detach an address."""
    await connection.execute(delete(edge_endpoints).where(edge_endpoints.c.id == endpoint_id))


async def has_address(connection: AsyncConnection, addr_id: str) -> bool:
    """Tell whether an edge has a reserved TCP address."""
    query = select(edge_endpoints.c.id).where(edge_endpoints.c.tcp_addr_id == addr_id).limit(1)
    return (await connection.execute(query)).first() is not None


async def has_domain(connection: AsyncConnection, domain_id: str) -> bool:
    """Tell whether an edge has an address at a reserved domain."""
    query = select(edge_endpoints.c.id).where(edge_endpoints.c.domain_id == domain_id).limit(1)
    return (await connection.execute(query)).first() is not None


def of_kind(kind: str) -> ColumnElement[bool]:
    """Narrow a page to edges of one kind."""
    return edges.c.kind == kind


def named(ids: Sequence[str], urls: Sequence[str]) -> list[ColumnElement[bool]]:
    """Narrow a page of addresses to identifiers, to URLs, or to both; none for none."""
    narrowed: list[ColumnElement[bool]] = []
    if ids:
        narrowed.append(edge_endpoints.c.id.in_(ids))
    if urls:
        narrowed.append(edge_endpoints.c.url.in_(urls))
    return narrowed
