"""Secrets of edges' routes at rest: sealed when they are written, opened for who may see them.

Rows that an older version has written hold them as they are. They can be read all the same, and
:func:`seal_standing`, which runs whenever a controller starts, seals them.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace
from sqlalchemy import or_, select

from portway.control.service.context import Context
from portway.control.store import changes, nouns
from portway.control.store import edges as store
from portway.control.store.edge_tables import edge_routes
from portway.errors import ConfigError, Error
from portway.model import module_secrets
from portway.model.edge import EdgeRoute

_PLAIN: Final = tuple(f'"{key}":"' for key in sorted(set(module_secrets.SECRETS.values())))
"""What modules hold where a secret may not be sealed, as they are written."""

_log = logging.getLogger(__name__)


def sealed(context: Context, route: EdgeRoute) -> EdgeRoute:
    """Return a route as it is kept. Raises Error 128: there is no key."""
    try:
        return replace(route, modules=module_secrets.sealed(route.modules, route.id, context.seal.seal))
    except ConfigError as error:
        raise _no_key(error) from error


def opened(context: Context, route: EdgeRoute) -> EdgeRoute:
    """Return a route as it was written. Raises Error 128: there is no key, or another one."""
    try:
        return replace(route, modules=module_secrets.opened(route.modules, route.id, context.seal.open))
    except ConfigError as error:
        raise _no_key(error) from error


def opened_module(context: Context, route: EdgeRoute, name: str) -> Mapping[str, Any] | None:
    """Return one module as it was written; None when it is not set. Raises Error 128."""
    if name not in route.modules:
        return None
    return opened(context, replace(route, modules={name: route.modules[name]})).modules[name]


async def seal_standing(context: Context) -> int:
    """Seal what an older version has left open; return how many routes it was. Raises Error."""
    open_yet = or_(*(edge_routes.c.modules.contains(each, autoescape=True) for each in _PLAIN))
    async with context.database.read() as connection:
        if (await connection.execute(select(edge_routes.c.id).where(open_yet).limit(1))).first() is None:
            return 0
    number = 0
    async with context.database.write() as connection:
        for row in (await connection.execute(select(edge_routes).where(open_yet))).all():
            before = store.read_route(row)
            route = sealed(context, before)
            if route == before:
                continue  # what looks like a secret there is none
            values = {"modules": store.route_values(route)["modules"]}
            await nouns.change(connection, edge_routes, route.account_id, route.id, values)
            await changes.note(connection, changes.EDGE_ROUTE, route.account_id, route.id, context.now())
            number += 1
    if number:
        _log.info("the secrets of %d routes of edges are sealed now", number)
    return number


def _no_key(error: ConfigError) -> Error:
    """Make the refusal, and log what only the operator may know."""
    _log.error("%s", error)
    return Error("The secrets of this service cannot be used now; its log says why.", 128)
