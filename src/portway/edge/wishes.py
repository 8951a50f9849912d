"""Which events of visitors anybody takes, so that nobody pays for the others.

The access log takes all of them; accounts' subscriptions take their own. What subscriptions want comes with
the view of the store and changes while the edge runs: the next request that ends goes by it.
"""

from typing import TYPE_CHECKING

from portway.model.event_types import HTTP, TCP
from portway.model.view import EventWishItem, ViewItem

if TYPE_CHECKING:
    from portway.edge.registry import Endpoint
    from portway.edge.view import View


class Wishes:
    """Asked whenever a request or a connection of a visitor is over."""

    __slots__ = ("_every", "_headers", "_http", "_rows", "_tcp")

    def __init__(self, *, every: bool = False) -> None:
        """Know no subscription yet. ``every``: somebody takes all events, but for the fields of heads."""
        self._every = every
        self._rows: dict[str, EventWishItem] = {}
        self._http: frozenset[str] = frozenset()
        self._tcp: frozenset[str] = frozenset()
        self._headers: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        """Show how many accounts want something."""
        return f"<Wishes every={self._every} http={len(self._http)} tcp={len(self._tcp)}>"

    def http(self, endpoint: "Endpoint | None") -> bool:
        """Tell whether anybody takes the event of a request to an endpoint."""
        return self._every or (endpoint is not None and endpoint.account_id in self._http)

    def tcp(self, endpoint: "Endpoint | None") -> bool:
        """Tell whether anybody takes the event of a connection to an endpoint."""
        return self._every or (endpoint is not None and endpoint.account_id in self._tcp)

    def headers(self, account_id: str) -> bool:
        """Tell whether an account wants the fields of heads in the events of its requests."""
        return account_id in self._headers

    def subscribed(self, account_id: str, kind: str) -> bool:
        """Tell whether a subscription of an account wants events of a type."""
        return account_id in (self._http if kind == HTTP else self._tcp)

    def follow(self, view: "View") -> None:
        """Go by what a view of the store says, from now on."""
        for item in view.all():
            self._changed(item, None)
        view.on_change(self._changed)

    def _changed(self, item: ViewItem, _before: ViewItem | None) -> None:
        if not isinstance(item, EventWishItem):
            return
        if item.gone:
            self._rows.pop(item.id, None)
        else:
            self._rows[item.id] = item
        rows = self._rows.values()
        self._http = frozenset(each.account_id for each in rows if HTTP in each.traffic)
        self._tcp = frozenset(each.account_id for each in rows if TCP in each.traffic)
        self._headers = frozenset(each.account_id for each in rows if each.traffic.get(HTTP))
