"""One agent's connection: Auth, then binds, until its end. The handler of its session.

The session layer refuses everything before Auth except SrvInfo, and closes what does not authenticate
in time; here stands what an agent may have. How a session ends decides what becomes of its names: an
agent that said goodbye (GOAWAY 0), or whose credential was revoked, frees them; from any other end it
may come back, and they wait for it.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from portway.edge import command
from portway.edge.permits import Owner
from portway.edge.session_record import SessionRecord
from portway.errors import Error, MessageError, PortwayError, RefusedSession, SessionClosed
from portway.model.agent_version import NO_DAY, Judgement, judge
from portway.model.event import AgentSessionStarted, AgentSessionStopped, Deprecated
from portway.model.ids import new_id
from portway.model.plan import Plan
from portway.net.address import split_address
from portway.session import ErrorCode, Session, StreamType
from portway.wire.messages import (
    PROTOCOL_VERSIONS,
    Auth,
    AuthResp,
    AuthRespExtra,
    Bind,
    BindLabels,
    ConnectAddress,
    Deprecation,
    Patch,
    PatchResp,
    ProxyHeader,
    SrvInfoResp,
    StopTunnel,
    Unbind,
    UnbindResp,
    decode,
    encode,
)

if TYPE_CHECKING:
    from portway.edge.admission import Place
    from portway.edge.bound import Bound
    from portway.edge.gateway import Gateway
    from portway.edge.labelled import Tunnel
    from portway.edge.ports import Limits, Revoked
    from portway.model.entities import Grant
    from portway.pipe import Sink
    from portway.session import Stream

LEGS: Final = 16
"""Connections that one agent may have at a time."""

CONTROL_RETRY: Final = 0.2
"""Seconds until a control plane that was away is asked again."""

DISMISS_LINGER: Final = 0.25
"""Seconds in which an agent may take note of what it is told before its session is closed."""

_NANOSECOND: Final = 1e-9
_WRONG_TOKEN: Final = frozenset({"ERR_NGROK_105", "ERR_NGROK_106", "ERR_NGROK_107", "ERR_NGROK_4018"})

_AWAY: Final = "ERR_NGROK_128"

LegKey = tuple[str, str, int]
"""Account, ClientId and leg number: what a new connection of the same agent replaces."""


class AgentSession:
    """One agent's connection. It is its session's handler."""

    def __init__(self, gateway: "Gateway") -> None:
        """Wait for the connection."""
        self.gateway = gateway
        self.session: Session | None = None
        self.key: LegKey | None = None
        self._record = SessionRecord(gateway.config)
        self._place: Place | None = None
        self._grant: Grant | None = None
        self._owner: Owner | None = None
        self._auth = Auth()
        self._bounds: dict[str, Bound] = {}
        self._tunnels: dict[str, Tunnel] = {}
        self._binding = 0
        self._dismissed = ""
        self._age = Judgement()

    def __repr__(self) -> str:
        """Show who it is and what it serves."""
        who = f"{self.id or 'stranger'} from {self._record.address}"
        return f"<AgentSession {who} endpoints={len(self._bounds)}>"

    @property
    def id(self) -> str:
        """Its identifier; "" until the agent is admitted."""
        return self._record.session_id

    def enter(self, session: Session, address: str, server: str) -> bool:
        """Take the connection, from this IP address, unless there are too many strangers."""
        self.session = session
        self._record.address, self._record.server = address, split_address(server)[0]
        self.gateway.remember(self)
        if not self.gateway.closing:
            self._place = self.gateway.admission.admit(address, self._make_room)
        return self._place is not None

    # -- what the session tells

    def on_ready(self, session: Session, /) -> None:
        """TLS stands; the agent speaks first."""

    def on_proxy(self, session: Session, header: ProxyHeader, stream: "Stream", /) -> "Sink | None":
        """Nothing: visitors come to a service, not from an agent."""
        return None

    def on_heartbeat(self, session: Session, latency: float, /) -> None:
        """The agent is alive; the session counts that itself."""

    async def on_request(self, session: Session, kind: int, body: bytes, /) -> bytes | None:
        """Answer one request. Raises Error: the session sends its text."""
        if kind == StreamType.SRV_INFO:
            return encode(SrvInfoResp(region=self.gateway.config.region))
        if kind == StreamType.AUTH:
            return encode(await self._authenticate(session, body))
        if kind == StreamType.BIND:
            return await self._bind(session, body)
        if kind == StreamType.UNBIND:
            return self._unbind(decode(Unbind, body))
        if kind == StreamType.PATCH:
            return await self._patch(decode(Patch, body))
        if kind == StreamType.BIND_LABELS:
            return await self._bind_labels(session, body)
        raise Error(f"The request type {kind} is unknown.", 800)

    def on_closed(self, session: Session, cause: PortwayError | None, /) -> None:
        """Give up or keep what the session had, and tell that it is over."""
        self._no_stranger()
        self.gateway.forget(self)
        goodbye = session.connection.peer_code == ErrorCode.NO_ERROR and not self.gateway.closing
        reason = self._dismissed or ("closed by the agent" if goodbye else str(cause or "service stopped"))
        self._drop_binds(reason, keep=not goodbye)
        if self._grant is None:
            return
        extra = self._auth.extra
        self.gateway.events.emit(
            AgentSessionStopped(
                **self._record.facts(self._grant),
                user_agent=extra.user_agent,
                metadata=extra.metadata,
                os=extra.os,
                arch=extra.arch,
                stopped_at=self.gateway.wall(),
                error="" if goodbye and not self._dismissed else reason,
            )
        )

    async def command(self, what: str, version: str = "") -> None:
        """Have the agent stop, restart or update itself. Raises Error, see ``command.py``."""
        if self.session is None or self.session.closed:
            raise command.lost_contact("its session is over")
        await command.send(self.session, self._auth.extra, what, version)

    # -- ends that the service decides

    def revoke(self, revoked: "Revoked") -> None:
        """End the session if it stands on what was revoked; its names are free at once."""
        grant = self._grant
        if grant is None or self.session is None or self.session.closed:
            return
        if grant.account_id != revoked.account_id and grant.credential_id != revoked.credential_id:
            return
        self._dismissed = "The authtoken of this agent was revoked."
        for bind_id in (*self._bounds, *self._tunnels):
            self._tell_stopped(bind_id, Error(self._dismissed, 300))
        self._drop_binds(self._dismissed, keep=False)
        self._owner = None  # nothing is granted any more
        # An agent that hears GOAWAY with it drops what it has not handled yet.
        asyncio.get_running_loop().call_later(DISMISS_LINGER, self._close)

    def _stop(self, bind_id: str, error: Error) -> None:
        """End one bind, whose name is free at once, and tell the agent why."""
        bound, tunnel = self._bounds.pop(bind_id, None), self._tunnels.pop(bind_id, None)
        if bound is not None:
            self._tell_stopped(bind_id, error)
            self.gateway.endpoints.unbind(bound, error.message)
        if tunnel is not None:
            self._tell_stopped(bind_id, error)
            self.gateway.tunnels.unbind(tunnel, error.message)

    def _tell_stopped(self, bind_id: str, error: Error) -> None:
        stop = StopTunnel(id=bind_id, message=error.message, error_code=error.code)
        if self.session is not None:
            with contextlib.suppress(PortwayError):  # it bears no more streams: it will miss the endpoint
                self.session.notify(StreamType.STOP_TUNNEL, encode(stop))

    def replace(self) -> None:
        """The same agent has connected again: this connection is dead, whatever it still says."""
        self._dismissed = "replaced by a new connection of the same agent"
        self._drop_binds(self._dismissed, keep=True)
        self._close()

    def _close(self) -> None:
        if self.session is not None:
            self.session.close(ErrorCode.NO_ERROR, self._dismissed, SessionClosed(self._dismissed))

    def _drop_binds(self, reason: str, *, keep: bool) -> None:
        for bound in self._bounds.values():
            self.gateway.endpoints.unbind(bound, reason, keep=keep)
        self._bounds.clear()
        for tunnel in self._tunnels.values():
            self.gateway.tunnels.unbind(tunnel, reason)
        self._tunnels.clear()

    def _no_stranger(self) -> None:
        place, self._place = self._place, None
        if place is not None:
            self.gateway.admission.leave(place)

    def _make_room(self) -> None:
        if self.session is not None:
            self.session.abort(SessionClosed("another newcomer got its place before it authenticated"))

    # -- Auth

    async def _authenticate(self, session: Session, body: bytes) -> AuthResp:
        """Admit the agent, or raise Error: its code says whether trying again can help."""
        gateway = self.gateway
        self._record.started_at = gateway.wall()
        loop = asyncio.get_running_loop()
        try:
            auth = self._auth = _read_auth(body, gateway.config.limits)
            await asyncio.sleep(gateway.admission.delay(self._record.address, loop.time()))
            grant = await self._ask_control(session, auth.extra.authtoken)
            self._check_version(grant)
            client_id = self._client_id(auth, grant.account_id)
            self._check_number(grant, client_id)
        except Error as error:
            if error.code in _WRONG_TOKEN:
                gateway.admission.wrong_token(self._record.address, loop.time())
            self._tell_started(error)
            raise
        self._grant = grant
        self._record.session_id = new_id("ts", gateway.random.octets, gateway.wall())
        self._owner = Owner(
            grant.account_id,
            client_id,
            self.id,
            grant.credential_id,
            grant.acl,
            grant.plan,
            stop=self._stop,
        )
        self.key = (grant.account_id, client_id, auth.extra.leg_number)
        old = gateway.legs.get(self.key)
        if old is not None:
            old.replace()
        gateway.legs[self.key] = self
        self._no_stranger()
        session.admit(auth)
        self._tell_started()
        return self._welcome(auth, grant, client_id)

    async def _ask_control(self, session: Session, token: str) -> "Grant":
        """Have the token judged. A control plane that is only starting is waited for.

        Refusing would be correct too, but some agents would be gone for two minutes then.
        """
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self.gateway.config.limits.control_patience
        while True:
            try:
                return await self.gateway.control.authenticate(token, self._record.address)
            except Error as error:
                if error.code != _AWAY or loop.time() >= give_up:
                    raise
            if session.gate is not None and session.gate.deadline is not None:
                session.gate.deadline = max(session.gate.deadline, give_up)
            await asyncio.sleep(CONTROL_RETRY)

    def _check_version(self, grant: "Grant") -> None:
        """Refuse an agent that is too old, and note of what one is to be warned. Raises Error 119, 121."""
        demands = self.gateway.config.min_agent_version
        age = self._age = judge(demands, self._auth.extra.user_agent, self._record.started_at)
        if age.refused is not None:
            raise RefusedSession(
                age.text, 121 if age.readable else 119, grant.account_id, grant.credential_id
            )

    def _check_number(self, grant: "Grant", client_id: str) -> None:
        """Refuse one agent more than the plan has; resuming or adding a leg adds none. Raises Error 108."""
        limit = self.gateway.config.plans.get(grant.plan, Plan()).agents
        if limit is None:
            return
        online = {client for account, client, _ in self.gateway.legs if account == grant.account_id}
        if client_id not in online and len(online) >= limit:
            raise RefusedSession(
                f"As many agents as your plan allows ({limit}) are connected.",
                108,
                grant.account_id,
                grant.credential_id,
            )

    def _client_id(self, auth: Auth, account_id: str) -> str:
        """Resume the session that the cookie proves, else begin a new one: that is kinder than 110."""
        if auth.client_id and self.gateway.seal.knows_cookie(auth.extra.cookie, account_id, auth.client_id):
            return auth.client_id
        return self.gateway.random.octets(16).hex()

    def _welcome(self, auth: Auth, grant: "Grant", client_id: str) -> AuthResp:
        config = self.gateway.config
        version = next(version for version in PROTOCOL_VERSIONS if version in auth.version)
        return AuthResp(
            version=version,
            client_id=client_id,
            extra=AuthRespExtra(
                version=config.version,
                region=config.region,
                cookie=self.gateway.seal.cookie(grant.account_id, client_id),
                account_name=grant.account_name,
                plan_name=grant.plan,
                deprecation_warning=_deprecation(self._age),
                connect_addresses=tuple(
                    ConnectAddress(region=config.region, server_addr=each)
                    for each in config.connect_addresses
                ),
                agent_session_id=self.id,
            ),
        )

    def _tell_started(self, error: Error | None = None) -> None:
        extra = self._auth.extra
        self.gateway.events.emit(
            AgentSessionStarted(
                **self._record.facts(error or self._grant),
                user_agent=extra.user_agent,
                agent_version=extra.version,
                metadata=extra.metadata,
                description=extra.description,
                os=extra.os,
                arch=extra.arch,
                deprecated=_deprecated(self._age),
                error=error.message if error is not None else "",
                error_code=error.code if error is not None else "",
            )
        )

    # -- binds

    async def _bind(self, session: Session, body: bytes) -> bytes:
        """Bring an endpoint online. Cancelled or refused: nothing is left of it."""
        try:
            bind = decode(Bind, body)
        except MessageError as error:
            raise Error(f"The bind cannot be understood: {error}", 301) from error
        owner = self._admitted()
        if bind.id not in self._bounds:
            self._check_room()
        self._binding += 1
        try:
            bound, answer = await self.gateway.endpoints.bind(owner, session, bind)
        finally:
            self._binding -= 1
        if self._dismissed:
            self.gateway.endpoints.unbind(bound, self._dismissed)
            raise Error(self._dismissed, 300)
        old = self._bounds.get(bound.id)
        if old is not None:  # the new one serves already, so the name stays
            self.gateway.endpoints.unbind(old, "bound again", keep=True)
        self._bounds[bound.id] = bound
        return encode(answer)

    async def _bind_labels(self, session: Session, body: bytes) -> bytes:
        """Bring a labelled tunnel online. Cancelled or refused: nothing is left of it."""
        try:
            asked = decode(BindLabels, body)
        except MessageError as error:
            raise Error(f"The bind cannot be understood: {error}", 301) from error
        owner = self._admitted()
        self._check_room()
        self._binding += 1
        try:
            tunnel, answer = await self.gateway.tunnels.bind(owner, session, asked)
        finally:
            self._binding -= 1
        if self._dismissed:
            self.gateway.tunnels.unbind(tunnel, self._dismissed)
            raise Error(self._dismissed, 300)
        self._tunnels[tunnel.id] = tunnel
        return encode(answer)

    def _check_room(self) -> None:
        """Make sure that the session may have one more. Raises Error 324."""
        limit = self.gateway.config.limits.endpoints_per_session
        if len(self._bounds) + len(self._tunnels) + self._binding >= limit:
            raise Error(f"This session has {limit} endpoints already, which is the most it may have.", 324)

    def _unbind(self, request: Unbind) -> bytes:
        """Take an endpoint off. An unknown id is harmless: some agents ask three times."""
        bound, tunnel = self._bounds.pop(request.id, None), self._tunnels.pop(request.id, None)
        if bound is not None:
            self.gateway.endpoints.unbind(bound, "closed by the agent")
        if tunnel is not None:
            self.gateway.tunnels.unbind(tunnel, "closed by the agent")
        return encode(UnbindResp())

    async def _patch(self, request: Patch) -> bytes:
        bound = next((each for each in self._bounds.values() if each.tunnel_id == request.tunnel_id), None)
        if bound is None:
            raise Error(f"No endpoint of this session has the tunnel id {request.tunnel_id!r}.", 333)
        await self.gateway.endpoints.patch(bound, request)
        return encode(PatchResp())

    def _admitted(self) -> Owner:
        if self._owner is None:
            if self._dismissed:
                raise Error(self._dismissed, 300)
            raise Error("This session has not authenticated.", 4018)
        return self._owner


def _deprecation(age: Judgement) -> Deprecation | None:
    """Make the warning that goes with the answer to Auth, if there is one."""
    coming = age.coming
    return coming and Deprecation(next_min=coming.version, next_date=coming.day, message=age.text)


def _deprecated(age: Judgement) -> Deprecated | None:
    """Say the same for the event."""
    coming = age.coming
    if coming is None:
        return None
    day = "" if coming.day == NO_DAY else coming.day
    return Deprecated(upcoming=coming.version, day=day, message=age.text)


def _read_auth(body: bytes, limits: "Limits") -> Auth:
    """Read and judge Auth. Raises Error 109, 124, 811, 9024, 100, 111 or 112."""
    try:
        auth = decode(Auth, body)
    except MessageError as error:
        raise Error(f"The authentication request cannot be understood: {error}", 109) from error
    extra = auth.extra
    if len(extra.user_agent) > limits.user_agent or not _well_formed(extra.user_agent):
        raise Error(f"The user agent {extra.user_agent[:200]!r} is malformed.", 124)
    if not set(PROTOCOL_VERSIONS) & set(auth.version):
        raise Error(f"None of the protocol versions {auth.version!r} is spoken here.", 811)
    if not 0 <= extra.leg_number < LEGS:
        raise Error(f"The leg number {extra.leg_number} is not allowed; at most {LEGS} legs are.", 9024)
    if len(extra.metadata.encode()) > limits.metadata:
        raise Error(f"The metadata of the session is longer than {limits.metadata} bytes.", 100)
    for name, value, least, code in (
        ("interval", extra.heartbeat_interval, limits.heartbeat_interval_min, 111),
        ("tolerance", extra.heartbeat_tolerance, limits.heartbeat_tolerance_min, 112),
    ):
        if value and value * _NANOSECOND < least:
            raise Error(f"The heartbeat {name} is below the minimum of {least:g} s.", code)
    return auth


def _well_formed(user_agent: str) -> bool:
    """Tell whether it is printable text whose comments, in parentheses, begin and end (RFC 9110 §5.6.5)."""
    depth = 0
    for character in user_agent:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return False
    return depth == 0 and user_agent.isprintable()
