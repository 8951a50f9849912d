"""From the agent's events to log lines and to the numbers of the status screen."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from portway.agent import events
from portway.cli.output import LogLines
from portway.cli.status import Request, Status


@dataclass
class Watcher:
    """Turns the agent's events into log lines and into the numbers of the screen."""

    status: Status
    lines: LogLines | None
    clock: Callable[[], float] = time.monotonic
    _seen: bool = field(default=False, init=False)

    def __call__(self, event: events.Event) -> None:
        """Take one event; called by the agent, in order."""
        match event:
            case events.AgentConnectSucceeded():
                self.status.online()
                self._show_session(event)
                self._log("info", "session established" if not self._seen else "session re-established")
                self._seen = True
            case events.AgentDisconnected():
                self.status.offline(str(event.error or ""))
                if event.error is not None:
                    self._log("warn", "session lost, reconnecting", err=str(event.error))
            case events.AgentHeartbeatReceived():
                self.status.latency = event.latency
                self._log("debug", "heartbeat", latency_ms=round(event.latency * 1000, 2))
            case events.ConnectionOpened():
                self.status.connection_opened(self.clock())
                self._log("info", "join connections", r=event.remote_addr)
            case events.ConnectionClosed():
                self.status.connection_closed(event.duration)
                self._log(
                    "info",
                    "connection closed",
                    r=event.remote_addr,
                    bytes_in=event.bytes_in,
                    bytes_out=event.bytes_out,
                    seconds=round(event.duration, 3),
                )
            case events.HTTPRequestComplete():
                self._request(event)
            case _:
                pass

    def _request(self, event: events.HTTPRequestComplete) -> None:
        at = event.timestamp.astimezone().strftime("%H:%M:%S.%f")[:-3]
        self.status.requests.append(Request(at, event.method, event.path, event.status_code))
        self._log(
            "info",
            "request",
            method=event.method,
            path=event.path,
            status=event.status_code,
            seconds=round(event.duration, 4),
        )

    def _show_session(self, event: events.AgentConnectSucceeded) -> None:
        session, status = event.session, self.status
        status.account, status.plan = session.account_name, session.plan_name
        status.region = session.region
        status.messages = [str(warning) for warning in session.warnings]

    def started(self, name: str, upstream: str, url: str) -> None:
        """The endpoint is online."""
        self.status.forwarding.append((url, upstream))
        self._log("info", "started tunnel", name=name or "command_line", addr=upstream, url=url)

    def ended(self) -> None:
        """The user has asked for the end, and everything is offline."""
        self._log("info", "stopped")

    def _log(self, level: str, message: str, **fields: str | float) -> None:
        if self.lines is not None:
            self.lines.log(level, message, **fields)
