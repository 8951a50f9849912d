"""Connections that a load balancer passed on: the PROXY header in front of their bytes is read here.

Where ``--proxy-from`` names addresses, connections from these to the ports of http, https and tcp must
begin with a PROXY header, version 1 or 2 (``codec/proxy_protocol.py``). The visitor that it names is who
visits from then on: for endpoints, policies, events, X-Forwarded-For and the PROXY headers of upstreams.
A header in which the balancer speaks for itself (LOCAL, UNKNOWN), as in its health checks, changes nothing.

A named address without a header, or with a broken one, is refused without a byte: nobody may be served
under the balancer's own address. From any other address the same bytes are a visitor's like all others.
"""

import asyncio
import logging
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, cast

from portway.codec.proxy_protocol import ProxyProtocolError, decode
from portway.edge.ends import Ends, ends_of
from portway.net.address import split_address
from portway.net.buffers import buffers
from portway.net.leg import hand_over

if TYPE_CHECKING:
    from collections.abc import Callable

    from portway.codec.proxy_protocol import ProxyProtocol
    from portway.edge.listener import Edge
    from portway.edge.ports import Network

    Make = Callable[[Ends | None], asyncio.BaseProtocol]

_log = logging.getLogger(__name__)

LOG_INTERVAL: Final = 60.0
"""Seconds between two log lines about balancers that send no header."""


def arrivals(edge: "Edge", make: "Make") -> "Callable[[], asyncio.BaseProtocol]":
    """Return the factory of a visitors' listener.

    ``make`` gives who serves a new connection: it is told the ends where they are not those of the socket.
    """
    if not edge.config.proxy_from:
        return lambda: make(None)
    return lambda: Proxied(edge, make)


def is_named(address: str, networks: "tuple[Network, ...]") -> bool:
    """Tell whether an ``ip:port`` lies in one of the networks; IPv4 within IPv6 is IPv4."""
    try:
        ip = ip_address(split_address(address)[0].partition("%")[0])
    except ValueError:
        return False
    if ip.version == 6 and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return any(ip in network for network in networks)


class Proxied(asyncio.BufferedProtocol):
    """A new connection, until it is known who visits."""

    __slots__ = ("_buffer", "_came", "_clock", "_edge", "_make", "_peer", "_transport")

    def __init__(self, edge: "Edge", make: "Make") -> None:
        """Wait for the connection."""
        self._edge = edge
        self._make = make
        self._came = bytearray()
        self._buffer = buffers().raw
        self._peer = ""
        self._transport: asyncio.Transport | None = None
        self._clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Go on at once with whoever needs no header; give the others a moment for theirs."""
        self._transport = cast("asyncio.Transport", transport)
        self._peer = ends_of(transport).client
        if not is_named(self._peer, self._edge.config.proxy_from):
            hand_over(self._transport, self._make(None))
        elif self._edge.config.limits.proxy_header:
            loop = asyncio.get_running_loop()
            self._clock = loop.call_later(
                self._edge.config.limits.proxy_header, self._refuse, "it did not come in time"
            )

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the loop's buffer: what came is copied at once."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Collect the header; go on when it is complete."""
        self._came += self._buffer[:nbytes]
        try:
            header = decode(bytes(self._came))
        except ProxyProtocolError as error:
            self._refuse(str(error))
            return
        if header is not None:
            self._go_on(header)

    def eof_received(self) -> bool:
        """Without a whole header there is nobody to serve."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_clock()

    def _go_on(self, header: "ProxyProtocol") -> None:
        assert self._transport is not None
        self._stop_clock()
        told = header.source is not None and header.destination is not None
        ends = Ends(header.source or "", header.destination or "") if told else None
        hand_over(self._transport, self._make(ends), bytes(self._came[header.size :]))

    def _refuse(self, why: str) -> None:
        self._stop_clock()
        assert self._transport is not None
        self._transport.abort()
        if self._edge.may_log("proxy header", LOG_INTERVAL):
            _log.warning(
                "%s is named by --proxy-from, but a connection of it has no PROXY header: %s", self._peer, why
            )

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
