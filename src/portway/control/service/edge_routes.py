"""Routes of https edges: paths with modules of their own."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from portway.control.service import edge_modules, edge_secrets, edges, texts
from portway.control.service.context import Context
from portway.control.service.edge_modules import Modules
from portway.control.service.edges import TEXTS, Given, given
from portway.control.store import changes, nouns
from portway.control.store import edges as store
from portway.control.store.core import AsyncConnection
from portway.control.store.edge_tables import edge_routes
from portway.errors import Error, NotFound
from portway.model.edge import ROUTE_PREFIX, ROUTES, EdgeRoute, check_match
from portway.model.ids import new_id
from portway.model.modules import LOGINS

_HTTPS = "https"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What may be said of a route; "" and None: not said."""

    match_type: str = ""
    match: str = ""
    modules: Given
    description: str = ""
    metadata: str = ""


async def create(context: Context, account_id: str, edge_id: str, wish: Wish) -> EdgeRoute:
    """Make a route. Raises NotFound for the edge; Error 7123–7155 or a module's."""
    texts.check(wish.description, wish.metadata, TEXTS)
    check_match(wish.match_type, wish.match)
    modules = given(wish.modules)
    await edge_modules.check(context, account_id, "route", modules)
    async with context.database.write() as connection:
        return await add(context, connection, account_id, edge_id, wish)


async def add(
    context: Context, connection: AsyncConnection, account_id: str, edge_id: str, wish: Wish
) -> EdgeRoute:
    """Make a route in a transaction that writes; what its modules say by themselves is checked already."""
    await edges.find(connection, account_id, _HTTPS, edge_id)
    if await store.count_routes(connection, edge_id) >= ROUTES:
        raise Error(f"An edge has at most {ROUTES} routes.", 7128)
    now = context.now()
    route = EdgeRoute(
        id=new_id(ROUTE_PREFIX, context.random, now),
        account_id=account_id,
        edge_id=edge_id,
        description=wish.description,
        metadata=wish.metadata,
        created_at=now,
        match_type=wish.match_type,
        match=wish.match,
        modules=given(wish.modules),
    )
    await _check(connection, route)
    await nouns.add(connection, edge_routes, store.route_values(edge_secrets.sealed(context, route)))
    await changes.note(connection, changes.EDGE_ROUTE, account_id, route.id, now)
    return route


async def get(context: Context, account_id: str, edge_id: str, route_id: str) -> EdgeRoute:
    """Return a route of an edge. Raises NotFound; Error 7110 when it is another edge's, 128."""
    async with context.database.read() as connection:
        return edge_secrets.opened(context, await _find(connection, account_id, edge_id, route_id))


async def update(context: Context, account_id: str, edge_id: str, route_id: str, wish: Wish) -> EdgeRoute:
    """Change a route; what is not said stays, but for another login module than the one that is said.

    So nobody comes in unasked while a route changes from one way of signing in to another. Raises as
    ``create`` and ``get`` do.
    """
    return await _change(context, account_id, edge_id, route_id, wish, LOGINS)


async def _change(
    context: Context, account_id: str, edge_id: str, route_id: str, wish: Wish, one_of: Collection[str]
) -> EdgeRoute:
    """Change a route. A module that is said takes the place of another of these."""
    texts.check(wish.description, wish.metadata, TEXTS)
    modules = given(wish.modules)
    if modules:
        async with context.database.read() as connection:
            await _find(connection, account_id, edge_id, route_id)  # what is not there is not judged
        await edge_modules.check(context, account_id, "route", modules)
    async with context.database.write() as connection:
        before = await _find(connection, account_id, edge_id, route_id)
        changed = replace(
            before,
            description=wish.description or before.description,
            metadata=wish.metadata or before.metadata,
            match_type=wish.match_type or before.match_type,
            match=wish.match or before.match,
            modules={**_left(before.modules, modules, one_of), **modules},
        )
        check_match(changed.match_type, changed.match)
        await _save(context, connection, changed)
    return edge_secrets.opened(context, changed)


async def delete(context: Context, account_id: str, edge_id: str, route_id: str) -> None:
    """Delete a route. Raises as ``get`` does."""
    async with context.database.write() as connection:
        await _find(connection, account_id, edge_id, route_id)
        await nouns.remove(connection, edge_routes, account_id, route_id)
        await changes.note(connection, changes.EDGE_ROUTE, account_id, route_id, context.now())


async def module(
    context: Context, account_id: str, edge_id: str, route_id: str, name: str
) -> Mapping[str, Any]:
    """Return a module of a route as it was written. Raises NotFound, also when it is not set."""
    async with context.database.read() as connection:
        route = await _find(connection, account_id, edge_id, route_id)
    found = edge_secrets.opened_module(context, route, name)
    if found is None:
        raise NotFound
    return found


async def put_module(
    context: Context, account_id: str, edge_id: str, route_id: str, name: str, value: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Write a module whole. Raises NotFound; Error as ``create`` does, also 7079 beside another login."""
    await _change(context, account_id, edge_id, route_id, Wish(modules={name: value}), ())
    return value


async def delete_module(context: Context, account_id: str, edge_id: str, route_id: str, name: str) -> None:
    """Take a module away. Raises NotFound, also when it is not set."""
    async with context.database.write() as connection:
        before = await _find(connection, account_id, edge_id, route_id)
        if name not in before.modules:
            raise NotFound
        left = {other: value for other, value in before.modules.items() if other != name}
        await _save(context, connection, replace(before, modules=left))


def _left(before: Modules, said: Modules, one_of: Collection[str]) -> Modules:
    if not any(name in one_of for name in said):
        return before
    return {name: module for name, module in before.items() if name not in one_of}


async def _find(connection: AsyncConnection, account_id: str, edge_id: str, route_id: str) -> EdgeRoute:
    await edges.find(connection, account_id, _HTTPS, edge_id)
    row = await nouns.find(connection, edge_routes, account_id, route_id)
    if row is None:
        raise NotFound
    if row.edge_id != edge_id:
        raise Error("This route belongs to another edge.", 7110)
    return store.read_route(row)


async def _save(context: Context, connection: AsyncConnection, route: EdgeRoute) -> None:
    await _check(connection, route)
    values = store.route_values(edge_secrets.sealed(context, route))
    await nouns.change(connection, edge_routes, route.account_id, route.id, values)
    await changes.note(connection, changes.EDGE_ROUTE, route.account_id, route.id, context.now())


async def _check(connection: AsyncConnection, route: EdgeRoute) -> None:
    """Check a route among those of its edge, and what it names. Raises Error 7126, 7134, 7155…"""
    await edge_modules.check_names(connection, route.account_id, "route", route.modules)
    others = [
        each
        for each in await store.routes_of(connection, route.account_id, [route.edge_id])
        if each.id != route.id
    ]
    if any(each.match == route.match for each in others):
        raise Error(f"Another route of this edge matches {route.match!r} already.", 7126)
    if _has_login(route):
        if route.match_type != "path_prefix":
            raise Error("A login module stands on a route of type path_prefix only.", 7134)
        if any(_has_login(each) for each in others):
            raise Error("Only one route of an edge may have a login module.", 7155)


def _has_login(route: EdgeRoute) -> bool:
    return any(name in route.modules for name in LOGINS)
