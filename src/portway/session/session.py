"""One live session, the same class for both ends: what its streams mean.

The lower half, `Driver`, moves bytes between a socket and a `wire.Connection`. This half opens
streams (heartbeat, requests, visitors), takes those of the peer by their type, and tells its owner, the
agent or the service's gateway, through a `SessionHandler`. How a stream of each kind behaves is in
`rpc` and `heartbeat`, what is allowed before Auth in `handshake`.

A fault in a Sink, in a request or in the handler costs that stream, never the session. When the session
ends, whatever the reason, every Sink hears `on_reset(14)` at once, running requests are cancelled, and
the handler hears `on_closed` once, as its last call, on the next turn of the loop.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from portway.errors import Error, LocalProtocolError, MessageError, PortwayError, SessionClosed
from portway.net.tasks import Tasks
from portway.pipe import Sink
from portway.session import heartbeat
from portway.session.driver import Driver
from portway.session.handshake import Gate
from portway.session.heartbeat import Echo, Heartbeat
from portway.session.rpc import CALL_TIMEOUT, NOTICE_LINGER, Answer, Closed, Notice, Reply
from portway.wire.frames import ErrorCode, Role
from portway.wire.messages import Auth, ProxyHeader, decode, encode, refusal
from portway.wire.opening import MAX_BODY, Opening, StreamType, pack_opening
from portway.wire.profile import Profile, profile_for
from portway.wire.stream import Stream

DRAIN_LOOK: Final = 0.05
"""Seconds between two looks at what still runs while draining."""

FIRST_LIMIT: Final = 32_768
"""Most bytes that may ride along with the header of a new visitor's stream."""

REQUEST_LIMIT: Final = MAX_BODY - 4
"""Longest request that fits one frame toward every peer, in bytes."""

_OURS: Final = {
    Role.AGENT: frozenset((StreamType.STOP, StreamType.RESTART, StreamType.UPDATE, StreamType.STOP_TUNNEL)),
    Role.SERVICE: frozenset(
        (
            StreamType.AUTH,
            StreamType.BIND,
            StreamType.UNBIND,
            StreamType.BIND_LABELS,
            StreamType.SRV_INFO,
            StreamType.PATCH,
        )
    ),
}
"""The requests that each end answers."""

# To reach a member through its enumeration costs as much as a call: here, for each visitor or read.
_PROXY: Final = StreamType.PROXY
_AGENT, _SERVICE = Role

_log = logging.getLogger("portway.session")


class SessionHandler(Protocol):
    """What a session asks of its owner: the agent, or the service's gateway.

    Whatever one of these raises is logged and contained, except as `on_request` says.
    """

    def on_ready(self, session: "Session", /) -> None:
        """TLS stands; frames may be sent."""
        ...

    def on_request(self, session: "Session", kind: int, body: bytes, /) -> Awaitable[bytes | None]:
        """Answer a request: the bytes are sent, then FIN; None: FIN alone.

        Raising Error or MessageError refuses it with that text; any other fault with a generic one.
        Cancelled when the session ends, so what was begun must be undone on CancelledError.
        """
        ...

    def on_proxy(self, session: "Session", header: ProxyHeader, stream: Stream, /) -> Sink | None:
        """Take a visitor's stream (agent side). None: it is ended without a byte."""
        ...

    def on_heartbeat(self, session: "Session", latency: float, /) -> None:
        """The peer has answered a probe after `latency` seconds."""
        ...

    def on_closed(self, session: "Session", cause: PortwayError | None, /) -> None:
        """The session is over; the last call. None: we closed it without a fault."""
        ...


REQUESTS: Final = 1024
"""Requests of the peer that are answered at a time; more are reset with 9."""

ABANDONED: Final = 16_384
"""Requests that a peer may give up or have refused, beyond those that it let be answered."""


