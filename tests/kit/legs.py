"""Two legs joined by a socket, and what lies on their outer sides."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from portway.net.dial import dial
from portway.net.leg import Leg
from portway.net.listen import listen
from portway.net.memory import memory_pair
from portway.net.tls import TlsPump
from portway.net.tls_leg import TlsLeg
from tests.kit.certs import Certs
from tests.kit.pipes import Bell, End, Ends, Recorder, spin_until, turns


class LegWatch:
    """Counts `on_closed`."""

    def __init__(self, bell: Bell) -> None:
        """Make one for any number of legs."""
        self.bell = bell
        self.closed: list[Leg] = []

    def __call__(self, leg: Leg) -> None:
        """Be the `on_closed` of a leg."""
        assert leg not in self.closed, "on_closed was called twice"
        self.closed.append(leg)
        self.bell.ring()


@asynccontextmanager
async def socket_between(near: Leg, far: Leg) -> AsyncGenerator[None]:
    """Connect two legs by TCP: `far` accepts, `near` dials."""
    accepted = asyncio.Event()

    def accept() -> Leg:
        accepted.set()
        return far

    listener = await listen("127.0.0.1", 0, accept)
    try:
        await dial("127.0.0.1", listener.port, lambda: near)
        await accepted.wait()
        await spin_until(lambda: far.transport is not None)
        yield
    finally:
        listener.close()


@asynccontextmanager
async def joined_legs(near: Leg, far: Leg, bell: Bell, *, late: bool = False) -> AsyncGenerator[Ends]:
    """Outer end A - memory - near leg - socket - far leg - memory - outer end B.

    `late` joins the far leg to its Pipe only when the socket is connected, as a visitor's is.
    """
    outer_a, inner_a = memory_pair()
    outer_b, inner_b = memory_pair()
    a, b = End(outer_a, Recorder(bell)), End(outer_b, Recorder(bell))
    inner_a.attach(near)
    inner_b.attach(far)
    outer_a.attach(a.sink)
    outer_b.attach(b.sink)
    near.join(inner_a)
    if not late:
        far.join(inner_b)
    async with socket_between(near, far):
        if late:
            far.join(inner_b)
        try:
            yield Ends(a, b, bell)
        finally:
            near.abort()
            far.abort()
            await settled(near, far)


async def settled(*legs: Leg) -> None:
    """Wait until legs have closed their sockets."""
    await spin_until(lambda: all(leg.closed for leg in legs))
    await turns(3)  # the loops close a socket one turn after they have told


Closed = Callable[[Leg], None]


def plain_legs(on_closed: Closed | None = None) -> tuple[Leg, Leg]:
    """Two plain legs."""
    return Leg(on_closed=on_closed), Leg(on_closed=on_closed)


def tls_legs(certs: Certs, on_closed: Closed | None = None) -> tuple[TlsLeg, TlsLeg]:
    """A TLS client and a TLS server."""
    return (
        TlsLeg(TlsPump(certs.client, server_side=False, server_hostname="localhost"), on_closed=on_closed),
        TlsLeg(TlsPump(certs.server, server_side=True), on_closed=on_closed),
    )
