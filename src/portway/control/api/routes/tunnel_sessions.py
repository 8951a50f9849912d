"""/tunnel_sessions: the agents that are connected now; they can be stopped, restarted and updated."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from portway.control.api.auth import Ctx, Who
from portway.control.api.paging import Listing, listing, path_id
from portway.control.api.schema import Answer, Given, Ref, Timestamp, done, timestamp
from portway.control.service import tunnel_sessions
from portway.control.service.context import Context
from portway.model.live import LiveSession

router = APIRouter(prefix="/tunnel_sessions", tags=["tunnel_sessions"])

FIELDS: Final = frozenset({
    "id", "metadata", "agent_version", "ip", "os", "region", "started_at", "credential", "credential.id",
})  # fmt: skip

Id = Annotated[str, Depends(path_id("ts"))]
Wanted = Annotated[Listing, Depends(listing("tunnel_sessions", "ts", FIELDS, common=False))]


class TunnelSessionAnswer(Answer):
    """An agent that is connected. ``credential`` is the authtoken with which it came."""

    id: str
    uri: str
    agent_version: str
    credential: Ref | None
    description: str
    ip: str
    metadata: str
    os: str
    region: str
    started_at: Timestamp
    transport: str


class TunnelSessionList(Answer):
    """A page of agents."""

    tunnel_sessions: list[TunnelSessionAnswer]
    uri: str
    next_page_uri: str | None


class TunnelSessionUpdate(Given):
    """To what an agent shall update itself."""

    version: str | None = Field(None, description="A version; without one, the newest.", max_length=100)


@router.get("", name="list", response_model=TunnelSessionList)
async def listed(who: Who, context: Ctx, wanted: Wanted) -> dict[str, Any]:
    """List the agents of the account that are connected now."""
    return await wanted.page(
        lambda page: tunnel_sessions.listed(context, who.account_id, page),
        lambda each: _shown(context, each),
    )


@router.get("/{id}", name="get", response_model=TunnelSessionAnswer)
async def get(who: Who, context: Ctx, id: Id) -> TunnelSessionAnswer:  # noqa: A002 - the name in the path
    """Return one agent that is connected now."""
    return _shown(context, await tunnel_sessions.get(context, who.account_id, id))


@router.post("/{id}/restart", name="restart", status_code=204)
async def restart(request: Request, who: Who, context: Ctx, id: Id) -> Response:  # noqa: A002
    """Have the agent's process start anew; a new session follows."""
    await tunnel_sessions.command(context, who.account_id, id, "restart")
    return done(request)


@router.post("/{id}/stop", name="stop", status_code=204)
async def stop(request: Request, who: Who, context: Ctx, id: Id) -> Response:  # noqa: A002
    """Have the agent's process end."""
    await tunnel_sessions.command(context, who.account_id, id, "stop")
    return done(request)


@router.post("/{id}/update", name="update", status_code=204)
async def update(
    request: Request,
    who: Who,
    context: Ctx,
    id: Id,  # noqa: A002
    given: TunnelSessionUpdate,
) -> Response:
    """Have the agent update itself, within its major version; a restart activates it."""
    await tunnel_sessions.command(context, who.account_id, id, "update", given.version or "")
    return done(request)


def _shown(context: Context, each: LiveSession) -> TunnelSessionAnswer:
    api_url = context.settings.api_url
    noun = "ssh_credentials" if each.credential_id.startswith("sshcr_") else "credentials"
    return TunnelSessionAnswer(
        id=each.id,
        uri=f"{api_url}/tunnel_sessions/{each.id}",
        agent_version=each.agent_version,
        credential=Ref(id=each.credential_id, uri=f"{api_url}/{noun}/{each.credential_id}"),
        description=each.description,
        ip=each.ip,
        metadata=each.metadata,
        os=each.os,
        region=each.region,
        started_at=timestamp(each.started_at),
        transport=each.transport,
    )
