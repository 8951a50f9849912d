"""/edges/tcp, /edges/tls and /edges/https: addresses with modules."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from portway.control.api import modules as module
from portway.control.api.auth import Ctx, Who
from portway.control.api.common import Common
from portway.control.api.modules import (
    BackendGiven,
    BackendShown,
    IpRestrictionGiven,
    IpRestrictionShown,
    MutualTlsGiven,
    MutualTlsShown,
    TlsTerminationGiven,
    TlsTerminationShown,
    TrafficPolicyGiven,
    TrafficPolicyShown,
    takes,
)
from portway.control.api.paging import path_id
from portway.control.api.routes.edge_routes import RouteAnswer, shown_route
from portway.control.api.schema import Answer, Description, Given, Metadata, Timestamp, timestamp
from portway.control.service import edge_kits, edges
from portway.control.service.context import Context
from portway.control.service.edges import EdgeView
from portway.model.edge import PREFIXES
from portway.model.modules import EDGE_MODULES

NO_FILTER: Final = None


class _EdgeAnswer(Answer):
    """An edge."""

    id: str
    uri: str
    created_at: Timestamp
    description: str
    metadata: str
    hostports: list[str]


class TcpEdgeAnswer(_EdgeAnswer):
    """A TCP edge. Modules that are not set are null."""

    backend: BackendShown | None
    ip_restriction: IpRestrictionShown | None
    traffic_policy: TrafficPolicyShown | None


class TlsEdgeAnswer(TcpEdgeAnswer):
    """A TLS edge. Modules that are not set are null."""

    mutual_tls: MutualTlsShown | None
    tls_termination: TlsTerminationShown | None


class HttpsEdgeAnswer(_EdgeAnswer):
    """An HTTPS edge; its other modules are those of its routes."""

    mutual_tls: MutualTlsShown | None
    tls_termination: TlsTerminationShown | None
    routes: list[RouteAnswer]


class _EdgeGiven(Given):
    """What may be said of an edge."""

    description: Description = None
    metadata: Metadata = None
    hostports: list[str] | None = Field(None, description="Reserved addresses, host:port each.")


class TcpEdgeGiven(_EdgeGiven):
    """What may be said of a TCP edge."""

    backend: BackendGiven | None = None
    ip_restriction: IpRestrictionGiven | None = None
    traffic_policy: TrafficPolicyGiven | None = None


class TlsEdgeGiven(TcpEdgeGiven):
    """What may be said of a TLS edge."""

    mutual_tls: MutualTlsGiven | None = None
    tls_termination: TlsTerminationGiven | None = None


class HttpsEdgeGiven(_EdgeGiven):
    """What may be said of an HTTPS edge."""

    mutual_tls: MutualTlsGiven | None = None
    tls_termination: TlsTerminationGiven | None = None


ANSWERS: Final[Mapping[str, type[_EdgeAnswer]]] = {
    "tcp": TcpEdgeAnswer,
    "tls": TlsEdgeAnswer,
    "https": HttpsEdgeAnswer,
}
GIVEN: Final[Mapping[str, type[_EdgeGiven]]] = {
    "tcp": TcpEdgeGiven,
    "tls": TlsEdgeGiven,
    "https": HttpsEdgeGiven,
}
Whole = Annotated[
    bool,
    Query(description="Also reserve an address and make a tunnel group with a label of this edge alone."),
]


class EdgeList(Answer):
    """A page of edges; the key of the list is the kind's."""

    uri: str
    next_page_uri: str | None


class TcpEdgeList(EdgeList):
    """A page of TCP edges."""

    tcp_edges: list[TcpEdgeAnswer]


class TlsEdgeList(EdgeList):
    """A page of TLS edges."""

    tls_edges: list[TlsEdgeAnswer]


class HttpsEdgeList(EdgeList):
    """A page of HTTPS edges."""

    https_edges: list[HttpsEdgeAnswer]


LISTS: Final[Mapping[str, type[EdgeList]]] = {
    "tcp": TcpEdgeList,
    "tls": TlsEdgeList,
    "https": HttpsEdgeList,
}


def _router(kind: str) -> APIRouter:
    """Make the routes of one kind of edge."""
    router = APIRouter(prefix=f"/edges/{kind}", tags=[f"edges_{kind}"])
    answer, given_model = ANSWERS[kind], GIVEN[kind]
    edge_id = Depends(path_id(PREFIXES[kind]))

    @router.post("", name="create", status_code=201, response_model=answer)
    @takes(given_model)
    async def create(  # pyright: ignore[reportUnusedFunction]
        who: Who,
        context: Ctx,
        given: _EdgeGiven,
        whole: Whole = False,
    ) -> BaseModel:
        """Make an edge."""
        said: dict[str, Any] = {
            "hostports": given.hostports or (),
            "modules": given_modules(kind, given),
            "description": given.description or "",
            "metadata": given.metadata or "",
        }
        make = edge_kits.create if whole else edges.create
        return shown_edge(context, await make(context, who.account_id, kind, **said))

    @router.patch("/{id}", name="update", response_model=answer)
    @takes(given_model)
    async def update(  # pyright: ignore[reportUnusedFunction]
        who: Who,
        context: Ctx,
        given: _EdgeGiven,
        id: str = edge_id,  # noqa: A002
    ) -> BaseModel:
        """Change an edge. Addresses that are kept stay online."""
        changed = await edges.update(
            context,
            who.account_id,
            kind,
            id,
            hostports=given.hostports,
            modules=given_modules(kind, given),
            description=given.description,
            metadata=given.metadata,
        )
        return shown_edge(context, changed)

    common = Common[EdgeView](router, PREFIXES[kind], answer, shown_edge)
    common.list(
        LISTS[kind],
        f"{kind}_edges",
        NO_FILTER,
        lambda context, account_id, page: edges.listed(context, account_id, kind, page),
        "List the edges of the account.",
    )
    common.get(lambda context, account_id, id_: edges.get(context, account_id, kind, id_), "Return one edge.")
    common.delete(
        lambda context, account_id, id_: edges.delete(context, account_id, kind, id_),
        "Delete an edge; its addresses are free at once.",
    )
    return router


def given_modules(kind: str, given: BaseModel) -> dict[str, Mapping[str, Any]]:
    """Return the modules that a request names, as they are kept."""
    found = ((name, getattr(given, name)) for name in EDGE_MODULES[kind])
    return {name: module.kept(each) for name, each in found if each is not None}


def shown_edge(context: Context, each: EdgeView) -> Answer:
    """Show an edge."""
    edge, api_url = each.edge, context.settings.api_url
    answer = ANSWERS[edge.kind]
    told: dict[str, Any] = {
        name: module.show(api_url, name, edge.modules[name], module.SHOWN[name])
        if name in edge.modules
        else None
        for name in EDGE_MODULES[edge.kind]
    }
    if edge.kind == "https":
        told["routes"] = [shown_route(context, route) for route in each.routes]
    return answer(
        id=edge.id,
        uri=f"{api_url}/edges/{edge.kind}/{edge.id}",
        created_at=timestamp(edge.created_at),
        description=edge.description,
        metadata=edge.metadata,
        hostports=list(edge.hostports),
        **told,
    )


ROUTERS: Final[Sequence[APIRouter]] = tuple(_router(kind) for kind in ("tcp", "tls", "https"))
"""One for each kind."""