class Session(Driver):
    """One session with its peer. Made by a factory for `net.dial` or `net.listen`.

    Use it only on the loop's thread. It is its connection's Handler: `on_open`, `on_output`,
    `on_closed` and `on_fault` are called by the connection and by nobody else.
    """

    def __init__(
        self,
        role: Role,
        handler: SessionHandler,
        context: ssl.SSLContext,
        *,
        server_hostname: str | None = None,
    ) -> None:
        """Make one end. `server_hostname` (agent) is the name or address to verify.

        Raises ConnectError("tls") when that cannot be a server's name. Needs a running loop.
        """
        super().__init__(role, self, context, server_hostname)
        self._handler = handler
        self._told: asyncio.Future[None] = self._loop.create_future()
        self._tasks = Tasks()
        self._requests: set[asyncio.Task[None]] = set()
        self._notices: set[asyncio.TimerHandle] = set()
        self._abandoned = 0
        self.heartbeat: Heartbeat | None = None
        """Our own heartbeat stream, once started."""
        self.gate = Gate(self.started_at) if role is Role.SERVICE else None
        """What stands before the handler of a service."""

    # -- what its owner does

    def configure(self, profile: Profile) -> None:
        """Treat the peer as one of this kind from now on."""
        self.connection.configure(profile)

    def admit(self, auth: Auth) -> None:
        """Service: accept the agent. Sets its profile, opens the gate, starts heartbeats.

        To be called inside the Auth request, before its answer. Raises SessionClosed.
        """
        self.configure(profile_for(auth.extra.user_agent))
        self.start_heartbeats(
            heartbeat.clamp(auth.extra.heartbeat_interval, heartbeat.INTERVAL),
            heartbeat.clamp(auth.extra.heartbeat_tolerance, heartbeat.TOLERANCE),
        )

    def start_heartbeats(self, interval: float, tolerance: float) -> None:
        """Open our heartbeat stream and watch the peer from now on. Times are seconds.

        A service does so for an agent that it has accepted: it opens the gate. Raises SessionClosed.
        """
        if self.heartbeat is not None:
            raise LocalProtocolError("the heartbeats of this session have been started already")
        beat = Heartbeat(interval, tolerance, self._loop.time, self._on_latency)
        beat.begin(self.connection.open_stream(pack_opening(StreamType.HEARTBEAT), beat, urgent=True))
        self.heartbeat = beat
        if self.gate is not None:
            self.gate.open()
        self._arm()

    async def call(self, kind: int, body: bytes, *, timeout: float | None = None) -> bytes:
        """Ask the peer and return its answer, one JSON value.

        `timeout` in seconds; None means 10 for a service and none for an agent. Raises TimeoutError,
        StreamReset, SessionClosed, StreamLimit, or MessageError when the answer is unreadable. On any
        of them, and when cancelled, the stream is cut.
        """
        if len(body) > REQUEST_LIMIT:
            raise MessageError(f"a request of {len(body)} bytes is too long: {REQUEST_LIMIT} are allowed")
        if timeout is None and self.role is Role.SERVICE:
            timeout = CALL_TIMEOUT
        reply = Reply(self._loop)
        stream = self.connection.open_stream(pack_opening(kind, body), reply, urgent=True)
        reply.attach(stream)
        try:
            async with asyncio.timeout(timeout):
                answer = await reply.answer
        except BaseException:
            reply.answer.cancel()
            stream.abort()
            raise
        stream.end()
        if self.role is Role.SERVICE:
            stream.abort()
        return answer

    def notify(self, kind: int, body: bytes) -> None:
        """Tell the peer something that has no answer (StopTunnel). Raises SessionClosed, StreamLimit."""
        notice = Notice()
        notice.attach(self.connection.open_stream(pack_opening(kind, body), notice, urgent=True))
        handle = self._loop.call_later(NOTICE_LINGER, self._expire, notice)
        self._notices = {h for h in self._notices if h.when() > self._loop.time()}
        self._notices.add(handle)

    def open_proxy(self, header: ProxyHeader, sink: Sink, first: bytes = b"") -> Stream:
        """Open a visitor's stream, with the visitor's first bytes in the same frame.

        `first` is at most FIRST_LIMIT bytes. Raises StreamLimit when the session bears no more or
        drains, SessionClosed when it is over.
        """
        if len(first) > FIRST_LIMIT:
            raise LocalProtocolError(f"{len(first)} bytes cannot ride along with a header")
        opening = pack_opening(_PROXY, encode(header)) + first
        return self.connection.open_stream(opening, sink)

    # -- ends

    async def drain(self, timeout: float) -> None:
        """Open and take no more visitors, and wait until those running have ended, or `timeout` s.

        The session stays open: close it afterwards. Returns at once when it ends meanwhile.
        """
        self.connection.drain()
        deadline = self._loop.time() + timeout
        while not self.closed and self.connection.proxied and (left := deadline - self._loop.time()) > 0:
            await asyncio.wait((self._gone,), timeout=min(DRAIN_LOOK, left))

    async def wait_closed(self) -> None:
        """Wait until the socket is gone, no request runs any more and the handler has heard."""
        await super().wait_closed()
        await self._tasks.close()
        await asyncio.shield(self._told)

    # -- hooks of the driver

    def _secured(self) -> None:
        self._tell(self._handler.on_ready, self)

    def _heard(self, now: float) -> None:
        if self.heartbeat is not None and self.role is _SERVICE:
            self.heartbeat.heard_at = now

    def _deadline(self) -> float | None:
        times = [self.connection.deadline()]
        if self.heartbeat is not None:
            times.append(self.heartbeat.deadline())
        if self.gate is not None:
            times.append(self.gate.deadline)
        return min((when for when in times if when is not None), default=None)

    def _elapsed(self, now: float) -> None:
        gate, beat = self.gate, self.heartbeat
        if gate is not None and gate.deadline is not None and now >= gate.deadline:
            self.close(0, "not authenticated", SessionClosed("the agent did not authenticate"))
        elif beat is not None and beat.on_deadline(now):
            text = f"no heartbeat for {beat.interval + beat.tolerance:g} s"
            self.close(0, text, SessionClosed(text))

    def _over(self) -> None:
        for handle in self._notices:
            handle.cancel()
        self._notices.clear()
        self.heartbeat = None
        for task in self._requests:
            task.cancel()
        self._loop.call_soon(self._say_closed)

    def _say_closed(self) -> None:
        self._tell(self._handler.on_closed, self, self.cause)
        self._told.set_result(None)

    def _expire(self, notice: Notice) -> None:
        if not self.closed:
            notice.expire()

    # -- streams of the peer

    def on_open(self, stream: Stream, opening: Opening) -> Sink | None:
        """Take a stream of the peer by its type. An unknown one is ended; the session goes on."""
        if opening.type == _PROXY and self.role is _AGENT:
            return self._take_visitor(stream, opening)
        if opening.type == StreamType.HEARTBEAT:
            return Echo(stream)
        if opening.type in _OURS[self.role]:
            return self._take_request(stream, opening)
        return Closed(stream)

    def on_fault(self, stream: Stream, error: BaseException) -> None:
        """A Sink has failed: its stream is cut, and the session goes on."""
        _log.error("session with %s: %r failed", self.peername, stream, exc_info=error)

    def _take_visitor(self, stream: Stream, opening: Opening) -> Sink:
        try:
            sink = self._handler.on_proxy(self, _header(opening), stream)
        except MessageError as error:
            _log.warning("session with %s: a visitor was dropped: %s", self.peername, error)
            sink = None
        return sink if sink is not None else Closed(stream)

    def _take_request(self, stream: Stream, opening: Opening) -> Sink:
        if opening.error and opening.type == StreamType.STOP_TUNNEL:
            return Closed(stream)
        refused = refusal(MessageError(opening.error)) if opening.error else None
        if refused is None and self.gate is not None:
            refused = self.gate.refuse(opening.type)
        answer = Answer(stream, self._abandon)
        if refused is not None:
            answer.send(refused)
            return answer
        if len(self._requests) >= REQUESTS:
            stream.abort(ErrorCode.ACCEPT_QUEUE_FULL)
            self._abandon()
            return answer
        name = f"request {opening.type} from {self.peername}"
        task = self._tasks.start(self._answer(answer, opening), name=name)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)
        return answer

    async def _answer(self, answer: Answer, opening: Opening) -> None:
        """Have the handler answer one request, and refuse it when that fails."""
        if answer.abandoned and opening.type == StreamType.BIND:
            return  # the agent would never hear where it is
        try:
            body = await self._handler.on_request(self, opening.type, opening.body)
        except (Error, MessageError) as error:
            body = refusal(error)
        except Exception:  # noqa: BLE001  the containment point of requests: a fault costs one answer
            if not self.closed:  # else it has failed because of that
                _log.exception("session with %s: request %s failed", self.peername, opening.type)
            body = refusal(Error("An internal error occurred."))
        if self.closed:
            return
        answer.send(None if opening.type == StreamType.STOP_TUNNEL else body)
        if self._abandoned and not answer.abandoned:
            self._abandoned -= 1
        if self.gate is not None:
            self.gate.answered(opening.type, self._loop.time())
            self._arm()

    def _abandon(self) -> None:
        """A request was given up or refused. Work that costs the peer two frames must have an end."""
        self._abandoned += 1
        if self._abandoned > ABANDONED and not self.closed:
            self.close(ErrorCode.ENHANCE_YOUR_CALM, "too many requests were given up")

    def _on_latency(self, latency: float) -> None:
        if self.heartbeat is not None:
            self.connection.near = self.heartbeat.near
        self._tell(self._handler.on_heartbeat, self, latency)
        self._arm()

    def _tell(self, what: Callable[..., None], *args: object) -> None:
        """Call the handler; its faults stay here."""
        try:
            what(*args)
        except Exception:  # noqa: BLE001  the containment point of the handler's notifications
            _log.exception("session with %s: the handler failed", self.peername)

    def __repr__(self) -> str:
        """Show role, peer and state."""
        state = "closed" if self.closed else "open" if self._pump.secure else "handshake"
        return f"<Session {self.role.value} {self.peername or '-'} {state} {self.connection!r}>"


def _header(opening: Opening) -> ProxyHeader:
    if opening.error:
        raise MessageError(opening.error)
    return decode(ProxyHeader, opening.body)
