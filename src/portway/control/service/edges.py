"""Edges: addresses, and modules that say what becomes of who visits them.

Addresses are attached and detached live; one that is kept stays online. An edge is checked whole whenever it
is changed: what is stored can be carried out, or was until something that it names changed.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from portway.control.service import edge_addresses, edge_modules, edge_secrets, texts
from portway.control.service.context import Context
from portway.control.store import changes, nouns, rows
from portway.control.store import edges as store
from portway.control.store.core import AsyncConnection
from portway.control.store.edge_tables import edge_routes, edges
from portway.control.store.rows import Page
from portway.errors import NotFound
from portway.model.edge import PREFIXES, Edge, EdgeRoute
from portway.model.ids import new_id

TEXTS: Final = (7073, 7074)

Given = Mapping[str, Mapping[str, Any] | None]
"""Modules by name, as they were written; None leaves one as it is."""


class EdgeView(msgspec.Struct, frozen=True):
    """An edge with its routes."""

    edge: Edge
    routes: Sequence[EdgeRoute] = ()

    @property
    def id(self) -> str:
        """The edge's identifier."""
        return self.edge.id


async def create(
    context: Context,
    account_id: str,
    kind: str,
    *,
    hostports: Sequence[str] = (),
    modules: Given | None = None,
    description: str = "",
    metadata: str = "",
) -> EdgeView:
    """Make an edge. Raises Error 7002–7164, 6501, 6526, 6527 or its policy's."""
    texts.check(description, metadata, TEXTS)
    wanted = given(modules or {})
    await edge_modules.check(context, account_id, kind, wanted)
    async with context.database.write() as connection:
        edge = await add(context, connection, account_id, kind, wanted, description, metadata)
        return await _attached(context, connection, edge, hostports)


async def add(
    context: Context,
    connection: AsyncConnection,
    account_id: str,
    kind: str,
    modules: Mapping[str, Mapping[str, Any]],
    description: str,
    metadata: str,
) -> Edge:
    """Add the row of an edge without addresses, in a transaction that writes."""
    await edge_modules.check_names(connection, account_id, kind, modules)
    now = context.now()
    edge = Edge(
        id=new_id(PREFIXES[kind], context.random, now),
        account_id=account_id,
        kind=kind,
        description=description,
        metadata=metadata,
        created_at=now,
        modules=modules,
    )
    await nouns.add(connection, edges, store.values(edge))
    await changes.note(connection, changes.EDGE, account_id, edge.id, now)
    return edge


async def get(context: Context, account_id: str, kind: str, edge_id: str) -> EdgeView:
    """Return an edge of an account. Raises NotFound."""
    async with context.database.read() as connection:
        edge = await find(connection, account_id, kind, edge_id)
        return EdgeView(edge, await _routes(context, connection, account_id, [edge_id]))


async def listed(context: Context, account_id: str, kind: str, page: Page) -> list[EdgeView]:
    """Return a page of an account's edges of a kind, newest first, and one beyond it if there are more."""
    async with context.database.read() as connection:
        found = await rows.page(connection, edges, account_id, page, store.of_kind(kind))
        ids = [row.id for row in found]
        addresses = await store.addresses_of(connection, account_id, ids)
        routes = await _routes(context, connection, account_id, ids)
    return [
        EdgeView(
            store.read(row, [each.hostport for each in addresses if each.edge_id == row.id]),
            [each for each in routes if each.edge_id == row.id],
        )
        for row in found
    ]


