"""The service's log: one line a happening, for people or for machines.

Everything comes here: records of stdlib ``logging``, and the values of ``model/event.py``. Two
properties matter.

- *It never blocks the data plane.* Events are gathered and written once per turn of the event loop,
  through ``net/output.py``, which never waits for a reader.
- *It repeats no secret and no control character.* What looks like one of our tokens is hidden. In
  text every unprintable character is escaped, so a visitor cannot forge a line; JSON is pure ASCII.

How a line looks is the business of ``log_lines.py``.
"""

import asyncio
import logging
import os
import re
import time
from typing import Final

from portway.model import event as events
from portway.net.output import Output
from portway.server import log_lines
from portway.server.config import LogConfig

GATHERED_LIMIT: Final = 10_000
"""Happenings that are written at once though the turn of the loop goes on."""

# Begins with a plain character, which the matcher looks for at the speed of memory. The half before
# it names a row and is no secret.
_SECRET_HALF: Final = re.compile(r"_(?=[0-9A-Za-z]{21}(?![0-9A-Za-z]))(?<=[0-9A-Za-z]{27}_)[0-9A-Za-z]{21}")
_ACCESS: Final = (events.HttpRequestComplete, events.TcpConnectionClosed)

_log = logging.getLogger(__name__)


class Log:
    """The one log of a process. It is the edge's event sink."""

    def __init__(self, config: LogConfig, descriptor: int = 2) -> None:
        """Take format, level and a descriptor (standard error)."""
        self._output = Output(descriptor, notice=self._notice)
        form = log_lines.make(config.format, colour=os.isatty(descriptor))
        self._line = form.line
        self._access_line = log_lines.access_line(form)
        self._threshold = log_lines.LEVELS[config.level]
        self._access = config.access and log_lines.LEVELS["info"] >= self._threshold
        self._gathered: list[events.Event] = []

    def __repr__(self) -> str:
        """Show what waits."""
        return f"<Log gathered={len(self._gathered)} dropped={self._output.dropped}>"

    def emit(self, event: object) -> None:
        """Take an event. Called on the event loop's thread; never blocks and never raises."""
        if isinstance(event, _ACCESS):
            if self._access:
                self._gather(event)
        elif not log_lines.is_known(event):
            _log.warning("an event that the log does not know: %s", type(event).__name__)
        elif log_lines.LEVELS[log_lines.level_of(event)] >= self._threshold:
            self._gather(event)

    def record(self, record: logging.LogRecord) -> None:
        """Take a stdlib record, from any thread. Written at once: it may be the last."""
        fields = log_lines.record_fields(record)
        self._write([self._line(record.created, record.levelname.lower(), record.getMessage(), fields)])

    def finish(self) -> None:
        """Write what is left, at the end of the program. Blocks, but not for long."""
        self._turn()
        self._output.close()

    def _gather(self, event: events.Event) -> None:
        if not self._gathered:
            loop = _running_loop()
            if loop is None:
                self._write([self._shown(event)])
                return
            loop.call_soon(self._turn)
        self._gathered.append(event)
        if len(self._gathered) >= GATHERED_LIMIT:
            self._turn()

    def _turn(self) -> None:
        """Write all that one turn of the loop has gathered."""
        gathered, self._gathered = self._gathered, []
        if gathered:
            self._write([self._shown(event) for event in gathered])

    def _shown(self, event: events.Event) -> str:
        """Return the line of an event, without its end."""
        if isinstance(event, _ACCESS):
            return self._access_line(event)
        at, fields = log_lines.event_fields(event)
        return self._line(at, log_lines.level_of(event), event.line, fields)

    def _notice(self, count: int) -> bytes:
        """Say in the log's own form how many lines nobody took."""
        what = "log lines were dropped: the log is read too slowly"
        return f"{self._line(time.time(), 'warning', what, {'lines': count})}\n".encode()

    def _write(self, lines: list[str]) -> None:
        text = "\n".join(lines) + "\n"
        self._output.write(_SECRET_HALF.sub("_[hidden]", text).encode())


class _Handler(logging.Handler):
    """Hands stdlib records on."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._log.record(record)
        except Exception:  # noqa: BLE001 - stdlib's own rule: a record that cannot be written is no crash
            self.handleError(record)


def start(config: LogConfig, descriptor: int = 2) -> Log:
    """Send all stdlib logging of this process to one log, and return it. Call ``finish`` at the end."""
    log = Log(config, descriptor)
    logging.basicConfig(level=config.level.upper(), handlers=[_Handler(log)], force=True)
    logging.captureWarnings(capture=True)
    for chatty in ("alembic", "asyncio"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))
    return log


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
