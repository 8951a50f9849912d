"""From the agent's events to log lines and to the numbers of the status screen."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from portway.agent import events
from portway.agent.reconnect import LOST
from portway.cli.output import LogLines
from portway.cli.status import Request, Status
from portway.errors import Error


@dataclass
class Watcher:
    """Turns the agent's events into log lines and into the numbers of the screen."""

    status: Status
    lines: LogLines | None
    clock: Callable[[], float] = time.monotonic
    stopping: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the agent has disconnected for good."""
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
                self._disconnected(event)
            case events.AgentHeartbeatReceived():
                self.status.heard(event.latency)
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

    def _disconnected(self, event: events.AgentDisconnected) -> None:
        if event.error is None:
            self.over.set()
        if event.error is None or self.stopping:
            return  # the end that was asked for
        reason = one_line(event.error)
        self.status.offline(reason)
        self._log("warn", "cannot connect" if event.session is None else "session lost", err=reason)

    def _request(self, event: events.HTTPRequestComplete) -> None:
        at = event.timestamp.astimezone().strftime("%H:%M:%S.%f")[:-3]
        self.status.requests.append(Request(at, event.method, event.path, event.status_code, event.duration))
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
        status.region, status.latency = session.region, session.latency
        said = (session.banner, *map(str, session.warnings))
        status.messages = [text for text in map(str.strip, said) if text]

    def started(self, name: str, upstream: str, url: str) -> None:
        """The endpoint is online."""
        self.status.forwarding.append((url, upstream))
        self._log("info", "started tunnel", name=name or "command_line", addr=upstream, url=url)

    def lost(self, url: str, error: Exception) -> None:
        """The service has taken an endpoint away."""
        self.status.forwarding = [each for each in self.status.forwarding if each[0] != url]
        self.status.messages.append(f"{url} has ended: {one_line(error)}")
        self._log("error", "endpoint ended", url=url, err=one_line(error))

    def told(self, method: str) -> None:
        """The service has told the agent to stop or to restart, and it will."""
        self.stopping = True
        self._log("info", "told by the service", command=method)

    def ended(self) -> None:
        """The end was asked for, and everything is offline."""
        self._log("info", "stopped")

    @contextlib.contextmanager
    def taking_records(self) -> Generator[None]:
        """Meanwhile turn what the agent's own logger says into lines of the same kind."""
        logger = logging.getLogger("portway")
        records, propagate = _Records(self.lines), logger.propagate
        logger.addHandler(records)
        logger.propagate = False
        try:
            yield
        finally:
            logger.removeHandler(records)
            logger.propagate = propagate

    def _log(self, level: str, message: str, **fields: str | float) -> None:
        if self.lines is not None:
            self.lines.log(level, message, **fields)


def one_line(error: BaseException) -> str:
    """Say an error in one line, its code at the end."""
    if isinstance(error, Error):
        return " ".join([*error.message.split(), error.code]).strip()
    return " ".join(str(error).split())


class _Records(logging.Handler):
    """Writes the records of Python's logging as log lines; without lines it drops them."""

    def __init__(self, lines: LogLines | None) -> None:
        super().__init__(logging.INFO)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        if self._lines is None or record.msg == LOST:  # which has come as an event
            return
        level = "info" if record.levelno < logging.WARNING else _LEVELS.get(record.levelno, "error")
        message = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            message = f"{message}: {one_line(record.exc_info[1])}"
        self._lines.log(level, message)


_LEVELS = {logging.WARNING: "warn", logging.ERROR: "error", logging.CRITICAL: "crit"}
