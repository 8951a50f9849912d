"""An edge with all that it needs, made in one step, as dashboards do.

A TCP address is reserved for a TCP edge that names none, and a tunnel group is made whose one label,
``edge=<edge id>``, no other edge has: a labelled tunnel with it serves this edge, an https edge by a route
for every path. All of it or nothing stands afterwards; what has been made is ordinary and can be changed and
deleted by itself.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from portway.control.service import (
    backends,
    edge_addresses,
    edge_modules,
    edge_routes,
    edges,
    reserved_addrs,
    texts,
)
from portway.control.service.context import Context
from portway.control.service.edge_routes import Wish
from portway.control.service.edges import EdgeView

if TYPE_CHECKING:
    from portway.model.edge import EdgeRoute

LABEL: Final = "edge"
"""The key of the label."""


async def create(
    context: Context,
    account_id: str,
    kind: str,
    *,
    hostports: Sequence[str] = (),
    modules: Mapping[str, Mapping[str, Any]] | None = None,
    description: str = "",
    metadata: str = "",
) -> EdgeView:
    """Make an edge with its address and its backend. Raises Error as making each of them does."""
    texts.check(description, metadata, edges.TEXTS)
    wanted = edges.given(modules or {})
    await edge_modules.check(context, account_id, kind, wanted)
    async with context.database.write() as connection:
        edge = await edges.add(context, connection, account_id, kind, wanted, description, metadata)
        if not hostports and kind == "tcp":
            addr = await reserved_addrs.add(
                context, connection, account_id, description=f"Address of edge {edge.id}"
            )
            hostports = [addr.addr]
        routes: list[EdgeRoute] = []
        if "backend" not in wanted:
            backend = await backends.add(
                context,
                connection,
                account_id,
                "tunnel_group",
                {"labels": {LABEL: edge.id}},
                description=f"Tunnels of edge {edge.id}",
            )
            module = {"enabled": True, "backend_id": backend.id}
            if kind == "https":
                wish = Wish(match_type="path_prefix", match="/", modules={"backend": module})
                routes.append(await edge_routes.add(context, connection, account_id, edge.id, wish))
            else:
                edge = replace(edge, modules={**edge.modules, "backend": module})
                await edges.save(context, connection, edge)
        made = await edge_addresses.attach(context, connection, account_id, edge.id, kind, hostports)
    return EdgeView(replace(edge, hostports=tuple(each.hostport for each in made)), routes)
