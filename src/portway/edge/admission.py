"""Who may try to become a session: counts of strangers, and patience with wrong tokens. Pure.

Agents that have not authenticated cost a descriptor and a TLS handshake, so they are counted, in all
and by source address. When all places are taken, a newcomer gets that of the oldest stranger in the
network that holds the most, if its own network holds fewer: who hoards places loses them, and however
many somebody hoards, an agent from elsewhere gets in.

An address that keeps presenting wrong tokens is answered ever later: each of its tries waits *before* its
token is looked at, so guessing in parallel gains nothing.
"""

from collections import deque
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from portway.edge.ports import Limits

WINDOW: Final = 60.0
"""Seconds over which wrong tokens are counted."""
REMEMBERED: Final = 4096
"""Addresses whose wrong tokens are remembered; beyond that the oldest are forgotten."""


_V4_HOSTS: Final = 8
_V6_HOSTS: Final = 64
"""Bits of an address that one owner is free to choose: networks are a /24 of IPv4 and a /64 of IPv6."""


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """The place of one stranger."""

    address: str
    network: str
    make_room: "Callable[[], None]"
    """Close its connection: somebody else has got its place."""


class Admission:
    """Counts of one process."""

    def __init__(self, limits: "Limits") -> None:
        """Start with nobody."""
        self._limits = limits
        self._by_address: dict[str, int] = {}
        self._by_network: dict[str, dict[Place, None]] = {}  # of each the oldest first
        self._total = 0
        self._wrong: dict[str, deque[float]] = {}

    def __repr__(self) -> str:
        """Show the counts."""
        counts = f"strangers={self._total} from={len(self._by_address)} wrong={len(self._wrong)}"
        return f"<Admission {counts}>"

    @property
    def strangers(self) -> int:
        """Connections that have not authenticated."""
        return self._total

    def admit(self, address: str, make_room: "Callable[[], None]") -> Place | None:
        """Give a new connection a place, or None. ``make_room`` is called if it must go for another."""
        here = self._by_address.get(address, 0)
        if here >= self._limits.unauthenticated_per_address:
            return None
        network = _network(address)
        if self._total >= self._limits.unauthenticated:
            fullest = max(self._by_network.values(), key=len, default=dict[Place, None]())
            if len(fullest) <= len(self._by_network.get(network, ())):
                return None
            oldest = next(iter(fullest))
            self.leave(oldest)
            oldest.make_room()
        place = Place(address, network, make_room)
        self._by_address[address] = here + 1
        self._by_network.setdefault(network, {})[place] = None
        self._total += 1
        return place

    def leave(self, place: Place) -> None:
        """An admitted connection is authenticated or gone. Nothing happens if it was made to go."""
        others = self._by_network.get(place.network, {})
        if place not in others:
            return
        del others[place]
        if not others:
            del self._by_network[place.network]
        self._by_address[place.address] -= 1
        if not self._by_address[place.address]:
            del self._by_address[place.address]
        self._total -= 1

    def wrong_token(self, address: str, now: float) -> None:
        """Remember a refused token."""
        times = self._wrong.pop(address, None) or deque(maxlen=max(self._limits.wrong_tokens, 1))
        times.append(now)
        self._wrong[address] = times  # as the newest
        if len(self._wrong) > REMEMBERED:
            del self._wrong[next(iter(self._wrong))]

    def delay(self, address: str, now: float) -> float:
        """Return how many seconds a try from there must wait."""
        if not self._limits.wrong_tokens:
            return self._limits.wrong_token_delay
        times = self._wrong.get(address)
        if times is None:
            return 0.0
        if times[-1] <= now - WINDOW:
            del self._wrong[address]
            return 0.0
        full = len(times) == times.maxlen and times[0] > now - WINDOW
        return self._limits.wrong_token_delay if full else 0.0


def _network(address: str) -> str:
    """Return the network whose addresses are one owner's to choose from."""
    try:
        ip = ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return address  # a socket without addresses
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return f"{ip.version}:{int(ip) >> (_V4_HOSTS if isinstance(ip, IPv4Address) else _V6_HOSTS):x}"
