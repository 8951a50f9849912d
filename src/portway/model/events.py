"""What accounts keep about events: destinations, and subscriptions with their sources."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class EventDestination:
    """Where events go. ``settings`` are those of its target, a mask in the place of each secret.

    ``durable``: traffic events for it stand on disk until they have arrived.
    """

    id: str
    account_id: str
    description: str
    metadata: str
    created_at: float
    format: str
    kind: str
    settings: dict[str, Any]
    durable: bool = False


@dataclass(frozen=True, slots=True)
class EventSource:
    """One type of events. ``fields`` None: all; ``sample`` None: every event."""

    type: str
    filter: str = ""
    fields: tuple[str, ...] | None = None
    sample: float | None = None


@dataclass(frozen=True, slots=True)
class EventSubscription:
    """Which events go to which destinations; both in the order in which they were given."""

    id: str
    account_id: str
    description: str
    metadata: str
    created_at: float
    sources: tuple[EventSource, ...] = ()
    destination_ids: tuple[str, ...] = field(default=())
