"""What went through endpoints: counters that visitors' connections add to, and one snapshot of them all.

An endpoint counts everything that was asked of it, each of its members what it was given. Whoever serves a
visitor holds the :class:`Counters` of both and only ever adds to them; sums are made when somebody asks.

A :class:`Ledger` hands the counters out by name. An endpoint that comes back after a reconnect, or a URL
whose pool was empty for a while, goes on where it stopped. Who has been offline for long is forgotten for one
that has just gone, and what it had counted is added to what all such have counted: totals never fall.
"""

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from portway.edge.registry import Registry

KEPT: Final = 4096
"""Counters of what is offline that are kept."""

_CLASSES: Final = 10
"""What stands in front of two digits: an upstream may answer with any three."""

Key = tuple[str, str]
"""Scheme, and a name that is unique within it."""


class Counters:
    """Numbers that only rise, and ``open``. Bytes in come from visitors.

    ``connections``: visitors' connections to an endpoint, of which one over which several http endpoints are
    asked counts for each of them; streams opened to a member. ``open``: connections that are no HTTP and
    are open now. ``answers[n]``: requests that are over, answered with a status of n hundred; 0 for those
    that were cut before an answer. Bytes of HTTP are those of bodies, of all else all.
    """

    __slots__ = ("answers", "bytes_in", "bytes_out", "connections", "open", "requests")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.connections = 0
        self.open = 0
        self.requests = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.answers = [0] * _CLASSES

    @property
    def under_way(self) -> int:
        """How many requests, or connections that are no HTTP, have begun and are not over."""
        return self.open + self.requests - sum(self.answers)

    def __repr__(self) -> str:
        """Show the numbers."""
        return f"<Counters {self.counted()}>"

    def answered(self, status: int, bytes_in: int, bytes_out: int) -> None:
        """A request is over, which was counted in ``requests``; ``status`` 0: it was cut before an answer."""
        self.answers[status // 100] += 1
        self.bytes_in += bytes_in
        self.bytes_out += bytes_out

    def closed(self, bytes_in: int, bytes_out: int) -> None:
        """A connection that is no HTTP is over; its opening was counted in ``connections`` and ``open``."""
        self.open -= 1
        self.bytes_in += bytes_in
        self.bytes_out += bytes_out

    def add(self, other: "Counters") -> None:
        """Add what another has counted."""
        self.connections += other.connections
        self.open += other.open
        self.requests += other.requests
        self.bytes_in += other.bytes_in
        self.bytes_out += other.bytes_out
        self.answers = [mine + more for mine, more in zip(self.answers, other.answers, strict=True)]

    def counted(self) -> "Counted":
        """Return the numbers as they are now."""
        return Counted(
            self.connections,
            self.under_way,
            self.requests,
            self.bytes_in,
            self.bytes_out,
            tuple(self.answers),
        )


class Counted(msgspec.Struct, frozen=True):
    """What :class:`Counters` stood at. ``open``: what was under way, requests or connections."""

    connections: int = 0
    open: int = 0
    requests: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    answers: tuple[int, ...] = (0,) * _CLASSES


class Ledger:
    """Counters by name, over the offline times of what they count."""

    def __init__(self, kept: int = KEPT) -> None:
        """Have none; keep at most so many of what is offline."""
        self._limit = kept
        self._online: dict[Key, tuple[Counters, int]] = {}
        self._offline: OrderedDict[Key, Counters] = OrderedDict()
        self._forgotten: dict[str, Counters] = {}

    def __repr__(self) -> str:
        """Show how many there are."""
        return f"<Ledger online={len(self._online)} offline={len(self._offline)}>"

    def take(self, key: Key) -> Counters:
        """Return the counters of what comes online. Taken twice, they must be given back twice."""
        counters, holders = self._online.get(key, (None, 0))
        if counters is None:
            counters = self._offline.pop(key, None) or Counters()
        self._online[key] = counters, holders + 1
        return counters

    def give_back(self, key: Key) -> None:
        """What took them has gone offline. What still runs goes on adding to them."""
        counters, holders = self._online.pop(key)
        if holders > 1:
            self._online[key] = counters, holders - 1
            return
        self._offline[key] = counters
        if len(self._offline) > self._limit:
            self._forget()

    def offline(self) -> dict[str, Counted]:
        """Return by scheme what all that is offline has counted, forgotten or not."""
        sums: dict[str, Counters] = {}
        for scheme, counters in (
            *self._forgotten.items(),
            *((scheme, counters) for (scheme, _), counters in self._offline.items()),
        ):
            sums.setdefault(scheme, Counters()).add(counters)
        return {scheme: each.counted() for scheme, each in sums.items()}

    def _forget(self) -> None:
        """Forget the one that has been offline for longest, of those that count no more if there is one."""
        resting = (key for key, counters in self._offline.items() if not counters.under_way)
        key = next(resting, next(iter(self._offline)))
        self._forgotten.setdefault(key[0], Counters()).add(self._offline.pop(key))


class EndpointCounts(msgspec.Struct, frozen=True):
    """What one endpoint has counted, and each of its members by its id: legs of one agent count together."""

    id: str
    account_id: str
    url: str
    scheme: str
    binding: str
    counted: Counted
    members: dict[str, Counted]


class Snapshot(msgspec.Struct, frozen=True):
    """All that was counted here. ``offline`` is by scheme what endpoints counted that are not online now."""

    endpoints: tuple[EndpointCounts, ...]
    offline: dict[str, Counted]

    def total(self, scheme: str) -> Counted:
        """Return the sum over all endpoints of a scheme that ever were; it never falls, but for ``open``."""
        every = [each.counted for each in self.endpoints if each.scheme == scheme]
        every.append(self.offline.get(scheme, Counted()))
        return Counted(
            sum(each.connections for each in every),
            sum(each.open for each in every),
            sum(each.requests for each in every),
            sum(each.bytes_in for each in every),
            sum(each.bytes_out for each in every),
            tuple(sum(column) for column in zip(*(each.answers for each in every), strict=True)),
        )


def snapshot(registry: "Registry") -> Snapshot:
    """Return what every endpoint has counted by now. The service's own are left out: they are nobody's."""
    return Snapshot(
        tuple(
            EndpointCounts(
                endpoint.id,
                endpoint.account_id,
                str(endpoint.url),
                endpoint.scheme,
                endpoint.binding,
                endpoint.counters.counted(),
                {member.id: member.counters.counted() for member in endpoint.pool.members},
            )
            for endpoint in registry.all()
            if not endpoint.own
        ),
        registry.ledger.offline(),
    )
