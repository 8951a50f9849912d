"""From an address to the endpoint that is online there.

http hosts are one space; https and tls share one, because they share a listener and are told apart
by SNI; TCP endpoints are found by port alone, whatever name led a visitor there.

``*.example.com`` answers for every name below ``example.com``, at any depth, for which nothing more
specific is online.

Internal endpoints stand in a table of their own, by account and whole URL. What visitors ask for is
looked up in the other one, so no Host, SNI or port leads to an internal endpoint, whatever it says: only
:meth:`Registry.find_internal` does, for a traffic policy of the same account.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from portway.edge.counters import Counters, Ledger

if TYPE_CHECKING:
    from portway.edge.counters import Key
    from portway.edge.http_sides import RequestPolicy
    from portway.edge.policy import EndpointPolicy
    from portway.edge.pool import Pool
    from portway.edge.tls_settings import TlsSettings
    from portway.model.url import Url


@dataclass(slots=True)
class Endpoint:
    """A URL that is online, with its pool. The texts are those of its oldest member's bind."""

    id: str
    url: "Url"
    scheme: str
    account_id: str
    pool: "Pool"
    name: str = ""
    description: str = ""
    metadata: str = ""
    forwards_to: str = ""
    forwards_proto: str = ""
    proxy_proto: int = 0
    own: bool = False
    """The service itself serves it: the API."""
    edge_id: str = ""
    """Of the edge whose address it is."""
    tls: "TlsSettings | None" = None
    """How visitors' TLS is ended here. None: of tls and tcp not at all, of https as it is by default."""
    policy: "RequestPolicy | None" = None
    """What rules over its requests, if anything does."""
    gates: "tuple[EndpointPolicy, ...]" = ()
    """What rules over its visitors' connections; see ``edge/policy_pool.py``."""
    counters: Counters = field(default_factory=Counters)
    """Its own while it is online; :meth:`Registry.add` gives it those that it had before."""

    @property
    def binding(self) -> str:
        """Who can reach it: public or internal."""
        return "internal" if self.url.is_internal else "public"


Address = tuple[str, str | int]
"""("http", host), ("tls", host) or ("tcp", port): of public endpoints."""

InternalAddress = tuple[str, str, str, int]
"""Account, scheme, host and port: of internal endpoints."""

K = TypeVar("K")


def address(scheme: str, host: str, port: int) -> Address:
    """Say under which address a URL is found."""
    if scheme == "tcp":
        return ("tcp", port)
    return ("http" if scheme == "http" else "tls", host)


def may_forward(scheme: str, target: str) -> bool:
    """Tell whether a visitor of one scheme can be forwarded to an internal endpoint of another.

    http and https are one family: requests are forwarded, and between endpoints there is no TLS.
    """
    return scheme == target or {scheme, target} == {"http", "https"}


