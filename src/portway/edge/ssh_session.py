"""One SSH client: its way in, its command and its ``-R``, its endpoint, its end.

::

    arrive ── key ──┬─ refused: told by the disconnect
                    └─ in ── command and -R ── bind ── online ── end

What is wrong after the key is told in the session, with a code and exit status 1. A connection has one
session and one endpoint. It stands behind the same ports as an agent's: ``Endpoints.bind`` judges, claims and
registers its bind, and a member calls :meth:`SshSession.open_proxy` for each visitor.

How it ends decides what becomes of its name, as for agents: a client that said goodbye, or was told to go,
frees it; for one that was lost it waits, unless it was drawn: nobody could ask for that one again.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Final

from asyncssh import ChannelOpenError, SSHListener, SSHServer
from asyncssh.constants import (
    DISC_BY_APPLICATION,
    DISC_NO_MORE_AUTH_METHODS_AVAILABLE,
    OPEN_ADMINISTRATIVELY_PROHIBITED,
)

from portway.edge.command import lost_contact
from portway.edge.permits import Owner
from portway.edge.session_record import SessionRecord
from portway.edge.ssh_command import (
    Asked,
    late_command,
    late_forward,
    no_command,
    read_command,
    usage,
)
from portway.edge.ssh_connection import Connection, SessionChannel
from portway.edge.ssh_login import Login
from portway.edge.ssh_policy import request_of
from portway.edge.ssh_request import Forward
from portway.edge.ssh_shell import Shell
from portway.edge.ssh_terminal import Channel, Terminal
from portway.edge.ssh_visitors import Visitors
from portway.edge.ssh_wire import SshWire
from portway.errors import Error, SessionClosed
from portway.model.event import AgentSessionStarted, AgentSessionStopped
from portway.model.ids import new_id
from portway.net.address import split_address, written

if TYPE_CHECKING:
    from asyncssh import SSHKey, SSHServerConnection

    from portway.edge.admission import Place
    from portway.edge.bound import Bound
    from portway.edge.ports import Revoked
    from portway.edge.ssh_gateway import SshGateway
    from portway.model.entities import Grant
    from portway.pipe import Pipe, Sink
    from portway.wire.messages import ProxyHeader

TRANSPORT: Final = "ssh"

LINGER: Final = 1.0
"""Seconds in which a client may end by itself after its session was ended."""


class SshSession(SSHServer):
    """One client's connection. It is asyncssh's owner of it, and the carrier of its endpoint's visitors."""

    def __init__(self, gateway: "SshGateway") -> None:
        """Wait for the connection."""
        self.gateway = gateway
        self.wire = SshWire(self._arrived)
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._record = SessionRecord(gateway.config)
        self._place: Place | None = None
        self._login: Login | None = None
        self._proved = ""
        self._grant: Grant | None = None
        self._owner: Owner | None = None
        self._terminal: Terminal | None = None
        self._asked: Asked | None = None
        self._forward: Forward | None = None
        self.port = 0
        """The port that ``-R`` is told: the public one where it asked for any."""
        self._bound: Bound | None = None
        self._fault: Error | None = None
        self._told = asyncio.Event()
        """The command is known, or there will be none."""
        self._deadline: asyncio.TimerHandle | None = None
        self._visitors = Visitors(self.wire, gateway.limits.channels, gateway.tasks, self._show)
        self._has_session = False
        self._ended = False

    def __repr__(self) -> str:
        """Show who it is and what it serves."""
        what = self._bound.url if self._bound is not None else "nothing"
        who = f"{self.id or 'stranger'} from {self._record.address}"
        return f"<SshSession {who} {what} pipes={len(self._visitors)}>"

    @property
    def id(self) -> str:
        """Its identifier; "" until the client is in."""
        return self._record.session_id

    # -- what members ask of a session

    @property
    def closed(self) -> bool:
        """True once it is over: it will never serve again."""
        return self._ended or self.wire.over

    def open_proxy(self, header: "ProxyHeader", sink: "Sink", first: bytes = b"", /) -> "Pipe":
        """Open a channel for a visitor. Raises StreamLimit or SessionClosed."""
        if self.closed or self._connection is None or self._forward is None:
            raise SessionClosed("the SSH client is gone")
        door = self._forward.host, self.port
        return self._visitors.open(self._connection, door, header.client_addr, sink, first)

    def _show(self) -> None:
        if self._terminal is not None:
            self._terminal.changed()

    # -- ends that the service decides

    def revoke(self, revoked: "Revoked") -> None:
        """End the session if it stands on what was revoked; its name is free at once."""
        grant = self._grant
        if grant is not None and (
            grant.account_id == revoked.account_id or grant.credential_id == revoked.credential_id
        ):
            self._fail(Error("This SSH key is no longer registered.", 300))

    async def command(self, what: str) -> None:
        """Stop, if the API says so. Raises Error 1121 or 1122 for all else, 810 when it is over."""
        if what == "restart":
            raise Error("An SSH client cannot be restarted remotely.", 1122)
        if what == "update":
            raise Error("An SSH client cannot be updated remotely.", 1121)
        if self.closed:
            raise lost_contact("its session is over")
        self.quit("\nThe session was stopped remotely.\n")

    async def drain(self, timeout: float) -> None:
        """Serve nobody new and let what is under way finish, at most so many seconds."""
        await self._visitors.drain(timeout)

    def close(self, reason: str) -> None:
        """Say goodbye. The name waits: who is in charge of all sessions says so."""
        if self._terminal is not None:
            self._terminal.say(f"\n{reason}\n")
            self._terminal.exit(1)
        self._disconnect(DISC_BY_APPLICATION, reason)

    # -- arriving, and the way in: what asyncssh tells

    def _arrived(self, wire: SshWire) -> asyncio.Protocol | None:
        gateway = self.gateway
        record = self._record
        record.address = split_address(written(wire.get_extra_info("peername")))[0]
        record.server = split_address(written(wire.get_extra_info("sockname")))[0]
        record.started_at = gateway.wall()
        if gateway.closing:
            return None
        self._place = gateway.admission.admit(record.address, wire.abort)
        if self._place is None:
            return None
        gateway.remember(self)
        limits = gateway.config.limits
        self._login = Login(gateway.keys, gateway.admission, limits, gateway.limits, record.address)
        self._connection = Connection(self._loop, gateway.options(self), self._forward_asked, self._proves)
        return self._connection

    def connection_made(self, conn: "SSHServerConnection") -> None:
        """asyncssh speaks from now on."""

    async def begin_auth(self, username: str) -> bool:
        """A client has said its user: it is to show a key."""
        assert self._login is not None
        await self._login.begin(username)
        return True

    def public_key_auth_supported(self) -> bool:
        """Keys, and nothing else, let in."""
        return True

    async def validate_public_key(self, username: str, key: "SSHKey") -> bool:
        """Judge a key that is offered; its signature is asyncssh's to check."""
        assert self._login is not None
        return await self._login.knows(key.get_fingerprint(), self._refuse)

    def kbdint_auth_supported(self) -> bool:
        """Be asked when a client has no more keys; see ``ssh_login.py``."""
        return True

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        """Tell a client that has no more keys why it is refused."""
        assert self._login is not None
        self._refuse(self._login.why_not())
        return False

    def auth_completed(self) -> None:
        """The client is in."""
        assert self._login is not None
        gateway = self.gateway
        self.wire.trusted = True
        self._no_stranger()
        self._record.started_at = gateway.wall()
        self._deadline = self._loop.call_later(gateway.limits.request, self._late)
        judged = self._login.judgement(self._proved)
        if isinstance(judged, Error):
            self._fault = self._login.error = judged
            self._tell_started(judged)
            return
        if gateway.view.find(judged.credential_id) is None:  # a note came between the key and its proof
            self._fault = Error("This SSH key is no longer registered.", 1102)
            self._tell_started(self._fault, judged)
            return
        self._grant = judged
        self._fault = self._login.error
        self._record.session_id = new_id("ts", gateway.random.octets, self._record.started_at)
        self._owner = Owner(
            judged.account_id, self.id, self.id, judged.credential_id, judged.acl, stop=self._stop
        )
        gateway.sessions[self.id] = self
        self._tell_started()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over: give the name up or keep it, and tell."""
        self._ended = True
        self._told.set()
        if self._deadline is not None:
            self._deadline.cancel()
        if self._place is not None and self._login is not None:
            self._login.failed(self._loop.time())
        self._no_stranger()
        lost = self.gateway.closing or exc is not None
        reason = "the service stopped" if self.gateway.closing else str(exc or "closed by the client")
        self._unbind(reason, keep=lost)
        self.gateway.forget(self)
        self._tell_stopped(str(exc) if exc is not None else "")

    # -- the session's channel and the forwarding

    def session_requested(self) -> Any:
        """Open the one session of a connection."""
        assert self._connection is not None
        if self._has_session:
            text = "Several sessions over one connection are not supported (ERR_NGROK_1104)"
            raise ChannelOpenError(OPEN_ADMINISTRATIVELY_PROHIBITED, text)
        self._has_session = True
        return SessionChannel(self._connection, self._loop), Shell(self)

    def commanded(self, channel: Channel, command: str | None) -> None:
        """The client has said what it wants, and reads from now on."""
        terminal = self._terminal = Terminal(channel)
        if self._fault is not None:
            self._end(self._fault)
            return
        try:
            if command is None:
                raise no_command()
            asked = read_command(command)
        except Error as error:
            self._fail(error)
            return
        if asked.help:
            terminal.say(usage(asked.proto) + "\n")
            self.quit()
            return
        self._asked = asked
        self._told.set()
        if self._forward is None and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = self._loop.call_later(self.gateway.limits.request, self._late)

    def quit(self, text: str = "") -> None:
        """End in order; the name is free at once."""
        self._unbind("closed by the client", keep=False)
        if self._terminal is not None:
            self._terminal.say(text or "\n")
            self._terminal.exit(0)
        self._finish()

    def left(self) -> None:
        """The session's channel is closed: without it the connection has no purpose."""
        self._terminal = None
        self._finish()

    def _forward_asked(self, forward: Forward) -> None:
        """Hear of a ``-R`` when it arrives."""
        if self._forward is None:
            self._forward = forward
        elif self._fault is None:
            self._fail(
                Error("One connection has one endpoint; give -R once, and connect again for more.", 1105)
            )

    async def server_requested(self, listen_host: str, listen_port: int) -> "SSHListener | bool":
        """Bind what ``-R`` and the command ask for together; the client is told the port."""
        await self._told.wait()
        if self._fault is not None or self.closed or self._bound is not None:
            return False
        try:
            return await self._bind()
        except Error as error:
            self._fail(error)
        except SessionClosed:
            pass
        return False

    async def _bind(self) -> SSHListener | bool:
        """Bring the endpoint online. Raises Error."""
        assert self._asked is not None
        assert self._forward is not None
        assert self._owner is not None
        assert self._grant is not None
        gateway = self.gateway
        bind = await request_of(self._asked, self._forward, gateway.config, gateway.web)
        bound, _answer = await gateway.endpoints.bind(self._owner, self, bind)
        if self._fault is not None or self.closed:
            gateway.endpoints.unbind(bound, str(self._fault or "the client went"))
            return False
        self._bound = bound
        self.port = self._forward.port or bound.url.port
        if self._terminal is not None:
            self._terminal.greet(self._grant, gateway.config.region, str(bound.url), bound.member.counters)
        return _Listening(self)

    def cancelled(self) -> None:
        """The client has taken its ``-R`` back."""
        if not self.wire.over:  # else it is asyncssh that clears up, and the end is told after this
            self._unbind("closed by the client", keep=False)

    # -- inside

    def _proves(self, fingerprint: str) -> None:
        self._proved = fingerprint

    def _no_stranger(self) -> None:
        place, self._place = self._place, None
        if place is not None:
            self.gateway.admission.leave(place)

    def _refuse(self, error: Error) -> None:
        """Tell a client that is not in why it will not be: one line, which OpenSSH shows."""
        self._tell_started(error)
        self._disconnect(DISC_NO_MORE_AUTH_METHODS_AVAILABLE, f"{error.message} {error.code}")

    def _late(self) -> None:
        """What must come has not come."""
        patience = f"{self.gateway.limits.request:g} s"
        if self._fault is not None:
            self._end(self._fault)
        elif self._asked is None:
            self._fault = late_command(patience)
            self._end(self._fault)
        elif self._forward is None:
            self._fail(late_forward(patience, self._asked.proto))

    def _stop(self, bind_id: str, error: Error) -> None:
        """End the bind, which is not allowed any more."""
        if self._bound is not None and self._bound.id == bind_id:
            self._fail(error)

    def _fail(self, error: Error) -> None:
        """End for this reason: at once if the client has a session to read it in, else when it has one."""
        if self._fault is None:
            self._fault = error
            self._unbind(error.message, keep=False)
            self._told.set()
            if self._terminal is not None:
                self._end(error)

    def _end(self, error: Error) -> None:
        if self._terminal is not None:
            self._terminal.fail(error)
            self._finish()
        else:
            self._disconnect(DISC_BY_APPLICATION, f"{error.message} {error.code}")

    def _finish(self) -> None:
        """Let the client close the connection, as it does when its session ends; do so if it does not."""
        self._told.set()
        if self._deadline is not None:
            self._deadline.cancel()
        if not self.closed:
            self._deadline = self._loop.call_later(
                LINGER, self._disconnect, DISC_BY_APPLICATION, "The session has ended"
            )

    def _disconnect(self, code: int, text: str) -> None:
        if self._connection is not None and not self.closed:
            self._connection.disconnect(code, text)

    def _unbind(self, reason: str, *, keep: bool) -> None:
        bound, self._bound = self._bound, None
        if bound is not None:
            self.gateway.endpoints.unbind(bound, reason, keep=keep and not bound.drawn)

    def _tell_started(self, error: Error | None = None, known: "Grant | None" = None) -> None:
        """Tell that the client is in or refused; ``known``: of this account, whatever the error says."""
        self.gateway.events.emit(
            AgentSessionStarted(
                **self._record.facts(known or error or self._grant),
                user_agent=self._program,
                transport=TRANSPORT,
                error=error.message if error is not None else "",
                error_code=error.code if error is not None else "",
            )
        )

    def _tell_stopped(self, error: str) -> None:
        if self._grant is None:
            return
        self.gateway.events.emit(
            AgentSessionStopped(
                **self._record.facts(self._grant),
                user_agent=self._program,
                transport=TRANSPORT,
                stopped_at=self.gateway.wall(),
                error=str(self._fault.message) if self._fault is not None else error,
            )
        )

    @property
    def _program(self) -> str:
        """What the client says it is, such as SSH-2.0-OpenSSH_9.2p1."""
        connection = self._connection
        return "" if connection is None else str(connection.get_extra_info("client_version", ""))


class _Listening(SSHListener):
    """What asyncssh keeps of a ``-R`` that was granted."""

    def __init__(self, session: SshSession) -> None:
        super().__init__()
        self._session = session

    def get_port(self) -> int:
        return self._session.port

    def close(self) -> None:
        self._session.cancelled()

    async def wait_closed(self) -> None:
        """Nothing is left to wait for."""
