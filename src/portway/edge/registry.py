"""From an address to the endpoint that is online there.

http hosts are one space; https and tls share one, because they share a listener and are told apart
by SNI; TCP endpoints are found by port alone, whatever name led a visitor there.

``*.example.com`` answers for every name below ``example.com``, at any depth, for which nothing more
specific is online.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portway.edge.pool import Pool
    from portway.model.url import Url


@dataclass(slots=True)
class Counters:
    """What went through an endpoint since it came online. Bytes in come from visitors."""

    connections: int = 0
    requests: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


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
    counters: Counters = field(default_factory=Counters)


Address = tuple[str, str | int]
"""("http", host), ("tls", host) or ("tcp", port)."""


def address(scheme: str, host: str, port: int) -> Address:
    """Say under which address a URL is found."""
    if scheme == "tcp":
        return ("tcp", port)
    return ("http" if scheme == "http" else "tls", host)


class Registry:
    """All endpoints that are online here."""

    def __init__(self) -> None:
        """Make an empty registry."""
        self._endpoints: dict[Address, Endpoint] = {}
        self._wildcards = 0
        """How many of them are wildcards. While there is none, a name that is not found costs nothing."""

    def __len__(self) -> int:
        """Count the endpoints."""
        return len(self._endpoints)

    def __repr__(self) -> str:
        """Show how many endpoints are online."""
        return f"<Registry {len(self._endpoints)} endpoints>"

    def find(self, scheme: str, host: str, port: int = 0) -> Endpoint | None:
        """Find the endpoint of a scheme: http, https, tls by lower-case host without port, tcp by port."""
        found = self._endpoints.get(address(scheme, host, port))
        if found is None and self._wildcards and scheme != "tcp":
            found = self._wildcard("http" if scheme == "http" else "tls", host)
        return found if found is not None and found.scheme == scheme else None

    def at(self, url: "Url") -> Endpoint | None:
        """Find the endpoint of exactly this URL."""
        found = self._endpoints.get(address(url.scheme, url.host, url.port))
        return found if found is not None and found.scheme == url.scheme else None

    def beside(self, url: "Url") -> Endpoint | None:
        """Find what has the address of a URL, if only by another scheme of the same listener."""
        return self._endpoints.get(address(url.scheme, url.host, url.port))

    def find_sni(self, name: str) -> Endpoint | None:
        """Find what answers to a lower-case SNI: an https or a tls endpoint."""
        found = self._endpoints.get(("tls", name))
        if found is None and self._wildcards:
            found = self._wildcard("tls", name)
        return found

    def add(self, endpoint: Endpoint) -> None:
        """Put an endpoint online. Its address must be free: the claim table sees to that."""
        key = address(endpoint.scheme, endpoint.url.host, endpoint.url.port)
        if key in self._endpoints:
            raise ValueError(f"{endpoint.url} is online already")
        self._endpoints[key] = endpoint
        self._wildcards += endpoint.url.is_wildcard

    def remove(self, endpoint: Endpoint) -> None:
        """Take an endpoint offline; one that is not there is ignored."""
        key = address(endpoint.scheme, endpoint.url.host, endpoint.url.port)
        if self._endpoints.get(key) is endpoint:
            del self._endpoints[key]
            self._wildcards -= endpoint.url.is_wildcard

    def all(self) -> list[Endpoint]:
        """List what is online."""
        return list(self._endpoints.values())

    def _wildcard(self, kind: str, host: str) -> Endpoint | None:
        """Find the nearest wildcard above a name."""
        while host := host.partition(".")[2]:
            found = self._endpoints.get((kind, f"*.{host}"))
            if found is not None:
                return found
        return None
