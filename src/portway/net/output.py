"""Writing for a reader that may be slow: a log, a pipe, a terminal.

A program that moves bytes must not stand still because somebody pressed Ctrl+S, or because the
program behind a pipe does not read. `Output` writes only as much as its descriptor takes at once.
The rest is kept up to a bound and tried again from the event loop; more is dropped and counted.
"""

import os
import select
import stat
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

BACKLOG_LIMIT: Final = 1 << 20
"""Bytes that wait for a slow reader. More are dropped, and a line says how many lines."""
RETRY: Final = 0.05
"""Seconds until a full descriptor is tried again."""
FINISH_TIMEOUT: Final = 1.0
"""Seconds that the end of a program waits for its reader."""


class Output:
    """Writes bytes to a descriptor, never waiting for its reader. Any thread may call."""

    def __init__(
        self, descriptor: int, limit: int = BACKLOG_LIMIT, notice: Callable[[int], bytes] | None = None
    ) -> None:
        """Take a descriptor that stays open, how many bytes may be kept, and who words what was lost.

        ``notice`` is given a count of lines and makes a line for the log.
        """
        self._notice = notice or _notice
        self._own = _terminal(descriptor)
        self._descriptor = descriptor if self._own is None else self._own
        self._limit = limit
        self._kept = bytearray()
        self._lock = threading.Lock()
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLOUT)
        # Room in a pipe means room for this much (POSIX); a file takes all at once.
        plain = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._chunk = BACKLOG_LIMIT if plain else select.PIPE_BUF
        self._plain = plain
        self._again: asyncio.TimerHandle | None = None
        self.dropped = 0

    def __repr__(self) -> str:
        """Show what waits."""
        return f"<Output {self._descriptor} kept={len(self._kept)} dropped={self.dropped}>"

    @property
    def waiting(self) -> bool:
        """Whether something is kept that the reader has not taken yet."""
        return bool(self._kept or self.dropped)

    def write(self, data: bytes) -> bool:
        """Write, keep or drop; return False when something is kept for later.

        With an event loop running on this thread, later comes by itself; else at the next call.
        """
        with self._lock:
            if self._kept and len(self._kept) + len(data) > self._limit:
                self.dropped += data.count(b"\n")
            else:  # of a burst, only what the reader does not take at once counts
                self._kept += data
            done = self._flush()
            self._cut()
        if not done:
            self._try_later()
        return done

    def flush(self) -> bool:
        """Try again; return False when something is still kept."""
        with self._lock:
            return self._flush()

    def finish(self, timeout: float = FINISH_TIMEOUT) -> None:
        """Give the reader a last chance, some seconds long, and let go."""
        end = time.monotonic() + timeout
        while not self.flush() and time.monotonic() < end:
            self._poll.poll(20)
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def close(self) -> None:
        """Finish, and close what was opened here. The given descriptor stays open."""
        self.finish()
        if self._own is not None:
            os.close(self._own)
            self._own = None

    def _try_later(self) -> None:
        if self._again is not None:
            return
        # A program that only writes a few lines does without: it is most of what such a start costs.
        import asyncio

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._again = loop.call_later(RETRY, self._retry)

    def _retry(self) -> None:
        self._again = None
        if not self.flush():
            self._try_later()

    def _cut(self) -> None:
        """Drop the whole lines that are kept beyond the limit."""
        end = self._kept.find(b"\n", self._limit) + 1
        if len(self._kept) > self._limit and end:
            self.dropped += self._kept.count(b"\n", end)
            del self._kept[end:]

    def _flush(self) -> bool:
        while self._kept or self.dropped:
            if not self._kept:
                self._kept += self._notice(self.dropped)
                self.dropped = 0
            if not self._plain and not self._poll.poll(0):
                return False
            try:
                written = os.write(self._descriptor, self._kept[: self._chunk])
            except BlockingIOError:
                return False
            except OSError:  # the reader is gone: nobody is left to be told
                self._kept.clear()
                self.dropped = 0
                return True
            del self._kept[:written]
        return True


def _notice(count: int) -> bytes:
    return b"portway: %d log lines were dropped: the log is read too slowly\n" % count


def _terminal(descriptor: int) -> int | None:
    """Open a terminal once more, so that it can be non-blocking for us alone; None for all others.

    A terminal that says it has room may still block on a long write. Setting O_NONBLOCK on the
    descriptor itself would set it for every program that shares it, the shell among them.
    """
    if not os.isatty(descriptor):
        return None
    try:
        return os.open(os.ttyname(descriptor), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None
