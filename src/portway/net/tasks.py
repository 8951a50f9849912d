"""The only place that creates tasks.

asyncio forgets a task that nobody holds, and tells of a task's crash only when the garbage
collector finds it. A `Tasks` holds what it started, logs a crash at once, and on leaving cancels and
awaits everything. Unlike `asyncio.TaskGroup` one crash does not end the others: one visitor's fault is
no reason to cut the rest. Where it is, use a TaskGroup.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final, Self, TypeVar

T = TypeVar("T")

AGAIN: Final = 5.0
"""Seconds after which a task that has not ended is cancelled once more."""

_log = logging.getLogger("portway.tasks")


def told_to_end(error: BaseException) -> bool:
    """Whether this is the end of the running task. A CancelledError may be of something it awaited, too."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


class Tasks:
    """A set of running tasks with one owner.

    Use it as an async context manager, or call `close` yourself.
    """

    def __init__(self) -> None:
        """Make an empty set; no loop needs to run yet."""
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False

    def start(self, coro: Coroutine[Any, Any, T], *, name: str) -> "asyncio.Task[T]":
        """Run `coro` as a task called `name`.

        The task may be awaited or cancelled by the caller; a crash is logged in any case. Raises
        RuntimeError after `close`, and then `coro` never starts.
        """
        if self._closed:
            coro.close()
            raise RuntimeError(f"task {name} started after its owner was closed")
        task = asyncio.get_running_loop().create_task(coro, name=name)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._running.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            _log.error("task %s crashed", task.get_name(), exc_info=error)

    async def close(self) -> None:
        """Cancel every task and wait until all have ended. Idempotent.

        A cancellation can be lost: `asyncio.wait_for` of Python 3.11 returns a result that comes in the same
        moment, and a task that repeats something for ever then goes on. So whoever still runs is cancelled
        again and again.

        A task that calls this on its own set is left out: it cannot wait for itself. Cancelling the
        caller gives up the wait; the tasks stay cancelled.
        """
        self._closed = True
        current = asyncio.current_task()
        while others := [task for task in self._running if task is not current]:
            for task in others:
                task.cancel()
            await asyncio.wait(others, timeout=AGAIN)

    def __len__(self) -> int:
        """How many are running."""
        return len(self._running)

    async def __aenter__(self) -> Self:
        """Enter; nothing happens."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    def __repr__(self) -> str:
        """Name what runs: the first question of every hanging test."""
        names = ", ".join(sorted(task.get_name() for task in self._running))
        return f"<Tasks {'closed ' if self._closed else ''}[{names}]>"
