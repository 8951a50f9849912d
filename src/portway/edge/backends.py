"""Who serves a visitor of an edge: its backend, looked up each time.

::

    edge ── backend ─┬─ tunnel_group ── a labelled tunnel, as in pooling
                     ├─ static ──────── an address that the service dials itself
                     ├─ http_response ─ an answer that is written down here
                     ├─ weighted ────── one of those above, drawn by weight
                     └─ failover ────── the first of those above that can serve

A :class:`BackendPool` is the pool of an edge's endpoint: it is asked like any other, and finds its members by
walking from the backend that the edge names. So a backend that is changed serves the next visitor, and a
tunnel that comes or goes is noticed where it stands. Weights are drawn among those that can serve.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast

from portway.edge.member import Member, NoVerdict, Unserved
from portway.edge.pool import Pool
from portway.errors import SessionClosed

if TYPE_CHECKING:
    from portway.edge.labelled import Tunnels
    from portway.model.view import BackendItem

T = TypeVar("T")

NO_TUNNEL: Final = 6515
"""A tunnel group that no tunnel matches."""
NOTHING_ONLINE: Final = 6528
"""An edge that has nothing behind it."""


class OwnMember(Member, Protocol):
    """A backend that is a member itself."""

    down_until: float
    """On the loop's clock: passed over until then, as long as another can serve."""
    retired: bool
    """Its backend is gone, or is another now: what runs goes on, and nothing new begins."""


@dataclass(slots=True, eq=False)
class _Known:
    """A backend: what its row says, and for some kinds the one member that it is."""

    form: str
    account_id: str
    spec: str
    member: OwnMember | None = None
    children: Mapping[str, int] = field(default_factory=dict[str, int])
    """Backends by identifier, in order, with their weights."""


MakeMember = Callable[[str, Mapping[str, Any]], OwnMember]
"""Identifier and fields of a backend → the member that it is."""


