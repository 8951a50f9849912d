"""What an SSH client reads in its terminal: who it is, where it is reached, how many came, why it ends.

On a terminal the line of counts is written anew in its place, at most once a second and only while the client
takes what is written. Without one (a pipe, a file) it is left out.
"""

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from portway.errors import Error

if TYPE_CHECKING:
    from portway.edge.counters import Counters
    from portway.model.entities import Grant

REFRESH: Final = 1.0
"""Seconds between two lines of counts."""

_WIDTH: Final = 19


class Channel(Protocol):
    """What a terminal uses of its channel."""

    def write(self, data: bytes, datatype: int | None = None) -> None:
        """Write."""
        ...

    def get_write_buffer_size(self) -> int:
        """Return how much the client has not taken."""
        ...

    def get_terminal_type(self) -> str | None:
        """Return the kind of the client's terminal; None without one."""
        ...

    def exit(self, status: int) -> None:
        """End the session with a status."""
        ...

    def is_closing(self) -> bool:
        """Tell whether nothing can be written any more."""
        ...


class Terminal:
    """One session's terminal."""

    def __init__(self, channel: Channel) -> None:
        """Write to this channel."""
        self._channel = channel
        self._live = channel.get_terminal_type() is not None
        self._counters: Counters | None = None
        self._shown = ""
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        """Show what it is."""
        return f"<Terminal {'live' if self._live else 'plain'}>"

    @property
    def alive(self) -> bool:
        """Whether anything can be written."""
        return not self._channel.is_closing()

    def greet(self, grant: "Grant", region: str, url: str, counters: "Counters") -> None:
        """Say that the endpoint is online."""
        rows = [
            ("Account", f"{_plain(grant.account_name)} (Plan: {_plain(grant.plan)})"),
            ("Region", region),
            ("Forwarding", url),
        ]
        lines = ["portway" + (" " * (_WIDTH - 7) + "(Ctrl+C to quit)" if self._live else ""), ""]
        lines += [f"{name:<{_WIDTH}}{value}" for name, value in rows]
        self._counters = counters
        self.say("\n".join(lines) + "\n")
        self.changed()

    def say(self, text: str) -> None:
        """Write lines."""
        self._write(self._clear() + text)

    def fail(self, error: Error) -> None:
        """Say why it ends, with its code, and end with status 1."""
        code = f"\n\n{error.code}" if error.code else ""
        self._write(self._clear() + f"\nERROR:  {error.message}{code}\n", 1)
        self.exit(1)

    def exit(self, status: int) -> None:
        """End the session."""
        if self._timer is not None:
            self._timer.cancel()
        self._counters = None
        if self.alive:
            self._channel.exit(status)

    def changed(self) -> None:
        """The counts have changed: show them soon."""
        if self._live and self._counters is not None and self._timer is None:
            self._show()
            self._timer = asyncio.get_running_loop().call_later(REFRESH, self._again)

    def _again(self) -> None:
        self._timer = None
        if self._counters is not None and self._shown != self._line(self._counters):
            self.changed()

    def _show(self) -> None:
        assert self._counters is not None
        if self._channel.is_closing() or self._channel.get_write_buffer_size():
            return
        self._shown = self._line(self._counters)
        self._write(f"\r\x1b[2K{self._shown}")

    def _line(self, counters: "Counters") -> str:
        return f"{'Connections':<{_WIDTH}}{counters.connections} total, {counters.open} open"

    def _clear(self) -> str:
        """Leave the line of counts as it stands and go on below it."""
        shown, self._shown = self._shown, ""
        return "\n" if shown else ""

    def _write(self, text: str, datatype: int | None = None) -> None:
        if self._live:
            text, datatype = text.replace("\n", "\r\n"), None
        if self.alive:
            self._channel.write(text.encode(), datatype)


def _plain(text: str) -> str:
    """Leave out what a terminal would take for a command."""
    return "".join(each for each in text if each.isprintable())
