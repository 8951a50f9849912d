"""/event_subscriptions: which events go where; and their sources."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path
from pydantic import Field

from portway.control.api.auth import Ctx, Who
from portway.control.api.common import Common
from portway.control.api.paging import path_id
from portway.control.api.schema import Answer, Description, Given, Metadata, Ref, Timestamp
from portway.control.service import event_subscriptions, shown
from portway.control.service.context import Context
from portway.model.events import EventSource, EventSubscription

router = APIRouter(prefix="/event_subscriptions", tags=["event_subscriptions"])
sources_router = APIRouter(prefix="/event_subscriptions/{id}/sources", tags=["event_sources"])

TYPE: Final = "http_request_complete.v0, tcp_connection_closed.v0, or the type of an audit event."

Id = Annotated[str, Depends(path_id("esb"))]
Kind = Annotated[str, Path(description=TYPE)]


class EventSourceAnswer(Answer):
    """A type of events. What is null does not hold: no filter, all fields, every event."""

    type: str
    uri: str
    filter: str | None
    fields: list[str] | None
    sample: float | None


class EventSourceList(Answer):
    """All sources of a subscription."""

    sources: list[EventSourceAnswer]
    uri: str


class EventSubscriptionAnswer(Answer):
    """An event subscription."""

    id: str
    uri: str
    created_at: Timestamp
    description: str
    metadata: str
    sources: list[EventSourceAnswer]
    destinations: list[Ref]


class EventSubscriptionList(Answer):
    """A page of event subscriptions."""

    event_subscriptions: list[EventSubscriptionAnswer]
    uri: str
    next_page_uri: str | None


class EventSourceUpdate(Given):
    """What to change of a source."""

    filter: str | None = Field(None, description="Of traffic events: a CEL expression over `ev`.")
    fields: list[str] | None = Field(None, description="Of traffic events: what is sent; all by default.")
    sample: float | None = Field(None, description="The share of events that is sent, 0 to 1.")


class EventSourceCreate(EventSourceUpdate):
    """A new source."""

    type: str | None = Field(None, description=TYPE)


class EventSubscriptionUpdate(Given):
    """What to change of a subscription. An empty list of sources changes nothing."""

    description: Description = None
    metadata: Metadata = None
    sources: list[EventSourceCreate] | None = None
    destination_ids: list[str] | None = None


class EventSubscriptionCreate(EventSubscriptionUpdate):
    """A new event subscription."""


@router.post("", name="create", status_code=201, response_model=EventSubscriptionAnswer)
async def create(who: Who, context: Ctx, given: EventSubscriptionCreate) -> EventSubscriptionAnswer:
    """Make an event subscription."""
    made = await event_subscriptions.create(
        context,
        who.account_id,
        _sources(given),
        given.destination_ids or (),
        description=given.description or "",
        metadata=given.metadata or "",
    )
    return _shown(context, made)


@router.patch("/{id}", name="update", response_model=EventSubscriptionAnswer)
async def update(who: Who, context: Ctx, id: Id, given: EventSubscriptionUpdate) -> EventSubscriptionAnswer:  # noqa: A002
    """Change an event subscription; it holds for what happens from now on."""
    changed = await event_subscriptions.update(
        context,
        who.account_id,
        id,
        sources=_sources(given),
        destination_ids=given.destination_ids,
        description=given.description,
        metadata=given.metadata,
    )
    return _shown(context, changed)


@sources_router.post("", name="create", status_code=201, response_model=EventSourceAnswer)
async def create_source(who: Who, context: Ctx, id: Id, given: EventSourceCreate) -> EventSourceAnswer:  # noqa: A002
    """Add a type of events to a subscription."""
    added = await event_subscriptions.add_source(
        context, who.account_id, id, _source(given.type or "", given)
    )
    return _shown_source(context, id, added)


@sources_router.get("", name="list", response_model=EventSourceList)
async def list_sources(who: Who, context: Ctx, id: Id) -> EventSourceList:  # noqa: A002
    """List the sources of a subscription."""
    found = await event_subscriptions.sources(context, who.account_id, id)
    return EventSourceList(
        sources=[_shown_source(context, id, each) for each in found],
        uri=f"{context.settings.api_url}/event_subscriptions/{id}/sources",
    )


@sources_router.get("/{type}", name="get", response_model=EventSourceAnswer)
async def get_source(who: Who, context: Ctx, id: Id, type: Kind) -> EventSourceAnswer:  # noqa: A002
    """Return one source of a subscription."""
    return _shown_source(context, id, await event_subscriptions.source(context, who.account_id, id, type))


@sources_router.patch("/{type}", name="update", response_model=EventSourceAnswer)
async def update_source(
    who: Who,
    context: Ctx,
    id: Id,  # noqa: A002
    type: Kind,  # noqa: A002
    given: EventSourceUpdate,
) -> EventSourceAnswer:
    """Change a source of a subscription; what is not given stays as it is."""
    before = await event_subscriptions.source(context, who.account_id, id, type)
    changed = EventSource(
        type,
        before.filter if given.filter is None else given.filter,
        before.fields if given.fields is None else tuple(given.fields),
        before.sample if given.sample is None else given.sample,
    )
    await event_subscriptions.change_source(context, who.account_id, id, changed)
    return _shown_source(context, id, changed)


@sources_router.delete("/{type}", name="delete", status_code=204)
async def delete_source(who: Who, context: Ctx, id: Id, type: Kind) -> None:  # noqa: A002
    """Take a type of events out of a subscription."""
    await event_subscriptions.remove_source(context, who.account_id, id, type)


def _sources(given: EventSubscriptionUpdate) -> list[EventSource]:
    return [_source(each.type or "", each) for each in given.sources or ()]


def _source(kind: str, given: EventSourceUpdate) -> EventSource:
    fields = None if given.fields is None else tuple(given.fields)
    return EventSource(kind, given.filter or "", fields, given.sample)


def _shown(context: Context, each: EventSubscription) -> EventSubscriptionAnswer:
    return EventSubscriptionAnswer.model_validate(shown.event_subscription(context.settings, each))


def _shown_source(context: Context, subscription_id: str, each: EventSource) -> EventSourceAnswer:
    return EventSourceAnswer.model_validate(shown.event_source(context.settings, subscription_id, each))


_common = Common(router, "esb", EventSubscriptionAnswer, _shown)
_common.list(
    EventSubscriptionList,
    "event_subscriptions",
    frozenset(),
    event_subscriptions.listed,
    "List the event subscriptions of the account.",
)
_common.get(event_subscriptions.get, "Return one event subscription.")
_common.delete(event_subscriptions.delete, "End an event subscription.")
