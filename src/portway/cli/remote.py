"""What the command line does when the service tells it to stop, to restart or to update itself.

It stops as it does by Ctrl+C. To restart it runs itself again, with the same arguments and in the same
process, and hands its session over to itself, so that its URL stays. It does not update itself: there is
no place to get an update from, and whoever installed it knows how.
"""

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from portway.errors import ConfigError

if TYPE_CHECKING:
    from portway.agent.info import AgentSession
    from portway.agent.resume import Resumption
    from portway.agent.rpc import RPCMethod, RPCRequest
    from portway.cli.watch import Watcher

HANDED_ON: Final = "PORTWAY_HANDED_ON"
"""Variable that names the descriptor of what one run hands on to the next; it holds secrets."""

NO_UPDATES: Final = "it is updated by whoever installed it"
NO_RESTARTS: Final = "this system cannot run a program in the place of another"

UNMANAGED: Final = "remote management is off in its configuration"

LIMIT: Final = 1 << 24
"""Bytes that may be handed on."""


class Remote:
    """The handler of the service's commands."""

    def __init__(self, watcher: "Watcher") -> None:
        """Tell the watcher what is asked."""
        self._watcher = watcher
        self.asked = ""
        """The command that was agreed to, "" for none."""
        self.resumption: Resumption | None = None

    def __call__(self, session: "AgentSession", request: "RPCRequest") -> None:
        """Agree to stop and to restart."""
        reason = self.unsupported().get(request.method)
        if reason is not None:
            raise ConfigError(reason)
        if request.method == "RestartAgent":
            self.resumption = session.agent.resumption()
        self.asked = request.method
        self._watcher.told(request.method)

    def unsupported(self) -> Mapping["RPCMethod", str]:
        """Return what is not done here, and why."""
        never: dict[RPCMethod, str] = {"UpdateAgent": NO_UPDATES}
        if os.name != "posix":
            never["RestartAgent"] = NO_RESTARTS
        return never


def unmanaged() -> "Mapping[RPCMethod, str]":
    """Return why nothing is done, where the configuration says so."""
    return dict.fromkeys(("StopAgent", "RestartAgent", "UpdateAgent"), UNMANAGED)


def run_again(resumption: "Resumption") -> None:
    """Run this program again in this process, and hand the session over. Never returns.

    Raises ConfigError when the interpreter cannot be run any more.
    """
    descriptor = _written(resumption.dump())
    environ = os.environ | {HANDED_ON: str(descriptor)}
    try:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environ)  # noqa: S606 - it is itself
    except OSError as error:
        os.close(descriptor)
        raise ConfigError(f"cannot restart: {sys.executable}: {error.strerror}") from error


def handed_on() -> "Resumption | None":
    """Return what the run before has handed on, once; None if there was none, or it cannot be read."""
    from portway.agent.resume import Resumption

    number = os.environ.pop(HANDED_ON, "")
    if not (number.isascii() and number.isdigit()):
        return None
    try:
        with open(int(number), "rb") as file:  # noqa: PTH123 - a descriptor has no path
            return Resumption.load(file.read(LIMIT))
    except (OSError, ValueError):
        return None


def _written(data: bytes) -> int:
    """Return a descriptor from which the data can be read, also by the next program; no file has it."""
    import tempfile

    with tempfile.TemporaryFile() as file:  # nobody else can open it: it has no name
        file.write(data)
        file.seek(0)
        descriptor = os.dup(file.fileno())
    os.set_inheritable(descriptor, True)
    return descriptor
