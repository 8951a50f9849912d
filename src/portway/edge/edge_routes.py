"""Routes of an https edge: which part of it serves a request, by its path.

An exact match wins, then the longest prefix. A route is the edge's endpoint with a pool and a policy of its
own, so all that follows is as with any other endpoint. What no route takes gets a page.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from portway.edge.backends import NOTHING_ONLINE
from portway.edge.policy_pool import Unruled
from portway.model.edge import normal_path

if TYPE_CHECKING:
    from portway.edge.http_passage import Passage
    from portway.edge.http_sides import RequestHooks
    from portway.edge.registry import Endpoint


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One route. ``endpoint`` is the edge's endpoint as it is for those whom the route serves."""

    id: str
    match_type: str
    path: str
    endpoint: "Endpoint"


class Routes:
    """The routes of one edge at one of its addresses. It is the policy of its endpoint."""

    __slots__ = ("_exact", "_prefixes", "_ready")

    def __init__(self, routes: Iterable[Route], *, ready: bool = True) -> None:
        """Serve by these. Not ``ready``: they are not known yet, or cannot be made."""
        routes = list(routes)
        self._ready = ready
        self._exact = {each.path: each for each in routes if each.match_type == "exact_path"}
        prefixes = [each for each in routes if each.match_type != "exact_path"]
        self._prefixes = sorted(prefixes, key=lambda each: len(each.path), reverse=True)

    def __repr__(self) -> str:
        """Show how many there are."""
        return f"<Routes exact={len(self._exact)} prefixes={len(self._prefixes)}>"

    def find(self, path: str) -> Route | None:
        """Return the route that serves a path."""
        found = self._exact.get(path)
        if found is None:
            found = next((each for each in self._prefixes if path.startswith(each.path)), None)
        return found

    def begin(self, passage: "Passage") -> "RequestHooks":
        """Choose the route; let its policy rule."""
        route = self.find(normal_path(passage.head.target))
        if route is None:
            return Unrouted(passage) if self._ready else Unready(passage)
        passage.endpoint = route.endpoint
        policy = route.endpoint.policy
        return Unruled(passage) if policy is None else policy.begin(passage)


class Unrouted(Unruled):
    """A request that no route takes."""

    __slots__ = ()

    def on_request(self) -> None:
        """Answer it with a page."""
        self._passage.fail(404, NOTHING_ONLINE)


class Unready(Unruled):
    """A request to an edge whose routes are not known."""

    __slots__ = ()

    def on_request(self) -> None:
        """Answer it with a page that says to come again."""
        self._passage.fail(503, NOTHING_ONLINE)
