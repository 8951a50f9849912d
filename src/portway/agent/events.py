"""What an agent tells its event handlers.

A handler is any callable that takes one event. Handlers are called inline, in the order in which
they were given, on the agent's event loop: a slow handler delays the agent and must not block, and a
coroutine function is refused, because nobody would await it. An exception in a handler is logged and
harms nothing else. Use ``match`` or ``isinstance`` on the classes below, with a default branch: later
versions may send further events.

Order of a session's life: `AgentDisconnected` for each failed attempt and each lost session,
`AgentConnectSucceeded` once everything is bound again. A voluntary end brings, after ``done`` of
every endpoint, one `AgentDisconnected` that says why and a last one without an error.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from portway.agent.checks import expect_call, listed
from portway.errors import ConfigError

if TYPE_CHECKING:
    from portway.agent.agent import Agent
    from portway.agent.forwarder import EndpointForwarder
    from portway.agent.info import AgentSession


class EventType(IntEnum):
    """The kinds of event; values and names are those of the ngrok-go documentation."""

    AgentConnectSucceeded = 0
    AgentDisconnected = 1
    AgentHeartbeatReceived = 2
    ConnectionOpened = 3
    ConnectionClosed = 4
    HTTPRequestComplete = 5

    def __str__(self) -> str:
        """Return the bare name, such as ``AgentDisconnected``."""
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all events. ``timestamp`` is aware (UTC) and never goes back within one agent."""

    event_type: ClassVar[EventType]
    timestamp: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConnectSucceeded(Event):
    """A session stands and every endpoint is bound on it: the first time and after each loss."""

    event_type = EventType.AgentConnectSucceeded
    agent: "Agent"
    session: "AgentSession"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDisconnected(Event):
    """A session was lost, an attempt to connect failed, or the agent is done.

    ``session`` is the lost session, None when there has not been one. ``error`` is the cause; None
    in the last event after a voluntary end.
    """

    event_type = EventType.AgentDisconnected
    agent: "Agent"
    session: "AgentSession | None"
    error: Exception | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentHeartbeatReceived(Event):
    """The service answered a heartbeat. ``latency`` is the round trip in seconds."""

    event_type = EventType.AgentHeartbeatReceived
    agent: "Agent"
    session: "AgentSession"
    latency: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOpened(Event):
    """A forwarder got a visitor's connection; the upstream is not dialled yet.

    ``remote_addr`` is the visitor's ``ip:port`` as the service saw it.
    """

    event_type = EventType.ConnectionOpened
    endpoint: "EndpointForwarder"
    remote_addr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionClosed(Event):
    """A forwarder's connection is over; exactly one for each `ConnectionOpened`.

    ``duration`` in seconds; ``bytes_in`` came from the visitor, ``bytes_out`` went to it.
    """

    event_type = EventType.ConnectionClosed
    endpoint: "EndpointForwarder"
    remote_addr: str
    duration: float
    bytes_in: int
    bytes_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRequestComplete(Event):
    """One request on an http or https forwarder has been answered.

    ``path`` is the request target with its query; ``duration`` in seconds, from the request's head
    to the end of the response.
    """

    event_type = EventType.HTTPRequestComplete
    endpoint: "EndpointForwarder"
    method: str
    path: str
    status_code: int
    duration: float


EventHandler: TypeAlias = Callable[[Event], object]


def read_handlers(given: object) -> list[EventHandler]:
    """Return the handlers of a list or the like. Raises `ConfigError`."""
    handlers = list(listed(given, object, "event_handlers"))
    for handler in handlers:
        _expect_handler(handler)
    return handlers


def _expect_handler(handler: object) -> None:
    """Raise `ConfigError` for what is no event handler; a coroutine function is none."""
    expect_call(handler, "event_handlers")
    if inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__):
        raise ConfigError(
            "event_handlers: a handler is called inline, so it cannot be a coroutine function;"
            " a plain one may put the event into an asyncio.Queue"
        )