class Registry:
    """All endpoints that are online here."""

    def __init__(self) -> None:
        """Make an empty registry."""
        self._public: dict[Address, Endpoint] = {}
        self._internal: dict[InternalAddress, Endpoint] = {}
        self._wildcards = 0
        """How many public ones are wildcards. While there is none, a name that is not found costs nothing."""
        self.version = 0
        """Rises when a name may lead elsewhere than it did."""
        self._listeners: list[Callable[[Endpoint], None]] = []
        self.ledger = Ledger()
        """What endpoints have counted, those that are offline too."""
        self.members = Ledger()
        """The same of their members, by scheme and bind id."""

    def __len__(self) -> int:
        """Count the endpoints."""
        return len(self._public) + len(self._internal)

    def __repr__(self) -> str:
        """Show how many endpoints are online."""
        return f"<Registry {len(self)} endpoints, {len(self._internal)} of them internal>"

    # -- for visitors

    def find(self, scheme: str, host: str, port: int = 0) -> Endpoint | None:
        """Find a public endpoint: http, https and tls by lower-case host without port, tcp by port."""
        found = self._public.get(address(scheme, host, port))
        if found is None and self._wildcards and scheme != "tcp":
            found = self._wildcard("http" if scheme == "http" else "tls", host)
        return found if found is not None and found.scheme == scheme else None

    def find_sni(self, name: str) -> Endpoint | None:
        """Find what answers to a lower-case SNI: a public https or tls endpoint."""
        found = self._public.get(("tls", name))
        if found is None and self._wildcards:
            found = self._wildcard("tls", name)
        return found

    # -- for traffic policies

    def find_internal(self, account_id: str, scheme: str, host: str, port: int) -> Endpoint | None:
        """Find the internal endpoint that an account's policy names by scheme, lower-case host and port.

        The nearest wildcard of the same scheme and port serves a name that is not online itself. Whether a
        visitor may be forwarded to this scheme is :func:`may_forward`'s to say.
        """
        found = self._internal.get((account_id, scheme, host, port))
        if found is None:
            wildcards = (self._internal.get((account_id, scheme, each, port)) for each in _wildcards(host))
            found = next((each for each in wildcards if each is not None), None)
        return found

    # -- for those that bring endpoints online

    def at(self, url: "Url", account_id: str) -> Endpoint | None:
        """Find the endpoint of exactly this URL; the account matters to internal ones alone."""
        found = self.beside(url, account_id)
        return found if found is not None and found.scheme == url.scheme else None

    def beside(self, url: "Url", account_id: str) -> Endpoint | None:
        """Find what has the address of a URL, if only by another scheme of the same listener."""
        if url.is_internal:
            return self._internal.get(_internal_address(url, account_id))
        return self._public.get(address(url.scheme, url.host, url.port))

    def add(self, endpoint: Endpoint) -> None:
        """Put an endpoint online. Its address must be free: the claim table sees to that."""
        url = endpoint.url
        if url.is_internal:
            _put(self._internal, _internal_address(url, endpoint.account_id), endpoint)
        else:
            _put(self._public, address(endpoint.scheme, url.host, url.port), endpoint)
            self._wildcards += url.is_wildcard
            self.version += 1
        endpoint.counters = self.ledger.take(_account_of(endpoint))

    def remove(self, endpoint: Endpoint) -> None:
        """Take an endpoint offline; one that is not there is ignored."""
        url = endpoint.url
        if self.at(url, endpoint.account_id) is not endpoint:
            return
        if url.is_internal:
            del self._internal[_internal_address(url, endpoint.account_id)]
        else:
            del self._public[address(endpoint.scheme, url.host, url.port)]
            self._wildcards -= url.is_wildcard
            self.version += 1
        self.ledger.give_back(_account_of(endpoint))
        self.has_room(endpoint)

    def on_room(self, listener: Callable[[Endpoint], None]) -> None:
        """Call back with an endpoint that has gone, or that shares its URL from now on."""
        self._listeners.append(listener)

    def look_again(self) -> None:
        """Have connections that stand look anew for whom they ask, and whether they may."""
        self.version += 1

    def has_room(self, endpoint: Endpoint) -> None:
        """Tell that an endpoint is gone, or shares its URL from now on."""
        for listener in self._listeners:
            listener(endpoint)

    def all(self) -> list[Endpoint]:
        """List what is online, public and internal."""
        return [*self._public.values(), *self._internal.values()]

    def _wildcard(self, kind: str, host: str) -> Endpoint | None:
        found = (self._public.get((kind, each)) for each in _wildcards(host))
        return next((each for each in found if each is not None), None)


def _wildcards(host: str) -> Iterator[str]:
    """Yield the wildcards above a name, the nearest first."""
    while host := host.partition(".")[2]:
        yield f"*.{host}"


def _internal_address(url: "Url", account_id: str) -> InternalAddress:
    return (account_id, url.scheme, url.host, url.port)


def _account_of(endpoint: Endpoint) -> "Key":
    """Return under what name an endpoint's counters are kept: those of one owner and URL go on."""
    return (endpoint.scheme, f"{endpoint.account_id} {endpoint.url}")


def _put(table: dict[K, Endpoint], key: K, endpoint: Endpoint) -> None:
    if key in table:
        raise ValueError(f"{endpoint.url} is online already")
    table[key] = endpoint
