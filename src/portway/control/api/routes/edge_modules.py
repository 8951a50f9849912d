"""One module of an edge or a route by itself: GET, PUT and DELETE of its own path.

``PUT`` takes the bare module and writes it whole; ``GET`` and ``DELETE`` of one that is not set are answered
as what is not there.
"""

from typing import Annotated, Final

from fastapi import APIRouter, Body, Depends
from pydantic import BaseModel

from portway.control.api import modules as module
from portway.control.api.auth import Ctx, Who
from portway.control.api.modules import ModuleGiven, takes
from portway.control.api.paging import path_id
from portway.control.api.routes.edge_routes import EdgeId
from portway.control.service import edge_routes, edges
from portway.model.edge import PREFIXES, ROUTE_PREFIX
from portway.model.modules import EDGE_MODULES, ROUTE_MODULES

router = APIRouter(tags=["edge_modules"])


def _of_edge(kind: str, name: str) -> None:
    """Make the three routes of a module of a kind of edge."""
    path, stem = f"/edges/{kind}/{{id}}/{name}", f"{kind}_edge_{name}"
    shown, given_model = module.SHOWN[name], module.GIVEN[name]
    edge_id = Depends(path_id(PREFIXES[kind]))

    @router.put(path, name=f"{stem}_replace", response_model=shown)
    @takes(Annotated[given_model | None, Body()])
    async def replace(  # pyright: ignore[reportUnusedFunction]
        who: Who,
        context: Ctx,
        given: ModuleGiven | None = None,
        id: str = edge_id,  # noqa: A002 - the name in the path
    ) -> BaseModel:
        """Write a module of an edge."""
        value = module.kept(given or given_model.model_validate({}))
        await edges.put_module(context, who.account_id, kind, id, name, value)
        return module.show(context.settings.api_url, name, value, shown)

    @router.get(path, name=f"{stem}_get", response_model=shown)
    async def get(  # pyright: ignore[reportUnusedFunction]
        who: Who,
        context: Ctx,
        id: str = edge_id,  # noqa: A002
    ) -> BaseModel:
        """Return a module of an edge."""
        found = await edges.module(context, who.account_id, kind, id, name)
        return module.show(context.settings.api_url, name, found, shown)

    @router.delete(path, name=f"{stem}_delete", status_code=204)
    async def delete(  # pyright: ignore[reportUnusedFunction]
        who: Who,
        context: Ctx,
        id: str = edge_id,  # noqa: A002
    ) -> None:
        """Take a module of an edge away."""
        await edges.delete_module(context, who.account_id, kind, id, name)


def _of_route(name: str) -> None:
    """Make the three routes of a module of routes."""
    path, stem = f"/edges/https/{{edge_id}}/routes/{{id}}/{name}", f"https_edge_route_{name}"
    shown, given_model = module.SHOWN[name], module.GIVEN[name]
    route_id = Depends(path_id(ROUTE_PREFIX))

    @router.put(path, name=f"{stem}_replace", response_model=shown)
    @takes(Annotated[given_model | None, Body()])
    async def replace(  # pyright: ignore[reportUnusedFunction]
        who: Who,
        context: Ctx,
        edge_id: EdgeId,
        given: ModuleGiven | None = None,
        id: str = route_id,  # noqa: A002
    ) -> BaseModel:
        """Write a module of a route."""
        value = module.kept(given or given_model.model_validate({}))
        await edge_routes.put_module(context, who.account_id, edge_id, id, name, value)
        return module.show(context.settings.api_url, name, value, shown)

    @router.get(path, name=f"{stem}_get", response_model=shown)
    async def get(  # pyright: ignore[reportUnusedFunction]
        who: Who,
        context: Ctx,
        edge_id: EdgeId,
        id: str = route_id,  # noqa: A002
    ) -> BaseModel:
        """Return a module of a route."""
        found = await edge_routes.module(context, who.account_id, edge_id, id, name)
        return module.show(context.settings.api_url, name, found, shown)

    @router.delete(path, name=f"{stem}_delete", status_code=204)
    async def delete(  # pyright: ignore[reportUnusedFunction]
        who: Who,
        context: Ctx,
        edge_id: EdgeId,
        id: str = route_id,  # noqa: A002
    ) -> None:
        """Take a module of a route away."""
        await edge_routes.delete_module(context, who.account_id, edge_id, id, name)


KINDS: Final = ("tcp", "tls", "https")

for _kind in KINDS:
    for _name in EDGE_MODULES[_kind]:
        _of_edge(_kind, _name)
for _name in ROUTE_MODULES:
    _of_route(_name)
