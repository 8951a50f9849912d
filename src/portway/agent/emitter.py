"""Where an agent's happenings become events, for whoever listens."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from portway.agent.events import (
    AgentConnectSucceeded,
    AgentDisconnected,
    AgentHeartbeatReceived,
    ConnectionClosed,
    ConnectionOpened,
    Event,
    EventHandler,
    HTTPRequestComplete,
)

if TYPE_CHECKING:
    from portway.agent.agent import Agent
    from portway.agent.forwarder import EndpointForwarder
    from portway.agent.info import AgentSession


class Emitter:
    """Makes one agent's events and calls its handlers, inline and in order."""

    def __init__(self, agent: "Agent", handlers: list[EventHandler], logger: logging.Logger) -> None:
        """Serve these handlers; the list may grow later."""
        self.handlers = handlers
        self.logger = logger
        self._agent = agent
        self._last = datetime.min.replace(tzinfo=UTC)

    @property
    def heard(self) -> bool:
        """Whether anybody listens: what costs per byte or request is left out otherwise."""
        return bool(self.handlers)

    def connected(self, session: "AgentSession") -> None:
        """A session stands and everything is bound."""
        self._emit(AgentConnectSucceeded(timestamp=self._now(), agent=self._agent, session=session))

    def disconnected(self, session: "AgentSession | None", error: Exception | None) -> None:
        """A session was lost, an attempt failed, or (None) the agent is done."""
        self._emit(AgentDisconnected(timestamp=self._now(), agent=self._agent, session=session, error=error))

    def heartbeat(self, session: "AgentSession", latency: float) -> None:
        """A heartbeat was answered."""
        self._emit(
            AgentHeartbeatReceived(timestamp=self._now(), agent=self._agent, session=session, latency=latency)
        )

    def opened(self, endpoint: "EndpointForwarder", remote_addr: str) -> None:
        """A forwarder got a connection."""
        self._emit(ConnectionOpened(timestamp=self._now(), endpoint=endpoint, remote_addr=remote_addr))

    def closed(
        self,
        endpoint: "EndpointForwarder",
        remote_addr: str,
        duration: float,
        bytes_in: int,
        bytes_out: int,
    ) -> None:
        """A forwarder's connection is over."""
        self._emit(
            ConnectionClosed(
                timestamp=self._now(),
                endpoint=endpoint,
                remote_addr=remote_addr,
                duration=duration,
                bytes_in=bytes_in,
                bytes_out=bytes_out,
            )
        )

    def request(
        self, endpoint: "EndpointForwarder", method: str, path: str, status_code: int, duration: float
    ) -> None:
        """A request on a forwarder was answered."""
        self._emit(
            HTTPRequestComplete(
                timestamp=self._now(),
                endpoint=endpoint,
                method=method,
                path=path,
                status_code=status_code,
                duration=duration,
            )
        )

    def _now(self) -> datetime:
        """Return the time, never before that of an earlier event."""
        self._last = max(self._last, datetime.now(UTC))
        return self._last

    def _emit(self, event: Event) -> None:
        for handler in self.handlers:
            try:
                handler(event)
            except (Exception, asyncio.CancelledError):  # inline, so nobody has cancelled us
                self.logger.exception("event handler failed on %s", event.event_type)
