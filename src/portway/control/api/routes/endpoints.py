"""/endpoints: what is online. Cloud endpoints are managed here; those of agents can only be read."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, cast
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from portway.control.api.auth import Ctx, Who
from portway.control.api.paging import Listing, listing, path_id
from portway.control.api.schema import Answer, Description, Given, Metadata, Ref, Timestamp, timestamp
from portway.control.service import cloud_endpoints, endpoints
from portway.control.service.cloud_endpoints import Wish
from portway.control.service.context import Context
from portway.control.service.endpoints import EndpointView
from portway.model.edge import EdgeEndpoint
from portway.model.ids import sibling_id
from portway.model.live import LiveEndpoint

router = APIRouter(prefix="/endpoints", tags=["endpoints"])

FIELDS: Final = frozenset({
    "principal.id", "type", "binding", "bindings", "url", "pooling_enabled", "scheme", "region", "name",
})  # fmt: skip

AGENT_TYPE: Final = "agent"
"""What the type of an agent's endpoint is shown as: "agent", or "ephemeral" as some schemas have it."""
EVERYWHERE: Final = "global"
"""The region of a cloud endpoint."""

Id = Annotated[str, Depends(path_id("ep"))]
Wanted = Annotated[Listing, Depends(listing("endpoints", "ep", FIELDS))]
Repeated = Annotated[list[str], Query(description="Only endpoints with one of these; may be repeated.")]


class EndpointAnswer(Answer):
    """An endpoint. Fields that its type does not have are empty."""

    id: str
    uri: str
    type: str
    url: str
    public_url: str
    proto: str
    scheme: str
    hostport: str
    host: str
    port: int
    name: str
    description: str
    metadata: str
    region: str
    bindings: list[str]
    pooling_enabled: bool
    traffic_policy: str
    upstream_url: str
    upstream_protocol: str
    domain: Ref | None
    tcp_addr: Ref | None
    tunnel: Ref | None
    edge: Ref | None
    tunnel_session: Ref | None
    principal: Ref | None
    created_at: Timestamp
    updated_at: Timestamp
    pools: list[Ref]


class EndpointList(Answer):
    """A page of endpoints."""

    endpoints: list[EndpointAnswer]
    uri: str
    next_page_uri: str | None


class EndpointUpdate(Given):
    """What to change of a cloud endpoint. It stays online."""

    url: str | None = Field(None, description="Scheme, host and, for tcp, port. The scheme cannot change.")
    traffic_policy: str | None = Field(None, description="YAML or JSON; it has to answer every visitor.")
    description: Description = None
    metadata: Metadata = None
    bindings: list[str] | None = Field(
        None, description='"public" or "internal", else what the host implies.'
    )
    pooling_enabled: bool | None = Field(None, description="Share the URL with others that allow it too.")


class EndpointCreate(EndpointUpdate):
    """A new cloud endpoint."""

    type: str | None = Field(None, description='"cloud"; agents make the other types.')


@router.post("", name="create", status_code=201, response_model=EndpointAnswer)
async def create(who: Who, context: Ctx, given: EndpointCreate) -> EndpointAnswer:
    """Make a cloud endpoint."""
    made = await cloud_endpoints.create(context, who.account_id, _wish(given, given.type or ""))
    return _shown(context, await endpoints.view(context, made))


@router.get("", name="list", response_model=EndpointList)
async def listed(
    who: Who,
    context: Ctx,
    wanted: Wanted,
    id: Repeated = [],  # noqa: A002, B006 - the name of the parameter; FastAPI copies the default
    ids: Repeated = [],  # noqa: B006
    url: Repeated = [],  # noqa: B006
    urls: Repeated = [],  # noqa: B006
) -> dict[str, Any]:
    """List the account's endpoints that are online."""
    some = endpoints.Wanted([*id, *ids], [*url, *urls])
    answer = await wanted.page(
        lambda page: endpoints.listed(context, who.account_id, page, some),
        lambda each: _shown(context, each),
        facts=lambda each: _facts(context, each),
    )
    if answer["next_page_uri"] and (some.ids or some.urls):
        narrowed = [("id", each) for each in some.ids] + [("url", each) for each in some.urls]
        answer["next_page_uri"] = f"{answer['next_page_uri']}&{urlencode(narrowed)}"
    return answer