async def update(
    context: Context,
    account_id: str,
    kind: str,
    edge_id: str,
    *,
    hostports: Sequence[str] | None = None,
    modules: Given | None = None,
    description: str | None = None,
    metadata: str | None = None,
) -> EdgeView:
    """Change an edge; what is not given stays. Raises Error as create does, NotFound."""
    texts.check(description, metadata, TEXTS)
    wanted = given(modules or {})
    if wanted:
        async with context.database.read() as connection:
            await find(connection, account_id, kind, edge_id)  # what is not there is not judged
        await edge_modules.check(context, account_id, kind, wanted)
    async with context.database.write() as connection:
        before = await find(connection, account_id, kind, edge_id)
        changed = replace(
            before,
            **texts.given(description=description, metadata=metadata),
            modules={**before.modules, **wanted},
        )
        await save(context, connection, changed)
        if hostports is not None:
            return await _attached(context, connection, changed, hostports)
        return EdgeView(changed, await _routes(context, connection, account_id, [edge_id]))


async def delete(context: Context, account_id: str, kind: str, edge_id: str) -> None:
    """Delete an edge with its routes; its addresses are free at once. Raises NotFound."""
    async with context.database.write() as connection:
        await find(connection, account_id, kind, edge_id)
        await edge_addresses.attach(context, connection, account_id, edge_id, kind, ())
        now = context.now()
        for route in await store.routes_of(connection, account_id, [edge_id]):
            await nouns.remove(connection, edge_routes, account_id, route.id)
            await changes.note(connection, changes.EDGE_ROUTE, account_id, route.id, now)
        await nouns.remove(connection, edges, account_id, edge_id)
        await changes.note(connection, changes.EDGE, account_id, edge_id, now)


async def module(context: Context, account_id: str, kind: str, edge_id: str, name: str) -> Mapping[str, Any]:
    """Return a module of an edge as it was written. Raises NotFound, also when it is not set."""
    found = (await get(context, account_id, kind, edge_id)).edge.modules.get(name)
    if found is None:
        raise NotFound
    return found


async def put_module(
    context: Context, account_id: str, kind: str, edge_id: str, name: str, value: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Write a module whole. Raises NotFound, Error."""
    await update(context, account_id, kind, edge_id, modules={name: value})
    return value


async def delete_module(context: Context, account_id: str, kind: str, edge_id: str, name: str) -> None:
    """Take a module away. Raises NotFound, also when it is not set."""
    async with context.database.write() as connection:
        before = await find(connection, account_id, kind, edge_id)
        if name not in before.modules:
            raise NotFound
        left = {other: value for other, value in before.modules.items() if other != name}
        await save(context, connection, replace(before, modules=left))


async def find(connection: AsyncConnection, account_id: str, kind: str, edge_id: str) -> Edge:
    """Return an edge of an account. Raises NotFound."""
    row = await nouns.find(connection, edges, account_id, edge_id)
    if row is None or row.kind != kind:
        raise NotFound
    addresses = await store.addresses_of(connection, account_id, [edge_id])
    return store.read(row, [each.hostport for each in addresses])


async def save(context: Context, connection: AsyncConnection, edge: Edge) -> None:
    """Write an edge that has changed, if what it names is there. Raises Error."""
    await edge_modules.check_names(connection, edge.account_id, edge.kind, edge.modules)
    await nouns.change(connection, edges, edge.account_id, edge.id, store.values(edge))
    await changes.note(connection, changes.EDGE, edge.account_id, edge.id, context.now())


def given(modules: Given) -> dict[str, Mapping[str, Any]]:
    """Return the modules that were given."""
    return {name: value for name, value in modules.items() if value is not None}


async def _attached(
    context: Context, connection: AsyncConnection, edge: Edge, hostports: Sequence[str]
) -> EdgeView:
    made = await edge_addresses.attach(context, connection, edge.account_id, edge.id, edge.kind, hostports)
    routes = await _routes(context, connection, edge.account_id, [edge.id])
    return EdgeView(replace(edge, hostports=tuple(each.hostport for each in made)), routes)


async def _routes(
    context: Context, connection: AsyncConnection, account_id: str, ids: Sequence[str]
) -> list[EdgeRoute]:
    """Return the routes of some edges as they were written. Raises Error 128."""
    found = await store.routes_of(connection, account_id, ids)
    return [edge_secrets.opened(context, each) for each in found]
