"""/edges/https/{edge_id}/routes: which part of an HTTPS edge serves which path."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field

from portway.control.api import modules as module
from portway.control.api.auth import Ctx, Who
from portway.control.api.modules import (
    BackendGiven,
    BackendShown,
    CircuitBreakerGiven,
    CircuitBreakerShown,
    CompressionGiven,
    CompressionShown,
    HeadersGiven,
    HeadersShown,
    IpRestrictionGiven,
    IpRestrictionShown,
    OauthGiven,
    OauthShown,
    OidcGiven,
    OidcShown,
    SamlGiven,
    SamlShown,
    TrafficPolicyGiven,
    TrafficPolicyShown,
    UserAgentFilterGiven,
    UserAgentFilterShown,
    WebhookVerificationGiven,
    WebhookVerificationShown,
    WebsocketTcpConverterGiven,
    WebsocketTcpConverterShown,
)
from portway.control.api.paging import IDENTIFIER, path_id
from portway.control.api.schema import Answer, Description, Given, Metadata, Timestamp, timestamp
from portway.control.service import edge_routes
from portway.control.service.context import Context
from portway.control.service.edge_routes import Wish
from portway.model.edge import PREFIXES, ROUTE_PREFIX, EdgeRoute
from portway.model.modules import ROUTE_MODULES

router = APIRouter(prefix="/edges/https/{edge_id}/routes", tags=["edges_https_routes"])

Id = Annotated[str, Depends(path_id(ROUTE_PREFIX))]


def edge_id_in_path(prefix: str) -> Callable[..., Awaitable[str]]:
    """Return the dependency of an edge's identifier that stands before a route's."""
    shape = rf"^{prefix}_{IDENTIFIER}$"

    async def identifier(
        edge_id: Annotated[str, Path(pattern=shape, description="Identifier of the edge.")],
    ) -> str:
        return edge_id

    return identifier


EdgeId = Annotated[str, Depends(edge_id_in_path(PREFIXES["https"]))]


class RouteAnswer(Answer):
    """A route of an HTTPS edge. Modules that are not set are null."""

    id: str
    uri: str
    edge_id: str
    created_at: Timestamp
    match_type: str
    match: str
    description: str
    metadata: str
    backend: BackendShown | None
    ip_restriction: IpRestrictionShown | None
    circuit_breaker: CircuitBreakerShown | None
    compression: CompressionShown | None
    request_headers: HeadersShown | None
    response_headers: HeadersShown | None
    webhook_verification: WebhookVerificationShown | None
    oauth: OauthShown | None
    saml: SamlShown | None
    oidc: OidcShown | None
    websocket_tcp_converter: WebsocketTcpConverterShown | None
    user_agent_filter: UserAgentFilterShown | None
    traffic_policy: TrafficPolicyShown | None


class RouteGiven(Given):
    """What may be said of a route. In an update "" leaves a field as it is."""

    match_type: str | None = Field(None, description='"exact_path" or "path_prefix".')
    match: str | None = Field(None, description="A path, beginning with a slash.")
    description: Description = None
    metadata: Metadata = None
    backend: BackendGiven | None = None
    ip_restriction: IpRestrictionGiven | None = None
    circuit_breaker: CircuitBreakerGiven | None = None
    compression: CompressionGiven | None = None
    request_headers: HeadersGiven | None = None
    response_headers: HeadersGiven | None = None
    webhook_verification: WebhookVerificationGiven | None = None
    oauth: OauthGiven | None = None
    saml: SamlGiven | None = None
    oidc: OidcGiven | None = None
    websocket_tcp_converter: WebsocketTcpConverterGiven | None = None
    user_agent_filter: UserAgentFilterGiven | None = None
    traffic_policy: TrafficPolicyGiven | None = None


@router.post("", name="create", status_code=201, response_model=RouteAnswer)
async def create(who: Who, context: Ctx, edge_id: EdgeId, given: RouteGiven) -> BaseModel:
    """Make a route of an edge."""
    made = await edge_routes.create(context, who.account_id, edge_id, _wish(given))
    return shown_route(context, made)


@router.get("/{id}", name="get", response_model=RouteAnswer)
async def get(who: Who, context: Ctx, edge_id: EdgeId, id: Id) -> BaseModel:  # noqa: A002 - the name in the path
    """Return one route."""
    return shown_route(context, await edge_routes.get(context, who.account_id, edge_id, id))


@router.patch("/{id}", name="update", response_model=RouteAnswer)
async def update(who: Who, context: Ctx, edge_id: EdgeId, id: Id, given: RouteGiven) -> BaseModel:  # noqa: A002
    """Change a route."""
    changed = await edge_routes.update(context, who.account_id, edge_id, id, _wish(given))
    return shown_route(context, changed)


@router.delete("/{id}", name="delete", status_code=204)
async def delete(who: Who, context: Ctx, edge_id: EdgeId, id: Id) -> None:  # noqa: A002
    """Delete a route."""
    await edge_routes.delete(context, who.account_id, edge_id, id)


def _wish(given: RouteGiven) -> Wish:
    return Wish(
        match_type=given.match_type or "",
        match=given.match or "",
        description=given.description or "",
        metadata=given.metadata or "",
        modules=given_modules(given),
    )


def given_modules(given: BaseModel) -> Mapping[str, Mapping[str, Any]]:
    """Return the modules that a request names, as they are kept."""
    found = ((name, getattr(given, name)) for name in ROUTE_MODULES)
    return {name: module.kept(each) for name, each in found if each is not None}


def shown_route(context: Context, route: EdgeRoute) -> RouteAnswer:
    """Show a route."""
    api_url = context.settings.api_url
    told: dict[str, Any] = {
        name: module.show(api_url, name, route.modules[name], module.SHOWN[name])
        if name in route.modules
        else None
        for name in ROUTE_MODULES
    }
    return RouteAnswer(
        id=route.id,
        uri=f"{api_url}/edges/https/{route.edge_id}/routes/{route.id}",
        edge_id=route.edge_id,
        created_at=timestamp(route.created_at),
        match_type=route.match_type,
        match=route.match,
        description=route.description,
        metadata=route.metadata,
        **told,
    )
