"""The first exchange of a session: Auth, from either side, and what is allowed before it.

Agent: `authenticate` waits for TLS, opens the heartbeat stream at once, as every agent does, and sends
Auth. Service: a `Gate` stands before the handler. It lets SrvInfo and one Auth through, refuses all
else, and owns the deadline of a session that does not authenticate: 15 s from the connection, TLS
included. `Session.admit`, called by the handler inside its Auth request, opens it. A session whose
Auth was refused stays for a moment, so that the agent can read why, and is then closed.
"""

import asyncio
from typing import TYPE_CHECKING, Final

from portway.errors import ConnectError, Error
from portway.session import heartbeat
from portway.wire.messages import Auth, AuthResp, decode, encode, refusal
from portway.wire.opening import StreamType
from portway.wire.profile import OFFICIAL_SERVICE, PORTWAY

if TYPE_CHECKING:
    from portway.session.session import Session

AUTH_TIMEOUT: Final = 15.0
"""Seconds from the connection in which an agent must have authenticated."""

REFUSED_LINGER: Final = 1.0
"""Seconds in which an agent may read why it was refused."""

PORTWAY_SERVICE: Final = "portway/"
"""How the server version in a portway service's answer to Auth begins: it bears our own profile."""

_BEFORE_AUTH: Final = frozenset((StreamType.AUTH, StreamType.SRV_INFO))
_FIRST: Final = refusal(Error("This session has not authenticated."))
_ONCE: Final = refusal(Error("This session has authenticated already."))


class Gate:
    """What a service lets through before, during and after Auth. Pure: times are arguments."""

    def __init__(self, now: float) -> None:
        """Start at the moment of the connection."""
        self.deadline: float | None = now + AUTH_TIMEOUT
        """When the session must be closed unless it is opened before."""
        self._asked = False

    @property
    def is_open(self) -> bool:
        """Whether the agent has been admitted."""
        return self.deadline is None

    def refuse(self, kind: int) -> bytes | None:
        """Return the answer that refuses this request, or None to let it through."""
        if kind == StreamType.AUTH:
            already, self._asked = self._asked, True
            return _ONCE if already else None
        return None if self.is_open or kind in _BEFORE_AUTH else _FIRST

    def open(self) -> None:
        """The agent has authenticated."""
        self.deadline = None

    def answered(self, kind: int, now: float) -> None:
        """Note that a request was answered: an Auth that opened nothing was refused."""
        if kind == StreamType.AUTH and self.deadline is not None:
            self.deadline = min(self.deadline, now + REFUSED_LINGER)


async def authenticate(session: "Session", auth: Auth, timeout: float = AUTH_TIMEOUT) -> AuthResp:
    """Introduce this agent; returns once the service has accepted it.

    Starts the heartbeats with the times of `auth`. Raises Error when the service refuses,
    ConnectError when TLS fails or no answer comes within `timeout` seconds, SessionClosed when the
    session ends, MessageError when the answer is unreadable. On any of them, and when cancelled, the
    session is left for the caller to close.
    """
    try:
        async with asyncio.timeout(timeout):
            await session.ready()
            extra = auth.extra
            session.start_heartbeats(
                heartbeat.clamp(extra.heartbeat_interval, heartbeat.INTERVAL),
                heartbeat.clamp(extra.heartbeat_tolerance, heartbeat.TOLERANCE),
            )
            body = await session.call(StreamType.AUTH, encode(auth))
    except TimeoutError:
        raise ConnectError("muxado", f"no answer to Auth within {timeout:g} s") from None
    answer = decode(AuthResp, body)
    if answer.error:
        raise Error.parse(answer.error)
    ours = answer.extra.version.startswith(PORTWAY_SERVICE)
    session.configure(PORTWAY if ours else OFFICIAL_SERVICE)
    return answer
