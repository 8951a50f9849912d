"""Queries on the backends of edges."""

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.engine import Row

from portway.control.store.core import AsyncConnection
from portway.control.store.edge_tables import backends, edge_routes, edges
from portway.model.edge import Backend, written


def read(row: Row[Any]) -> Backend:
    """Make the value of a row."""
    return Backend(
        id=row.id,
        account_id=row.account_id,
        kind=row.kind,
        description=row.description,
        metadata=row.metadata,
        created_at=row.created_at,
        spec=json.loads(row.spec),
    )


def values(backend: Backend) -> dict[str, Any]:
    """Make the row of a value."""
    return {
        "id": backend.id,
        "account_id": backend.account_id,
        "kind": backend.kind,
        "description": backend.description,
        "metadata": backend.metadata,
        "created_at": backend.created_at,
        "spec": written(backend.spec),
    }


async def kinds(connection: AsyncConnection, account_id: str, ids: Collection[str]) -> dict[str, str]:
    """Return those of some backends that an account has, with their kinds."""
    query = select(backends.c.id, backends.c.kind).where(
        backends.c.account_id == account_id, backends.c.id.in_(ids)
    )
    return {row.id: row.kind for row in await connection.execute(query)}


async def answers(connection: AsyncConnection, account_id: str, ids: Collection[str]) -> bool:
    """Tell whether one of some backends is an answer over HTTP, or leads to one."""
    seen: set[str] = set()
    while ids:  # two rounds at most: a weighted backend may name a failover, which names neither
        seen |= set(ids)
        query = select(backends).where(backends.c.account_id == account_id, backends.c.id.in_(ids))
        found = [read(row) for row in await connection.execute(query)]
        if any(each.kind == "http_response" for each in found):
            return True
        ids = {child for each in found for child in each.spec.get("backends") or ()} - seen
    return False


async def serves_raw(connection: AsyncConnection, account_id: str, backend_id: str) -> bool:
    """Tell whether a tcp or tls edge names a backend, or a backend that names it."""
    parents = select(backends.c.id).where(
        backends.c.account_id == account_id, backends.c.spec.contains(f'"{backend_id}"', autoescape=True)
    )
    ids = [backend_id, *(await connection.execute(parents)).scalars()]
    named = or_(*(edges.c.modules.contains(f'"{each}"', autoescape=True) for each in ids))
    raw = edges.c.account_id == account_id, edges.c.kind != "https"
    return (await connection.execute(select(edges.c.id).where(*raw, named).limit(1))).first() is not None


async def groups(connection: AsyncConnection, account_id: str) -> list[Backend]:
    """Return the tunnel groups of an account, oldest first."""
    query = (
        select(backends)
        .where(backends.c.account_id == account_id, backends.c.kind == "tunnel_group")
        .order_by(backends.c.id)
    )
    return [read(row) for row in await connection.execute(query)]


async def is_used(connection: AsyncConnection, account_id: str, thing_id: str) -> bool:
    """Tell whether an edge, a route or another backend of an account names something by identifier."""
    quoted = f'"{thing_id}"'
    for table, column in (
        (edges, edges.c.modules),
        (edge_routes, edge_routes.c.modules),
        (backends, backends.c.spec),
    ):
        named = column.contains(quoted, autoescape=True)
        query = select(table.c.id).where(table.c.account_id == account_id, named).limit(1)
        if (await connection.execute(query)).first() is not None:
            return True
    return False
