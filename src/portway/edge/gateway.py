"""Where agents arrive: the door, and all sessions of one process.

::

    accept ── admission ── TLS ── SrvInfo? ── Auth ─┬─ refused: told why, closed
                                                    └─ admitted: Bind, Unbind, Patch … ── end

The gateway counts who comes, knows who is there, and ends sessions when their credential does or the
service stops. What happens in each of them is in ``agent_session.py``.
"""

import asyncio
import ssl
from typing import TYPE_CHECKING

from portway.edge import command
from portway.edge.admission import Admission
from portway.edge.agent_session import AgentSession, LegKey
from portway.edge.labelled import Tunnels
from portway.errors import SessionClosed
from portway.net.address import split_address, written
from portway.session import ErrorCode, Role, Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from portway.edge.endpoints import Endpoints, Randomness
    from portway.edge.ports import Control, EventSink, Revoked
    from portway.edge.seal import Seal


class Gateway:
    """All agents' sessions of one process."""

    def __init__(
        self,
        endpoints: "Endpoints",
        control: "Control",
        seal: "Seal",
        events: "EventSink",
        context: "Callable[[], ssl.SSLContext]",
        *,
        wall: "Callable[[], float]",
        random: "Randomness",
    ) -> None:
        """Join the parts. ``context`` gives the TLS context that agents are shown now."""
        self.endpoints = endpoints
        self.config = endpoints.config
        self.control = control
        self.seal = seal
        self.events = events
        self.wall = wall
        self.random = random
        self.admission = Admission(self.config.limits)
        self.tunnels = Tunnels(self.config, control, events, wall=wall, random=random)
        """Labelled tunnels, which serve edges."""
        self.legs: dict[LegKey, AgentSession] = {}
        self._context = context
        self._all: set[AgentSession] = set()
        self.closing = False
        """Set when the service stops: what ends now is kept, and comes back after the restart."""
        control.on_revoked(self._revoked)

    def __repr__(self) -> str:
        """Show how many sessions there are."""
        return f"<Gateway sessions={len(self.legs)} {self.admission!r}>"

    def accept(self) -> Session:
        """Make the protocol of a new connection."""
        handler = AgentSession(self)
        session = Arrival(handler, self._context())
        if session.gate is not None and self.config.limits.auth_deadline:
            session.gate.deadline = session.started_at + self.config.limits.auth_deadline
        return session

    def remember(self, handler: AgentSession) -> None:
        """A connection has come in."""
        self._all.add(handler)

    def forget(self, handler: AgentSession) -> None:
        """A session is over."""
        self._all.discard(handler)
        if handler.key is not None and self.legs.get(handler.key) is handler:
            del self.legs[handler.key]

    async def command(self, session_id: str, what: str, version: str = "") -> None:
        """Have an agent stop, restart or update itself. Raises Error, see ``command.py``."""
        agent = next((each for each in self.legs.values() if each.id == session_id), None)
        if agent is None:
            raise command.lost_contact("its session is over")
        await agent.command(what, version)

    async def drain(self) -> None:
        """Let running streams finish for a while, and open none. Listen no more before you drain."""
        sessions = [each.session for each in self._all if each.session is not None]
        await asyncio.gather(*(session.drain(self.config.limits.drain) for session in sessions))

    async def close(self) -> None:
        """Say GOAWAY to every agent and wait until their connections are gone. Their names are kept."""
        self.closing = True
        sessions = [each.session for each in self._all if each.session is not None]
        for session in sessions:
            session.close(ErrorCode.NO_ERROR, "the service is shutting down")
        await asyncio.gather(*(session.wait_closed() for session in sessions))

    def _revoked(self, revoked: "Revoked") -> None:
        """End the sessions of a credential or an account that is no longer valid."""
        for each in list(self.legs.values()):
            each.revoke(revoked)


class Arrival(Session):
    """A session that is counted at the door, before it costs a handshake."""

    def __init__(self, handler: AgentSession, context: ssl.SSLContext) -> None:
        """Make the service's end."""
        super().__init__(Role.SERVICE, handler, context)
        self._door = handler

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Come in, or be cut: then nothing is said, as an overloaded machine should not talk much."""
        peer = split_address(written(transport.get_extra_info("peername")))[0]
        server = written(transport.get_extra_info("sockname"))
        if not self._door.enter(self, peer, server):
            self.abort(SessionClosed("too many connections that have not authenticated"))
        super().connection_made(transport)
