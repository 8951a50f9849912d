"""What is online here, told to the controller: its answers about live things come from this.

The directory hears the events of sessions and endpoints on their way to the log, and keeps what they
add up to. Nothing is queued for the controller: it is remembered *which* things have changed, and what
is told is how each of them stands when its turn comes. So a burst costs one message, a controller
that is slow hears less often, and one that is away costs nothing. One that has just started is told to
forget everything and then everything there is.

Messages are bounded, in things and in bytes, and the next one is sent when the controller has taken
the last: a ping, which a channel answers in its order, says so.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from portway.errors import Error
from portway.model import event as events
from portway.model.ids import made_at
from portway.model.live import LiveEndpoint, LiveSession
from portway.server.channel import PING, Channel, arguments

if TYPE_CHECKING:
    from portway.edge.ports import EventSink

NOTE_THINGS: Final = 500
"""Things that one message tells of."""

NOTE_BYTES: Final = 1 << 20
"""Bytes beyond which a message is full."""

COMMAND: Final = "command"
"""The request with which the controller has an agent stop, restart or update itself."""

_TRANSPORTS: Final = {"muxado": "ngrok/v2"}
"""What the API calls a transport where events call it otherwise."""

Commands = Callable[[str, str, str], Awaitable[None]]
"""Carries out a command: session, what, version. Raises Error."""


class Order(msgspec.Struct):
    """What an agent is to do."""

    session_id: str
    what: str
    version: str = ""


@dataclass(slots=True)
class _Served:
    """An endpoint as one session serves it: how many binds it has there, the newest of them."""

    binds: int
    endpoint: LiveEndpoint


class Directory:
    """All that is online on this data plane. It is the event sink of the gateway and of the endpoints."""

    def __init__(self, log: "EventSink") -> None:
        """Pass every event on to the log."""
        self._log = log
        self._commands: Commands | None = None
        self._sessions: dict[str, LiveSession] = {}
        self._endpoints: dict[str, dict[str, _Served]] = {}
        self._changed: dict[str, None] = {}
        self._bell = asyncio.Event()
        self._listener: Channel | None = None

    def __repr__(self) -> str:
        """Show how much is online and how much of it the controller does not know yet."""
        return (
            f"<Directory sessions={len(self._sessions)} endpoints={len(self._endpoints)} "
            f"untold={len(self._changed)}>"
        )

    # What the edge tells.

    def emit(self, event: object) -> None:
        """Take an event in."""
        self._log.emit(event)
        match event:
            case events.AgentSessionStarted(error="") if event.session_id:
                self._session(event)
            case events.AgentSessionStopped():
                self._sessions.pop(event.session_id, None)
                self._touch(event.session_id)
            case events.EndpointOnline():
                self._online(event)
            case events.EndpointUpdated():
                self._updated(event)
            case events.EndpointOffline():
                self._offline(event)
            case _:
                pass

    def _session(self, event: events.AgentSessionStarted) -> None:
        self._sessions[event.session_id] = LiveSession(
            id=event.session_id,
            account_id=event.account_id,
            credential_id=event.credential_id,
            agent_version=event.agent_version,
            user_agent=event.user_agent,
            ip=event.agent_ip,
            metadata=event.metadata,
            description=event.description,
            os=event.os,
            arch=event.arch,
            region=event.region,
            transport=_TRANSPORTS.get(event.transport, event.transport),
            started_at=event.started_at,
        )
        self._touch(event.session_id)

    def _online(self, event: events.EndpointOnline) -> None:
        served = self._endpoints.setdefault(event.endpoint_id, {})
        before = served.pop(event.session_id, None)  # the newest bind stands last
        made = _made(event)
        updated = max((each.endpoint.updated_at for each in served.values()), default=made)
        served[event.session_id] = _Served(
            1 if before is None else before.binds + 1,
            LiveEndpoint(
                id=event.endpoint_id,
                account_id=event.account_id,
                session_id=event.session_id,
                url=event.url,
                binding=event.binding,
                name=event.name,
                description=event.description,
                metadata=event.metadata,
                region=event.region,
                forwards_to=event.forwards_to,
                upstream_protocol=event.upstream_protocol,
                pooling_enabled=event.pooling_enabled,
                traffic_policy=event.traffic_policy,
                labels=event.labels,
                created_at=made,
                updated_at=updated if before is None else before.endpoint.updated_at,
            ),
        )
        self._touch(event.endpoint_id)

    def _updated(self, event: events.EndpointUpdated) -> None:
        served = self._endpoints.get(event.endpoint_id, {}).get(event.session_id)
        if served is None:
            return
        policy = served.endpoint.traffic_policy if event.traffic_policy is None else event.traffic_policy
        served.endpoint = replace(
            served.endpoint,
            name=event.name,
            description=event.description,
            metadata=event.metadata,
            traffic_policy=policy,
            pooling_enabled=event.pooling_enabled,
            updated_at=event.updated_at,
        )
        self._touch(event.endpoint_id)

    def _offline(self, event: events.EndpointOffline) -> None:
        served = self._endpoints.get(event.endpoint_id, {})
        binds = served.get(event.session_id)
        if binds is None:
            return
        binds.binds -= 1
        if not binds.binds:
            del served[event.session_id]
        if not served:
            del self._endpoints[event.endpoint_id]
        self._touch(event.endpoint_id)

    def _touch(self, thing: str) -> None:
        """Remember that something has changed, if there is somebody to tell."""
        if self._listener is not None:
            self._changed[thing] = None
            self._bell.set()

    # What the controller is told.

    async def tell(self, channel: Channel) -> None:
        """Tell this controller everything, then every change.

        To be cancelled when its channel is lost; returns by itself when something cannot be told.
        """
        self._changed = dict.fromkeys((*self._sessions, *self._endpoints))
        self._listener, reset = channel, True
        self._bell.set()
        try:
            while True:
                await self._bell.wait()
                await asyncio.sleep(0)  # what else happens in this turn of the loop goes with it
                channel.note("live", self._next_note(reset=reset))
                reset = False
                await channel.call(PING, {}, type(None))
        except Error:
            pass  # it is away; the next one is told everything
        finally:
            if self._listener is channel:  # else the next one has come already
                self._listener = None
                self._changed.clear()

    def _next_note(self, *, reset: bool) -> dict[str, object]:
        """Take as much of what has changed as fits one message, as it stands now: a LiveNote."""
        sessions: list[msgspec.Raw] = []
        endpoints: list[msgspec.Raw] = []
        gone: list[str] = []
        size, taken = 0, 0
        while self._changed and taken < NOTE_THINGS and size < NOTE_BYTES:
            thing = next(iter(self._changed))
            del self._changed[thing]
            taken += 1
            found = self._sessions.get(thing) or self._endpoint(thing)
            if found is None:
                gone.append(thing)
                continue
            written = msgspec.json.encode(found)
            size += len(written)
            (sessions if isinstance(found, LiveSession) else endpoints).append(msgspec.Raw(written))
        if not self._changed:
            self._bell.clear()
        return {
            "reset": reset,
            "complete": not self._changed,
            "sessions": sessions,
            "endpoints": endpoints,
            "gone": gone,
        }

    def _endpoint(self, thing: str) -> LiveEndpoint | None:
        """Return an endpoint as its newest bind has it: the session that serves it now."""
        served = self._endpoints.get(thing)
        return None if served is None else next(reversed(served.values())).endpoint

    # What the controller asks.

    def obey(self, commands: Commands) -> None:
        """Carry commands out with this."""
        self._commands = commands

    async def handle(self, do: str, args: msgspec.Raw) -> object:
        """Answer a request of the controller. Raises Error."""
        if do != COMMAND or self._commands is None:
            raise Error(f"The data plane knows no request {do!r}.")
        order = arguments(args, Order)
        await self._commands(order.session_id, order.what, order.version)
        return {}


def _made(event: events.EndpointOnline) -> float:
    """Return when an endpoint was made: its identifier, which survives reconnects, says so."""
    with contextlib.suppress(ValueError):
        return float(made_at(event.endpoint_id))
    return event.online_at
