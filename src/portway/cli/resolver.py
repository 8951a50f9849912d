"""Questions to name servers of the user's choice, instead of to the system's resolver (RFC 1035).

dnspython writes and reads the messages; it is loaded where a question is asked, and nowhere else. The sockets
are our own: its asyncio resolver leaves one open when a question is cancelled while the event loop makes it.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from portway.errors import ConfigError, ConnectError

if TYPE_CHECKING:
    from dns.message import QueryMessage

PORT: Final = 53
TIMEOUT: Final = 5.0
"""Seconds that one name server may take."""
PATIENCE: Final = 1.5
"""Seconds after which a question is sent again, for a datagram may be lost."""
DATAGRAM: Final = 4096
"""Bytes that are read of one; longer answers come by TCP."""
KINDS: Final = ("A", "AAAA")


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

    Raises ConfigError without dnspython. When cancelled, no socket is left behind.
    """
    try:
        from dns.exception import DNSException
    except ImportError as error:
        raise ConfigError("dns_resolver_ips: the package dnspython is needed, and it is not there") from error
    found: list[str] = []
    problem = "the name has no address there"
    for kind in KINDS:
        try:
            async with asyncio.timeout(timeout):
                addresses = await _answer(host, kind, server)
        except TimeoutError:
            problem = "no answer in time"
        except (DNSException, OSError, EOFError, ValueError) as error:
            problem = " ".join((str(error) or type(error).__name__).split())
        else:
            found += addresses
    return found, "" if found else problem


async def _answer(host: str, kind: str, server: Server) -> list[str]:
    """Return what one server has of one kind. Raises ValueError for an answer that says no."""
    from dns.flags import TC
    from dns.message import QueryMessage, make_query
    from dns.rcode import NOERROR, NXDOMAIN, to_text

    query = make_query(host, kind)
    assert isinstance(query, QueryMessage)
    answer = await _by_udp(query, server)
    if answer.flags & TC:
        answer = await _by_tcp(query, server)
    if answer.rcode() == NXDOMAIN:
        raise ValueError("there is no such name")
    if answer.rcode() != NOERROR:
        raise ValueError(f"it answers {to_text(answer.rcode())}")
    records = answer.resolve_chaining().answer  # behind its CNAMEs
    return [str(record) for record in cast("Iterable[object]", records or ())]


async def _by_udp(query: "QueryMessage", server: Server) -> "QueryMessage":
    loop = asyncio.get_running_loop()
    with socket.socket(_family(server), socket.SOCK_DGRAM) as made:
        made.setblocking(False)
        await loop.sock_connect(made, (server.address, server.port))
        while True:
            await loop.sock_sendall(made, query.to_wire())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    while (answer := _read(query, await loop.sock_recv(made, DATAGRAM))) is None:
                        pass  # somebody else's, or garbage: the true one may follow
                    return answer


async def _by_tcp(query: "QueryMessage", server: Server) -> "QueryMessage":
    wire = query.to_wire()
    reader, writer = await asyncio.open_connection(server.address, server.port)
    try:
        writer.write(len(wire).to_bytes(2) + wire)
        length = int.from_bytes(await reader.readexactly(2))
        answer = _read(query, await reader.readexactly(length))
    finally:
        writer.transport.abort()
    if answer is None:
        raise ValueError("it answers what was not asked")
    return answer


def _read(query: "QueryMessage", wire: bytes) -> "QueryMessage | None":
    """Return the answer to this question, or None for anything else."""
    from dns.exception import DNSException
    from dns.message import QueryMessage, from_wire

    try:
        answer = from_wire(wire, ignore_trailing=True)
    except DNSException:
        return None
    return answer if isinstance(answer, QueryMessage) and query.is_response(answer) else None


def _family(server: Server) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in server.address else socket.AF_INET
