"""Questions to name servers of the user's choice, instead of to the system's resolver.

Where it is called, and nowhere else, dnspython is loaded.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from portway.errors import ConfigError, ConnectError

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver

PORT: Final = 53
TIMEOUT: Final = 5.0
"""Seconds that one name server may take."""


class Server(NamedTuple):
    """A name server."""

    address: str
    port: int = PORT

    def __str__(self) -> str:
        """Return the address, with the port where it is not the usual one."""
        if self.port == PORT:
            return self.address
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


async def lookup(host: str, servers: Sequence[Server]) -> list[str]:
    """Return the addresses of a name from the first server that knows it, IPv4 first.

    Raises ConnectError("tcp") with what each of them said, and ConfigError without dnspython.
    """
    said: list[str] = []
    for server in servers:
        found, problem = await ask(host, server)
        if found:
            return found
        said.append(f"{server}: {problem}")
    raise ConnectError("tcp", f"{host}: {'; '.join(said)}")


async def ask(host: str, server: Server, timeout: float = TIMEOUT) -> tuple[list[str], str]:
    """Ask one server for the addresses of a name; return them, and why there are none.

    Raises ConfigError without dnspython.
    """
    try:
        from dns.exception import DNSException
    except ImportError as error:
        raise ConfigError("dns_resolver_ips: the package dnspython is needed, and it is not there") from error
    resolver = _resolver(server, timeout)
    found: list[str] = []
    problem = "the name has no address there"
    for kind in ("A", "AAAA"):
        try:
            answer = await resolver.resolve(host, kind, search=False, raise_on_no_answer=False)
        except (DNSException, OSError) as error:
            problem = _told(error)
            continue
        found += [record.to_text() for record in answer]
    return found, "" if found else problem


def _resolver(server: Server, timeout: float) -> "Resolver":
    from dns.asyncresolver import Resolver

    resolver = Resolver(configure=False)
    resolver.nameservers = [server.address]
    resolver.nameserver_ports = {server.address: server.port}
    resolver.lifetime = timeout
    return resolver


def _told(error: Exception) -> str:
    from dns.exception import Timeout
    from dns.resolver import NXDOMAIN

    if isinstance(error, NXDOMAIN):
        return "there is no such name"
    if isinstance(error, Timeout):
        return "no answer in time"
    return " ".join((str(error) or type(error).__name__).split())