@router.get("/{id}", name="get", response_model=EndpointAnswer)
async def get(who: Who, context: Ctx, id: Id) -> EndpointAnswer:  # noqa: A002 - the name in the path
    """Return one endpoint."""
    return _shown(context, await endpoints.get(context, who.account_id, id))


@router.patch("/{id}", name="update", response_model=EndpointAnswer)
async def update(who: Who, context: Ctx, id: Id, given: EndpointUpdate) -> EndpointAnswer:  # noqa: A002
    """Change a cloud endpoint."""
    changed = await cloud_endpoints.update(context, who.account_id, id, _wish(given))
    return _shown(context, await endpoints.view(context, changed))


@router.delete("/{id}", name="delete", status_code=204)
async def delete(who: Who, context: Ctx, id: Id) -> None:  # noqa: A002
    """Take a cloud endpoint away."""
    await cloud_endpoints.delete(context, who.account_id, id)


def _wish(given: EndpointUpdate, kind: str = "") -> Wish:
    return Wish(
        url=given.url,
        type=kind,
        bindings=given.bindings or None,
        traffic_policy=given.traffic_policy,
        description=given.description,
        metadata=given.metadata,
        pooling_enabled=given.pooling_enabled,
    )


class _AgentType(str):
    """The type of an agent's endpoint in a filter: it equals both of its names."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return other in ("agent", "ephemeral")

    __hash__ = str.__hash__


def _facts(context: Context, each: EndpointView) -> Mapping[str, Any]:
    """Return what a filter sees of an endpoint."""
    shown = _shown(context, each).model_dump()
    if isinstance(each.endpoint, LiveEndpoint):
        shown["type"] = _AgentType(AGENT_TYPE)
    return shown | {"binding": each.endpoint.binding}


def _shown(context: Context, each: EndpointView) -> EndpointAnswer:
    endpoint, url = each.endpoint, each.url
    live = endpoint if isinstance(endpoint, LiveEndpoint) else None
    edge = endpoint if isinstance(endpoint, EdgeEndpoint) else None
    return EndpointAnswer(
        id=endpoint.id,
        uri=f"{context.settings.api_url}/endpoints/{endpoint.id}",
        type=AGENT_TYPE if live else "edge" if edge else "cloud",
        url=endpoint.url,
        public_url=endpoint.url,
        proto=url.scheme,
        scheme=url.scheme,
        hostport=url.hostport,
        host=url.host,
        port=url.port,
        name=live.name if live else "",
        description=endpoint.description,
        metadata=endpoint.metadata,
        region=live.region if live else EVERYWHERE,
        bindings=[endpoint.binding],
        pooling_enabled=endpoint.pooling_enabled,
        traffic_policy=endpoint.traffic_policy,
        upstream_url=live.forwards_to if live else "",
        upstream_protocol=live.upstream_protocol if live else "",
        domain=_ref(context, "reserved_domains", each.domain_id),
        tcp_addr=_ref(context, "reserved_addrs", each.tcp_addr_id),
        tunnel=_ref(context, "tunnels", sibling_id("tn", live.id)) if live else None,
        edge=_ref(context, f"edges/{url.scheme}", edge.edge_id) if edge else None,
        tunnel_session=_ref(context, "tunnel_sessions", live.session_id) if live else None,
        principal=Ref(id=each.principal_id, uri=""),
        created_at=timestamp(endpoint.created_at),
        updated_at=timestamp(endpoint.updated_at),
        pools=[cast("Ref", _ref(context, "endpoints", other)) for other in each.pool],
    )


def _ref(context: Context, noun: str, thing: str) -> Ref | None:
    return Ref(id=thing, uri=f"{context.settings.api_url}/{noun}/{thing}") if thing else None
