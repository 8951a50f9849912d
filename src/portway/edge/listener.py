"""Doors, and what all visitors' connections of one process share.

The listeners themselves are `net.listen`'s. A service listens before it can serve, so that agents which
try again in quick succession find it; who comes in between waits in a :class:`Door`. The :class:`Edge`
is what visitors are served with, and :class:`IdleWatch` ends those that went quiet.
"""

import asyncio
import time
from typing import TYPE_CHECKING, Final, Protocol, cast

from portway.edge.wishes import Wishes
from portway.net.leg import feed, hand_over

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from portway.edge.ip_policies import Restriction
    from portway.edge.ports import EdgeConfig, EventSink
    from portway.edge.registry import Registry
    from portway.edge.tracer import Tracer
    from portway.net.tasks import Tasks

SWEEPS: Final = 20
"""Looks at each visitor within the idle limit: it is cut at most a twentieth late."""


class Door:
    """A listener's factory that is opened later: whoever comes before waits."""

    def __init__(self) -> None:
        """Be closed."""
        self._factory: Callable[[], asyncio.BaseProtocol] | None = None
        self._early: set[Early] = set()

    def __repr__(self) -> str:
        """Show whether it is open, and how many wait."""
        return "<Door open>" if self._factory is not None else f"<Door {len(self._early)} waiting>"

    def __call__(self) -> asyncio.BaseProtocol:
        """Make the protocol of a new connection."""
        return self._factory() if self._factory is not None else Early(self._early)

    def open(self, factory: "Callable[[], asyncio.BaseProtocol]") -> None:
        """Let in those who wait, and all who come."""
        self._factory = factory
        for early in list(self._early):
            early.enter(factory())


class Early(asyncio.Protocol):
    """A connection that came before its door was open."""

    def __init__(self, waiting: "set[Early]") -> None:
        """Wait among the others."""
        self._waiting = waiting
        self._transport: asyncio.Transport | None = None
        self._came = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait."""
        self._transport = cast("asyncio.Transport", transport)
        self._waiting.add(self)

    def data_received(self, data: bytes) -> None:
        """Keep the first piece and read no more. (uvloop forgets a pause before the first read.)"""
        assert self._transport is not None
        self._came += data
        self._transport.pause_reading()

    def eof_received(self) -> bool:
        """It would not wait."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._waiting.discard(self)

    def enter(self, protocol: asyncio.BaseProtocol) -> None:
        """Go on as what this connection is to be."""
        assert self._transport is not None
        self._waiting.discard(self)
        if self._transport.is_closing():
            return
        hand_over(self._transport, protocol)
        feed(self._transport, bytes(self._came))
        if not self._transport.is_closing():
            self._transport.resume_reading()


class Moving(Protocol):
    """A visitor's connection, as the watch sees it."""

    bytes_in: int
    bytes_out: int

    def abort(self, code: int = 6) -> None:
        """Cut it."""
        ...


class IdleWatch:
    """Cuts visitors that moved no byte in either direction for too long.

    One sweep over all of them instead of a timer each: nothing is done while bytes move.
    """

    def __init__(self, limit: float) -> None:
        """Watch with this limit in seconds; 0 never cuts."""
        self.limit = limit
        self._seen: dict[Moving, tuple[int, float]] = {}

    def __len__(self) -> int:
        """Count the visitors that are watched."""
        return len(self._seen)

    def add(self, visitor: Moving, now: float) -> None:
        """Watch a visitor from now on."""
        if self.limit:
            self._seen[visitor] = (visitor.bytes_in + visitor.bytes_out, now)

    def discard(self, visitor: Moving) -> None:
        """Watch it no more."""
        self._seen.pop(visitor, None)

    def sweep(self, now: float) -> list[Moving]:
        """Look at all; cut and return those that have been quiet for the whole limit."""
        quiet: list[Moving] = []
        for visitor, (moved, since) in self._seen.items():
            moved_now = visitor.bytes_in + visitor.bytes_out
            if moved_now != moved:
                self._seen[visitor] = (moved_now, now)
            elif now - since >= self.limit:
                quiet.append(visitor)
        for visitor in quiet:
            self.discard(visitor)
            visitor.abort()
        return quiet

    async def run(self) -> None:
        """Sweep until cancelled."""
        clock = asyncio.get_running_loop().time
        while self.limit:
            await asyncio.sleep(self.limit / SWEEPS)
            self.sweep(clock())


class Edge:
    """What a visitor's connection may use: names, events, configuration, clocks."""

    def __init__(
        self,
        config: "EdgeConfig",
        registry: "Registry",
        events: "EventSink",
        tasks: "Tasks",
        *,
        wall: "Callable[[], float]" = time.time,
    ) -> None:
        """Join the parts. Needs a running loop, whose clock is ``now``."""
        self.config = config
        self.registry = registry
        self.events = events
        self.wishes = Wishes(every=config.access_events)
        self.tasks = tasks
        self.now = asyncio.get_running_loop().time
        self.wall = wall
        self.idle = IdleWatch(config.limits.idle)
        self.draining = False
        """The service ends: each HTTP connection that still comes serves one request."""
        self.tracer: Tracer | None = None
        """What gives requests their place in traces, where they are traced."""
        self.restrictions: Mapping[str, Restriction] = {}
        """Account → whom it lets in; it changes while it is used."""
        self._logged: dict[str, float] = {}

    def may_log(self, what: str, interval: float) -> bool:
        """Tell whether it may be logged again that visitors did something: once in so many seconds."""
        now = self.now()
        if now - self._logged.get(what, float("-inf")) < interval:
            return False
        self._logged[what] = now
        return True

    def __repr__(self) -> str:
        """Show what is online and who is watched."""
        return f"<Edge {self.registry!r} raw visitors={len(self.idle)}>"
