"""Programs of ours behind a Unix socket: making it in a private folder, and Pipes to it.

The listening socket is made by one process and accepted on by another, which inherits it: who connects
while that one is replaced waits in the backlog. Each Pipe is a pair in memory whose far end is joined
to a `Leg`: so it exists before the connection does, and keeps the whole contract of ``docs/spec/pipe.md``.

The kernel bounds the path of a Unix socket to about a hundred bytes. A longer one is reached through a
descriptor of its folder, where the system has ``/proc/self/fd``.
"""

import asyncio
import logging
import os
import socket
import sys
from pathlib import Path
from typing import Final, Self

from portway.errors import ConfigError, ConnectError
from portway.net.dial import dial_unix
from portway.net.leg import Leg
from portway.net.listen import BACKLOG
from portway.net.memory import memory_pair
from portway.net.tasks import Tasks
from portway.pipe import Pipe, Sink

PATH_LIMIT: Final = 107 if sys.platform == "linux" else 103
"""Bytes of a path that a Unix socket's address holds."""

DESCRIPTORS: Final = "/proc/self/fd"
PRIVATE: Final = 0o600

_log = logging.getLogger(__name__)


class LocalSocket:
    """A listening Unix socket that another process accepts on. Close it to remove it."""

    def __init__(self, path: Path) -> None:
        """Listen at a path, mode 0600; what stands there is replaced.

        Raises ConfigError when the folder cannot take it, or the path is too long for this system.
        """
        self.path = path
        self._folder = -1
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.address = self._short()
            path.unlink(missing_ok=True)
            os.fchmod(self._socket.fileno(), PRIVATE)  # Linux: the mode it is born with
            self._socket.bind(self.address)
            path.chmod(PRIVATE)
            self._socket.listen(BACKLOG)
        except OSError as error:
            self.close()
            raise ConfigError(f"{path}: cannot listen: {error.strerror}") from error
        except ConfigError:
            self.close()
            raise

    def __repr__(self) -> str:
        """Show where it is."""
        return f"<LocalSocket {self.path}>"

    def __enter__(self) -> Self:
        """Enter; it listens already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def fileno(self) -> int:
        """Return the descriptor that a child inherits."""
        return self._socket.fileno()

    def close(self) -> None:
        """Stop listening and remove the file. Idempotent."""
        if self._socket.fileno() >= 0:
            self._socket.close()
            self.path.unlink(missing_ok=True)
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def _short(self) -> str:
        """Return a path to the socket that fits its address."""
        if len(os.fsencode(self.path)) <= PATH_LIMIT:
            return str(self.path)
        self._folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if not Path(f"{DESCRIPTORS}/{self._folder}").exists():
            raise ConfigError(
                f"{self.path}: longer than the {PATH_LIMIT} bytes that this system allows for a socket; "
                "choose a shorter --data-dir"
            )
        return f"{DESCRIPTORS}/{self._folder}/{self.path.name}"


class LocalPipes:
    """Pipes to whoever accepts on a Unix socket."""

    def __init__(self, address: str, tasks: Tasks) -> None:
        """Connect to this path, in tasks of these."""
        self._address = address
        self._tasks = tasks
        self._legs: set[Leg] = set()
        self._none = asyncio.Event()
        self._none.set()

    def __repr__(self) -> str:
        """Show how many there are."""
        return f"<LocalPipes {self._address} open={len(self._legs)}>"

    def __len__(self) -> int:
        """Count those that are open."""
        return len(self._legs)

    def open(self, sink: Sink) -> Pipe:
        """Open a Pipe whose bytes go to ``sink``. One that cannot be connected ends without a byte."""
        near, far = memory_pair()
        near.attach(sink)
        leg = Leg(on_closed=self._closed)
        far.attach(leg)
        leg.join(far)
        self._legs.add(leg)
        self._none.clear()
        self._tasks.start(self._dial(leg), name="local connection")
        return near

    async def drain(self, timeout: float) -> None:
        """Wait until none is open, at most so many seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._none.wait()
        except TimeoutError:
            pass

    def abort(self) -> None:
        """Cut all that are open."""
        for leg in list(self._legs):
            leg.abort()

    async def _dial(self, leg: Leg) -> None:
        try:
            await dial_unix(self._address, lambda: leg)
        except ConnectError as error:
            _log.warning("%s", error)
            leg.refuse()

    def _closed(self, leg: Leg) -> None:
        self._legs.discard(leg)
        if not self._legs:
            self._none.set()
