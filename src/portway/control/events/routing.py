"""Which events go where: an account's subscriptions, read once and asked for each event. Pure."""

import hashlib
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from portway.errors import Error
from portway.model.event_payload import TYPE_OF, Payload, Traffic, traffic
from portway.model.event_types import TRAFFIC_TYPES
from portway.model.events import EventSubscription
from portway.policy.event_filter import compile_filter
from portway.policy.expression import Condition, EvaluationError

_SHARE: Final = 1 << 64


class Route(msgspec.Struct, frozen=True):
    """One source of one subscription that goes to one destination."""

    destination_id: str
    condition: Condition | None
    fields: tuple[str, ...] | None
    sample: float | None


class Routing:
    """All subscriptions of all accounts, as far as they want traffic events."""

    def __init__(self, subscriptions: Iterable[EventSubscription]) -> None:
        """Read them. A filter that does not compile any more sends nothing."""
        self._routes: dict[tuple[str, str], list[Route]] = {}
        for each in subscriptions:
            for source in each.sources:
                if source.type not in TRAFFIC_TYPES:
                    continue
                try:
                    condition = compile_filter(source.filter, source.type) if source.filter else None
                except Error:
                    continue
                made = (Route(to, condition, source.fields, source.sample) for to in each.destination_ids)
                self._routes.setdefault((each.account_id, source.type), []).extend(made)

    def __repr__(self) -> str:
        """Show how much there is."""
        return f"<Routing of {len(self._routes)} accounts and types>"

    def wanted(self, account_id: str, kind: str) -> bool:
        """Tell whether an account wants events of a type at all."""
        return (account_id, kind) in self._routes

    def choose(
        self, event: Traffic, event_id: str, unfit: Callable[[str, str], None]
    ) -> dict[str, tuple[str, ...] | None]:
        """Return for each destination that gets an event which fields it gets; None is all of them.

        A destination gets it once, as the first of its sources that wants it says. ``unfit`` hears of a
        destination whose filter could not judge the event, and why.
        """
        chosen: dict[str, tuple[str, ...] | None] = {}
        payload: Payload | None = None
        for route in self._routes.get((event.account_id, TYPE_OF[type(event)]), ()):
            to = route.destination_id
            if to in chosen or not sampled(event_id, route.sample):
                continue
            try:
                if route.condition is not None:
                    payload = payload or traffic(event)
                    if not route.condition.holds(payload):
                        continue
            except EvaluationError as error:
                unfit(to, f"A filter failed: {error}")
                continue
            chosen[to] = route.fields
        return chosen


def sampled(event_id: str, share: float | None) -> bool:
    """Tell whether an event is among its share: the same for the same event, always."""
    if share is None or share >= 1:
        return True
    digest = hashlib.blake2b(event_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * _SHARE
