"""/event_destinations: where events are sent."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import Field

from portway.control.api.auth import Ctx, Who
from portway.control.api.common import Common
from portway.control.api.paging import path_id
from portway.control.api.routes.event_targets import TargetAnswer, TargetGiven
from portway.control.api.schema import Answer, Description, Given, Metadata, Timestamp
from portway.control.service import event_destinations, shown
from portway.control.service.context import Context
from portway.model.event_target import undeliverable
from portway.model.events import EventDestination

router = APIRouter(prefix="/event_destinations", tags=["event_destinations"])

Id = Annotated[str, Depends(path_id("ed"))]


class DeliveryAnswer(Answer):
    """How sending fares since the destination was made. ``waiting`` events are still to be sent."""

    status: str = Field(description="idle, ok, failing or undeliverable.")
    delivered: int
    failed: int
    dropped: int
    waiting: int
    last_error: str


class EventDestinationAnswer(Answer):
    """An event destination."""

    id: str
    uri: str
    created_at: Timestamp
    description: str
    metadata: str
    format: str
    target: TargetAnswer
    durable: bool
    delivery: DeliveryAnswer


class EventDestinationList(Answer):
    """A page of event destinations."""

    event_destinations: list[EventDestinationAnswer]
    uri: str
    next_page_uri: str | None


class EventDestinationUpdate(Given):
    """What to change of a destination. A target takes the place of the whole target."""

    description: Description = None
    metadata: Metadata = None
    format: str | None = Field(None, description="json.")
    target: TargetGiven | None = None
    durable: bool | None = Field(
        None, description="Keep traffic events on disk until they have arrived; false by default."
    )


class EventDestinationCreate(EventDestinationUpdate):
    """A new event destination."""


class TestAnswer(Answer):
    """A test event has arrived."""

    event_id: str


@router.post("", name="create", status_code=201, response_model=EventDestinationAnswer)
async def create(who: Who, context: Ctx, given: EventDestinationCreate) -> EventDestinationAnswer:
    """Make an event destination. Its secrets are never shown again."""
    made = await event_destinations.create(
        context,
        who.account_id,
        _target(given) or {},
        format=given.format or "",
        description=given.description or "",
        metadata=given.metadata or "",
        durable=bool(given.durable),
    )
    return _shown(context, made)


@router.patch("/{id}", name="update", response_model=EventDestinationAnswer)
async def update(who: Who, context: Ctx, id: Id, given: EventDestinationUpdate) -> EventDestinationAnswer:  # noqa: A002
    """Change an event destination. A secret that is sent back as it was shown stays as it was."""
    changed = await event_destinations.update(
        context,
        who.account_id,
        id,
        target=_target(given),
        format=given.format or "",
        description=given.description,
        metadata=given.metadata,
        durable=given.durable,
    )
    return _shown(context, changed)


@router.post("/{id}/test", name="test", response_model=TestAnswer)
async def test(who: Who, context: Ctx, id: Id) -> TestAnswer:  # noqa: A002
    """Send a test event, and answer when the receiver has it."""
    return TestAnswer(event_id=await event_destinations.test(context, who.account_id, id))


def _target(given: EventDestinationUpdate) -> dict[str, Any] | None:
    return None if given.target is None else given.target.model_dump(exclude_none=True)


def _shown(context: Context, each: EventDestination) -> EventDestinationAnswer:
    seen = shown.event_destination(context.settings, each)
    return EventDestinationAnswer.model_validate(seen | {"delivery": _delivery(context, each)})


def _delivery(context: Context, each: EventDestination) -> DeliveryAnswer:
    reason = undeliverable(each.kind)
    state = context.deliveries.state(each.id, each.kind)
    status = "failing" if state.last_error else "ok" if state.delivered else "idle"
    return DeliveryAnswer(
        status="undeliverable" if reason else status,
        delivered=state.delivered,
        failed=state.failed,
        dropped=state.dropped,
        waiting=state.waiting,
        last_error=reason or state.last_error,
    )


_common = Common(router, "ed", EventDestinationAnswer, _shown)
_common.list(
    EventDestinationList,
    "event_destinations",
    frozenset(),
    event_destinations.listed,
    "List the event destinations of the account.",
)
_common.get(event_destinations.get, "Return one event destination.")
_common.delete(event_destinations.delete, "Forget an event destination, which no subscription may use.")
