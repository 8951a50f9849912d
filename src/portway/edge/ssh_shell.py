"""The session of an SSH client: the channel on which it says its command and reads what becomes of it."""

from typing import TYPE_CHECKING, Protocol, cast

from asyncssh import SSHServerSession

if TYPE_CHECKING:
    from asyncssh import SSHServerChannel

    from portway.edge.ssh_terminal import Channel

_INTERRUPT = b"\x03"
_SIGNALS = frozenset({"HUP", "INT", "TERM", "QUIT"})


class Listener(Protocol):
    """Who hears of it."""

    def commanded(self, channel: "Channel", command: str | None) -> None:
        """The client has said its command, or none: it wants a shell."""
        ...

    def quit(self) -> None:
        """The client wants to end."""
        ...

    def left(self) -> None:
        """The session's channel is closed."""
        ...


class Shell(SSHServerSession[bytes]):
    """One session."""

    def __init__(self, listener: Listener) -> None:
        """Tell this one."""
        self._listener = listener
        self._channel: SSHServerChannel[bytes] | None = None
        self._command: str | None = None

    def __repr__(self) -> str:
        """Show the command's length: it may hold a password."""
        return f"<Shell command={len(self._command or '')} characters>"

    def connection_made(self, chan: "SSHServerChannel[bytes]") -> None:
        """The channel is open; the request follows."""
        self._channel = chan

    def pty_requested(self, term_type: str, term_size: object, term_modes: object) -> bool:
        """Be a terminal."""
        return True

    def exec_requested(self, command: str) -> bool:
        """Take the command."""
        self._command = command
        return True

    def shell_requested(self) -> bool:
        """There is no shell, but a session in which that can be said."""
        return True

    def session_started(self) -> None:
        """The request is answered: from now on the client reads."""
        self._listener.commanded(cast("Channel", self._channel), self._command)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Listen to what is typed; what comes from a pipe is nobody's business."""
        if self._channel is not None and self._channel.get_terminal_type() and _INTERRUPT in data:
            self._listener.quit()

    def eof_received(self) -> bool:
        """Nothing more will be typed: the endpoint stays."""
        return True

    def signal_received(self, signal: str) -> None:
        """End."""
        if signal in _SIGNALS:
            self._listener.quit()

    def break_received(self, msec: int) -> bool:
        """End."""
        self._listener.quit()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell."""
        self._listener.left()
