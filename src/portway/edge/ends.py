"""The two ends of a visitor's connection, as everybody is told them."""

from typing import TYPE_CHECKING, NamedTuple

from portway.net.address import written

if TYPE_CHECKING:
    import asyncio


class Ends(NamedTuple):
    """Where a visitor came from and where it arrived, ``ip:port`` or ``[v6]:port``; "" when unknown.

    Usually those of the socket. Of a connection that a load balancer passed on they are what its PROXY
    header says (``edge/proxied.py``).
    """

    client: str
    server: str


def ends_of(transport: "asyncio.BaseTransport") -> Ends:
    """Return the ends of a socket."""
    info = transport.get_extra_info
    return Ends(written(info("peername")), written(info("sockname")))
