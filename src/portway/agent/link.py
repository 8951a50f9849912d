"""One session with the service, from the dial to its end, as the agent uses it.

A `Link` dials, waits for TLS, starts the heartbeats and authenticates; then it binds and unbinds. What
the service starts on its own goes to the link's owner.
"""

import asyncio
import inspect
import ssl
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

from portway.agent.checks import expect
from portway.agent.dialer import Dialer, reach
from portway.agent.discovery import Service
from portway.agent.labels import LABELED
from portway.agent.options import AgentOptions
from portway.agent.rpc import METHODS
from portway.errors import ConfigError, ConnectError, Error, PortwayError, SessionClosed
from portway.net.proxy import dial_through
from portway.net.tls import agent_context
from portway.pipe import Pipe, Sink
from portway.session import ErrorCode, Role, Session, StreamType, authenticate
from portway.wire.messages import (
    AuthResp,
    Bind,
    BindLabels,
    BindLabelsResp,
    BindResp,
    CommandResp,
    Patch,
    PatchResp,
    ProxyHeader,
    StopTunnel,
    Unbind,
    UnbindResp,
    decode,
    encode,
)

B = TypeVar("B", bound=asyncio.BufferedProtocol)

DIAL_TIMEOUT = 10.0
"""Seconds that the TCP connection to the service may take, a proxy's answer included."""
AUTH_TIMEOUT = 15.0
"""Seconds that TLS and the answer to Auth may take together."""

UNTRUSTED = (18, 19, 20, 21)
"""What OpenSSL says of a certificate whose authority is not among those that are trusted."""

RESTARTING = "the agent restarts"
"""What the service is told at the end of a session that another process of the agent will resume."""


class Owner(Protocol):
    """Whom a link tells what the service started."""

    def visitor(self, header: ProxyHeader, pipe: Pipe) -> Sink | None:
        """Take a visitor's connection; None ends it."""
        ...

    def stopped(self, order: StopTunnel) -> None:
        """The service has taken an endpoint away."""
        ...

    async def command(self, kind: int, body: bytes) -> CommandResp:
        """The service wants the agent to stop, restart or update itself."""
        ...

    def heartbeat(self, link: "Link", latency: float) -> None:
        """A heartbeat was answered after so many seconds."""
        ...


def secured(service: Service, options: AgentOptions) -> ssl.SSLContext:
    """Return the context for TLS with the service, as the application wants it. Raises ConfigError."""
    context = service.cas if isinstance(service.cas, ssl.SSLContext) else agent_context(service.cas)
    said = "connect_cas"
    if options.tls_config is not None:
        said = "what tls_config returns"
        try:
            changed = options.tls_config(context)
        except Exception as error:
            raise ConfigError(f"tls_config failed: {error}") from error
        if inspect.iscoroutine(changed):
            changed.close()
        expect(changed, ssl.SSLContext, said)
        context = context if changed is None else changed
    if context.protocol is ssl.PROTOCOL_TLS_SERVER:
        raise ConfigError(f"{said} must be a client's context, ssl.PROTOCOL_TLS_CLIENT")
    return context


def explained(service: Service, error: ConnectError) -> ConnectError:
    """Say of which service it is, and what is mostly the reason."""
    cause, hint = error.__cause__, ""
    if isinstance(cause, ssl.SSLCertVerificationError):
        if cause.verify_code in UNTRUSTED:
            hint = "; whom to trust say connect_cas, --connect-cas or PORTWAY_CONNECT_CAS"
    elif error.step == "tls":
        hint = "; is this the address for agents? Visitors have others"
    return ConnectError(error.step, f"{service}: {error}{hint}")


async def reach_service(
    service: Service, dialer: Dialer | None, factory: Callable[[], B], timeout: float = DIAL_TIMEOUT
) -> B:
    """Connect to the service, through its proxy if there is one: TLS is with the service all the same.

    Raises ConnectError, after ``timeout`` seconds at the latest. Then, and when cancelled, no socket is left
    behind.
    """
    host, port, proxy = service.host, service.port, service.proxy
    if proxy is None:
        return (await reach(host, port, factory, dialer=dialer, timeout=timeout))[1]
    dial = partial(reach, dialer=dialer)
    return (await dial_through(proxy, host, port, factory, timeout=timeout, dial=dial))[1]


