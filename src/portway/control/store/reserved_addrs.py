"""Queries on reserved TCP addresses."""

from typing import Any

from sqlalchemy import delete, insert, or_, select
from sqlalchemy.engine import Row

from portway.control.store import edges
from portway.control.store.core import AsyncConnection
from portway.control.store.tables import cloud_endpoints, former_addrs, reservations, reserved_addrs
from portway.model.address import ReservedAddr


def read(row: Row[Any]) -> ReservedAddr:
    """Make the value of a row."""
    return ReservedAddr(
        id=row.id,
        account_id=row.account_id,
        description=row.description,
        metadata=row.metadata,
        created_at=row.created_at,
        region=row.region,
        host=row.host,
        port=row.port,
    )


async def taken(connection: AsyncConnection, host: str, now: float) -> set[int]:
    """Return the ports of a host that are reserved, or online or kept for anybody's session."""
    query = select(reserved_addrs.c.port).where(reserved_addrs.c.host == host)
    ports = {row.port for row in await connection.execute(query)}
    prefix = f"tcp://{host}:"
    online = select(reservations.c.url).where(
        reservations.c.url.startswith(prefix, autoescape=True),
        or_(reservations.c.held_until.is_(None), reservations.c.held_until > now),
    )
    return ports | {int(row.url.removeprefix(prefix)) for row in await connection.execute(online)}


async def former(connection: AsyncConnection, host: str) -> list[int]:
    """Return the ports of a host that were given back, the longest ago first."""
    query = (
        select(former_addrs.c.port)
        .where(former_addrs.c.host == host)
        .order_by(former_addrs.c.deleted_at, former_addrs.c.port)
    )
    return [row.port for row in await connection.execute(query)]


async def remember(connection: AsyncConnection, host: str, port: int, now: float) -> None:
    """Write down that an address was given back now."""
    await connection.execute(
        delete(former_addrs).where(former_addrs.c.host == host, former_addrs.c.port == port)
    )
    await connection.execute(insert(former_addrs).values(host=host, port=port, deleted_at=now))


async def at(connection: AsyncConnection, host: str, port: int) -> ReservedAddr | None:
    """Return who has reserved an address, if anybody has."""
    query = select(reserved_addrs).where(reserved_addrs.c.host == host, reserved_addrs.c.port == port)
    row = (await connection.execute(query)).first()
    return read(row) if row else None


async def is_used(connection: AsyncConnection, addr_id: str) -> bool:
    """Tell whether a cloud endpoint or an edge has this address."""
    query = select(cloud_endpoints.c.id).where(cloud_endpoints.c.tcp_addr_id == addr_id).limit(1)
    if (await connection.execute(query)).first() is not None:
        return True
    return await edges.has_address(connection, addr_id)