class Backends:
    """All backends that the view knows."""

    def __init__(
        self, tunnels: "Tunnels", makers: Mapping[str, MakeMember], below: Callable[[int], int]
    ) -> None:
        """Have none yet. ``makers`` make the members of kinds that are their own, ``below`` draws."""
        self._tunnels = tunnels
        self._makers = makers
        self._below = below
        self._known: dict[str, _Known] = {}

    def __repr__(self) -> str:
        """Show how many there are."""
        return f"<Backends {len(self._known)}>"

    def changed(self, item: "BackendItem") -> None:
        """Take a row as it is now."""
        before = self._known.get(item.id)
        if before is not None and not item.gone and before.spec == item.spec:
            return  # only its texts have changed
        if before is not None and before.member is not None:
            before.member.retired = True
        self._known.pop(item.id, None)
        if item.gone:
            self._tunnels.drop_group(item.id)
            return
        spec = cast("dict[str, Any]", json.loads(item.spec))
        known = self._known[item.id] = _Known(item.form, item.account_id, item.spec)
        if item.form == "tunnel_group":
            self._tunnels.put_group(item.id, item.account_id, spec["labels"])
        elif item.form == "weighted":
            weights = cast("dict[str, int]", spec["backends"])
            known.children = {child: weight for child, weight in weights.items() if weight > 0}
        elif item.form == "failover":
            known.children = dict.fromkeys(cast("list[str]", spec["backends"]), 1)
        elif item.form in self._makers:
            known.member = self._makers[item.form](item.id, spec)

    def pick(
        self, backend_id: str, account_id: str, now: float, without: "tuple[Member, ...]" = ()
    ) -> "Member | None":
        """Choose who serves; those that were just unreachable last of all. None if nobody can."""
        found = self._pick(backend_id, account_id, now, without)
        return found or self._pick(backend_id, account_id, math.inf, without, now)

    def members(self, backend_id: str, account_id: str) -> "Iterator[Member]":
        """Yield everybody who might serve."""
        known = self._own(backend_id, account_id)
        if known is None:
            return
        if known.form == "tunnel_group":
            pool = self._tunnels.pool(backend_id)
            yield from pool.members if pool is not None else ()
        elif known.member is not None:
            yield known.member
        for child in known.children:
            yield from self.members(child, account_id)

    def busy(self, backend_id: str, account_id: str, member: "Member", now: float) -> None:
        """Remember that a member could not serve just now."""
        for pool in self._pools(backend_id, account_id):
            pool.busy(member, now)

    def evict(self, backend_id: str, account_id: str, member: "Member") -> None:
        """Put out a member whose session is over."""
        for pool in self._pools(backend_id, account_id):
            pool.remove(member)

    def why(self, backend_id: str, account_id: str) -> Unserved:
        """Say why nobody can serve."""
        known = self._own(backend_id, account_id)
        if known is None:
            return Unserved("the edge has no backend", NOTHING_ONLINE)
        if known.form == "tunnel_group":
            return Unserved(f"no tunnel matches the labels of {backend_id}", NO_TUNNEL)
        return Unserved(f"nothing is online behind {backend_id}", NOTHING_ONLINE)

    def _own(self, backend_id: str, account_id: str) -> _Known | None:
        known = self._known.get(backend_id)
        return known if known is not None and known.account_id == account_id else None

    def _pick(
        self,
        backend_id: str,
        account_id: str,
        since: float,
        without: "tuple[Member, ...]",
        now: float | None = None,
    ) -> "Member | None":
        """Choose among those that are not down at ``since``."""
        known = self._own(backend_id, account_id)
        if known is None:
            return None
        if known.form == "tunnel_group":
            pool = self._tunnels.pool(backend_id)
            return pool.pick(since if now is None else now, without) if pool is not None else None
        member = known.member
        if member is not None:
            return member if member not in without and member.down_until <= since else None
        children = dict(known.children)
        while children:
            child = next(iter(children)) if known.form == "failover" else self._draw(children)
            found = self._pick(child, account_id, since, without, now)
            if found is not None:
                return found
            del children[child]
        return None

    def _draw(self, children: Mapping[str, int]) -> str:
        """Draw one by weight."""
        place = self._below(sum(children.values()))
        for child, weight in children.items():
            if place < weight:
                return child
            place -= weight
        raise AssertionError("a draw is below the sum")

    def _pools(self, backend_id: str, account_id: str) -> Iterator[Pool]:
        """Yield the tunnel groups that a backend leads to: a weighted one over a failover has two steps."""
        known = self._own(backend_id, account_id)
        if known is None:
            return
        pool = self._tunnels.pool(backend_id)
        if pool is not None:
            yield pool
        for child in known.children:
            yield from self._pools(child, account_id)


class BackendPool(Pool):
    """The pool of an edge's endpoint, or of a route: whoever its backend has now."""

    __slots__ = ("_backends", "account_id", "backend_id")

    def __init__(self, backends: Backends, account_id: str, backend_id: str) -> None:
        """Serve by a backend; "" is nobody."""
        super().__init__(lambda _: 0)
        self._backends = backends
        self.account_id = account_id
        self.backend_id = backend_id

    def __repr__(self) -> str:
        """Show the backend."""
        return f"<BackendPool {self.backend_id or 'nobody'}>"

    @property
    def members(self) -> "tuple[Member, ...]":
        """Everybody who might serve now."""
        return tuple(self._backends.members(self.backend_id, self.account_id))

    def remove(self, member: "Member") -> None:
        """Put out a member whose session is over."""
        self._backends.evict(self.backend_id, self.account_id, member)

    def busy(self, member: "Member", now: float) -> None:
        """Remember that a member could not serve just now."""
        self._backends.busy(self.backend_id, self.account_id, member, now)

    def pick(self, now: float, without: "tuple[Member, ...]" = ()) -> "Member | None":
        """Choose who serves the next visitor."""
        return self._backends.pick(self.backend_id, self.account_id, now, without)

    def open_with(
        self, open_: "Callable[[Member], T]", now: float, without: "tuple[Member, ...]" = ()
    ) -> "tuple[Member, T]":
        """Open a way to some member. Raises StreamLimit when all are full, Unserved when there is none."""
        try:
            return super().open_with(open_, now, without)
        except (Unserved, NoVerdict):
            raise
        except SessionClosed as error:
            raise self._backends.why(self.backend_id, self.account_id) from error