class Link:
    """A connection to the service. Make it, `open` it, `close` it; `wait_closed` tells its end."""

    def __init__(self, owner: Owner) -> None:
        """Make a link that is not open yet."""
        self._owner = owner
        self._session: Session | None = None
        self.latency: float | None = None
        self.number = 0
        """Among the sessions of the same agent."""
        loop = asyncio.get_running_loop()
        self._closed: asyncio.Future[PortwayError | None] = loop.create_future()

    async def open(
        self, service: Service, options: AgentOptions, *, client_id: str = "", cookie: str = "", leg: int = 0
    ) -> AuthResp:
        """Connect and authenticate; id and cookie are those of the session to resume.

        ``leg`` is the number of this session among those of the same agent.

        Raises ConnectError for what the network, a proxy or TLS did, Error for a refusal by the service and
        ConfigError for authorities that cannot be read. In these cases, and when cancelled, nothing
        stays open.
        """
        self.number = leg
        limit = options.connect_timeout
        try:
            async with asyncio.timeout(limit):
                return await self._open(service, options, client_id, cookie, leg)
        except TimeoutError as error:
            raise ConnectError("tcp", f"{service} does not answer within {limit or 0:g} s") from error

    async def _open(
        self, service: Service, options: AgentOptions, client_id: str, cookie: str, leg: int
    ) -> AuthResp:
        session = await self._dial(service, options, secured(service, options))
        self._session = session
        try:
            return await authenticate(
                session, options.auth(service.authtoken, client_id, cookie, leg), AUTH_TIMEOUT
            )
        except SessionClosed as error:
            raise ConnectError(
                "muxado", f"{service} closed the connection: {session.cause or error}"
            ) from error
        except ConnectError as error:
            session.abort(SessionClosed("the connection was given up"))
            raise explained(service, error) from error.__cause__ or error
        except BaseException:
            session.abort(SessionClosed("the connection was given up"))
            raise

    async def _dial(self, service: Service, options: AgentOptions, context: ssl.SSLContext) -> Session:
        """Reach the service."""

        def session() -> Session:
            return Session(Role.AGENT, self, context, server_hostname=service.name)

        timeout = max(DIAL_TIMEOUT, options.connect_timeout or 0.0)
        return await reach_service(service, options.dialer, session, timeout)

    @property
    def closed(self) -> bool:
        """Whether the session has ended."""
        return self._closed.done()

    async def wait_closed(self) -> PortwayError | None:
        """Wait for the session's end; return its cause. Cancelling leaves it as it is."""
        await asyncio.wait({self._closed})
        return self._closed.result()

    async def bind(self, request: Bind | BindLabels) -> BindResp:
        """Bind an endpoint. Raises Error when it is refused, SessionClosed when the session ends."""
        if isinstance(request, BindLabels):
            return await self._bind_labels(request)
        answer = decode(BindResp, await self._live().call(StreamType.BIND, encode(request)))
        if answer.error:
            raise Error.parse(answer.error)
        return answer

    async def _bind_labels(self, request: BindLabels) -> BindResp:
        answer = decode(BindLabelsResp, await self._live().call(StreamType.BIND_LABELS, encode(request)))
        if answer.error:
            raise Error.parse(answer.error)
        return BindResp(id=answer.id, proto=LABELED)

    async def unbind(self, bind_id: str) -> None:
        """Give up an endpoint. Raises Error if the service objects; a session that ends is no fault."""
        try:
            body = await self._live().call(StreamType.UNBIND, encode(Unbind(id=bind_id)))
        except SessionClosed:
            return
        answer = decode(UnbindResp, body)
        if answer.error:
            raise Error.parse(answer.error)

    async def patch(self, change: Patch) -> None:
        """Change an endpoint in place. Raises Error when it is refused, SessionClosed."""
        answer = decode(PatchResp, await self._live().call(StreamType.PATCH, encode(change)))
        if answer.error:
            raise Error.parse(answer.error)

    async def drain(self, timeout: float) -> None:
        """Take no more visitors, and wait until those running have ended, or so many seconds."""
        if self._session is not None:
            await self._session.drain(timeout)

    def leave(self, *, resumed: bool = False) -> None:
        """Begin to end the session properly, GOAWAY last. Idempotent.

        ``resumed``: the agent will come back, so the service is not told that this is the end.
        """
        if self._session is not None:
            if resumed:
                self._session.close(ErrorCode.REMOTE_GONE_AWAY, RESTARTING)
            else:
                self._session.close()

    async def close(self, *, resumed: bool = False) -> None:
        """`leave`, and wait until the socket is gone too. Cancelled, it ends by itself."""
        self.leave(resumed=resumed)
        if self._session is not None:
            await self._session.wait_closed()

    def abort(self) -> None:
        """Cut the session now."""
        if self._session is not None:
            self._session.abort(SessionClosed("the session was given up"))

    def _live(self) -> Session:
        if self._session is None or self.closed:
            raise SessionClosed("the session has ended")
        return self._session

    # -- what the session tells

    def on_ready(self, session: Session) -> None:
        """TLS stands; `open` goes on by itself."""

    async def on_request(self, session: Session, kind: int, body: bytes) -> bytes | None:
        """Answer a request of the service."""
        if kind == StreamType.STOP_TUNNEL:
            self._owner.stopped(decode(StopTunnel, body))
        if kind in METHODS:
            return encode(await self._owner.command(kind, body))
        return None  # unknown: ended without an answer

    def on_proxy(self, session: Session, header: ProxyHeader, stream: Pipe) -> Sink | None:
        """A visitor's connection."""
        return self._owner.visitor(header, stream)

    def on_heartbeat(self, session: Session, latency: float) -> None:
        """A heartbeat of ours was answered."""
        self.latency = latency
        self._owner.heartbeat(self, latency)

    def on_closed(self, session: Session, cause: PortwayError | None) -> None:
        """The session is over."""
        if not self._closed.done():
            self._closed.set_result(cause)
