"""/tunnels: what agents have online, as older clients ask for it. Deprecated for /endpoints."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends
from msgspec.structs import replace

from portway.control.api.auth import Ctx, Who
from portway.control.api.modules import backend_ref
from portway.control.api.paging import Listing, listing, path_id
from portway.control.api.schema import Answer, Ref, Timestamp, timestamp
from portway.control.service import tunnels
from portway.control.service.context import Context
from portway.control.store.rows import Page
from portway.model.ids import sibling_id
from portway.model.live import LiveEndpoint

router = APIRouter(prefix="/tunnels", tags=["tunnels"])

NO_FILTER: Final = None

Id = Annotated[str, Depends(path_id("tn"))]
Wanted = Annotated[Listing, Depends(listing("tunnels", "tn", NO_FILTER))]


class TunnelAnswer(Answer):
    """What an agent has online. One with labels serves edges: it has no URL and is no endpoint."""

    id: str
    public_url: str
    started_at: Timestamp
    metadata: str
    proto: str
    region: str
    tunnel_session: Ref
    endpoint: Ref | None
    labels: dict[str, str]
    backends: list[Ref]
    forwards_to: str


class TunnelList(Answer):
    """A page of tunnels."""

    tunnels: list[TunnelAnswer]
    uri: str
    next_page_uri: str | None


class _Row:
    """An endpoint that goes by its tunnel's identifier."""

    def __init__(self, endpoint: LiveEndpoint, backends: Sequence[str]) -> None:
        self.endpoint = endpoint
        self.backends = backends
        self.id = sibling_id("tn", endpoint.id)


@router.get("", name="list", response_model=TunnelList)
async def listed(who: Who, context: Ctx, wanted: Wanted) -> dict[str, Any]:
    """List what the account's agents have online."""

    async def fetch(page: Page) -> list[_Row]:
        before = page.before_id and sibling_id("ep", page.before_id)
        found = await tunnels.listed(context, who.account_id, replace(page, before_id=before))
        served = await tunnels.backends_of(context, who.account_id, found)
        return [_Row(each, served.get(each.id, ())) for each in found]

    return await wanted.page(fetch, lambda row: _shown(context, row.endpoint, row.backends))


@router.get("/{id}", name="get", response_model=TunnelAnswer)
async def get(who: Who, context: Ctx, id: Id) -> TunnelAnswer:  # noqa: A002 - the name in the path
    """Return one tunnel."""
    found = await tunnels.get(context, who.account_id, id)
    served = await tunnels.backends_of(context, who.account_id, [found])
    return _shown(context, found, served.get(found.id, ()))


def _shown(context: Context, each: LiveEndpoint, backends: Sequence[str]) -> TunnelAnswer:
    api_url = context.settings.api_url
    return TunnelAnswer(
        id=sibling_id("tn", each.id),
        public_url=each.url,
        started_at=timestamp(each.created_at),
        metadata=each.metadata,
        proto=each.url.partition(":")[0],
        region=each.region,
        tunnel_session=Ref(id=each.session_id, uri=f"{api_url}/tunnel_sessions/{each.session_id}"),
        endpoint=None if each.labels else Ref(id=each.id, uri=f"{api_url}/endpoints/{each.id}"),
        labels=dict(each.labels),
        backends=[backend_ref(api_url, backend) for backend in backends],
        forwards_to=each.forwards_to,
    )
