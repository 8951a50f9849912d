"""The event loop of synchronous code: in a daemon thread, started by its first use.

A process that was forked has the object and not the thread, so it must `LoopThread.forget`.
"""

import asyncio
import logging
import threading
from collections.abc import Coroutine
from typing import TypeVar

from portway.net.loop import new_loop_factory
from portway.session.driver import LINGER

T = TypeVar("T")

_log = logging.getLogger("portway.agent")

FAREWELL = 5.0
"""Most seconds that the agents' goodbyes may take when the program ends. They mostly take milliseconds."""
WIND_UP = 1.0
"""Most seconds that what a goodbye has left on the loop may take to end."""


class LoopThread:
    """An event loop in a daemon thread, started by its first use."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def started(self) -> bool:
        """Whether the loop runs."""
        return self._loop is not None

    def run(self, work: Coroutine[object, object, T]) -> T:
        """Run ``work`` on the loop and return what it returns. Ctrl-C cancels it.

        Raises RuntimeError when called on the loop itself: that could never end.
        """
        loop = self._start()
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("a synchronous call from the agent's own event loop would wait for itself")
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """Stop the loop and wait for its thread. A later `run` starts a new one."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(FAREWELL + WIND_UP)

    def forget(self) -> None:
        """Leave what runs to the process that this one was forked from: its thread has not come along."""
        self._lock = threading.Lock()
        self._loop = self._thread = None

    def _start(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = new_loop_factory()()
                self._thread = threading.Thread(
                    target=_serve, args=(self._loop,), name="portway", daemon=True
                )
                self._thread.start()
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        while not _ran(loop):
            pass
    finally:
        loop.run_until_complete(_wind_up())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def _ran(loop: asyncio.AbstractEventLoop) -> bool:
    """Run it; return False if a callback wanted to exit, which from a thread ends no program."""
    try:
        loop.run_forever()
    except SystemExit:
        _log.exception("a callback wants to exit: only the main thread can do that")
        return False
    return True


async def _wind_up() -> None:
    """End what still runs: a loop that is closed under its tasks and sockets complains of each.

    After a goodbye in time there is nothing. One that was cut short leaves a session that is closing;
    its socket is gone within the linger of the session.
    """
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if tasks:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=WIND_UP)
        await asyncio.sleep(2 * LINGER)


LOOP = LoopThread()
"""The one that all synchronous agents share."""
