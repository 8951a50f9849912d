"""Where stock OpenSSH arrives: the door, and all SSH sessions of one process.

This module is imported only where ``--listen-ssh`` is given, for asyncssh takes half a second to load.
"""

import asyncio
import logging
from typing import TYPE_CHECKING

from asyncssh import import_private_key, load_keypairs

from portway.edge.command import lost_contact
from portway.edge.ssh_connection import options_of
from portway.edge.ssh_session import SshSession

if TYPE_CHECKING:
    from asyncssh import SSHServerConnectionOptions

    from portway.edge.gateway import Gateway
    from portway.edge.ports import Revoked
    from portway.edge.ssh_limits import SshSetup
    from portway.edge.ssh_policy import Web
    from portway.edge.ssh_wire import SshWire
    from portway.net.tasks import Tasks


class SshGateway:
    """All SSH sessions of one process."""

    def __init__(
        self, agents: "Gateway", setup: "SshSetup", tasks: "Tasks", web: "Web | None" = None
    ) -> None:
        """Stand beside the agents' gateway: names, strangers and events are the same.

        ``web`` fetches what clients name by URL; without it they are refused.
        """
        self.endpoints = agents.endpoints
        self.config = agents.config
        self.view = agents.control.view
        self.admission = agents.admission
        self.events = agents.events
        self.wall = agents.wall
        self.random = agents.random
        self.keys = setup.keys
        self.limits = setup.limits
        self.tasks = tasks
        self.web = web
        self.sessions: dict[str, SshSession] = {}
        """Those that are in, by identifier."""
        self.closing = False
        """Set when the service stops: what ends now is kept, and may come back after the restart."""
        self._all: set[SshSession] = set()
        self._arriving: SshSession | None = None
        logging.getLogger("asyncssh").setLevel(logging.WARNING)
        self._options = options_of(
            load_keypairs([import_private_key(setup.host_key)])[0],
            self._owner,
            login=self.config.limits.auth_deadline,
            interval=self.limits.alive_interval,
            misses=self.limits.alive_misses,
        )
        agents.control.on_revoked(self._revoked)

    def __repr__(self) -> str:
        """Show how many sessions there are."""
        return f"<SshGateway sessions={len(self.sessions)} connections={len(self._all)}>"

    def accept(self) -> "SshWire":
        """Make the protocol of a new connection."""
        return SshSession(self).wire

    def options(self, session: SshSession) -> "SSHServerConnectionOptions":
        """Return asyncssh's options for a connection that is made now, and whose owner is this session."""
        self._arriving = session
        return self._options

    def _owner(self) -> SshSession:
        session, self._arriving = self._arriving, None
        assert session is not None
        return session

    def remember(self, session: SshSession) -> None:
        """A connection has come in."""
        self._all.add(session)

    def forget(self, session: SshSession) -> None:
        """A connection is over."""
        self._all.discard(session)
        self.sessions.pop(session.id, None)

    async def command(self, session_id: str, what: str) -> None:
        """Stop a session. Raises Error 810, 1121 or 1122."""
        session = self.sessions.get(session_id)
        if session is None:
            raise lost_contact("its session is over")
        await session.command(what)

    async def drain(self) -> None:
        """Let what is under way finish for a while, and open nothing more."""
        await asyncio.gather(*(each.drain(self.config.limits.drain) for each in list(self._all)))

    async def close(self) -> None:
        """Say goodbye to every client and wait until their connections are gone. Their names are kept."""
        self.closing = True
        sessions = list(self._all)
        for each in sessions:
            each.close("The service is shutting down.")
        await asyncio.gather(*(each.wire.wait_closed() for each in sessions))

    def _revoked(self, revoked: "Revoked") -> None:
        for each in list(self.sessions.values()):
            each.revoke(revoked)
