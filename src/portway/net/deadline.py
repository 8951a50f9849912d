"""Deadlines for many short waits, with one timer of the loop's for all of them.

`asyncio.timeout` arms a timer for each wait and cancels it again: a tenth of what dialling an upstream
costs in all. Nearly every wait ends long before its deadline, so here it is only written down who
waits until when, and the one timer looks at them when the earliest was due.
"""

import asyncio
from typing import Any, Final
from weakref import WeakKeyDictionary

GRAIN: Final = 0.01
"""Seconds between two looks at those who wait: a deadline may be noticed that much late."""

Task = asyncio.Task[Any]


class Deadlines:
    """The tasks of one loop that wait for something, and until when. A task waits for one thing at a time."""

    __slots__ = ("_expired", "_loop", "_timer", "_timer_at", "_until")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch nobody yet."""
        self._loop = loop
        self._until: dict[Task, float] = {}
        self._expired: dict[Task, int] = {}  # and how often each was being cancelled before we did
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def __len__(self) -> int:
        """Count who waits."""
        return len(self._until)

    def __repr__(self) -> str:
        """Show how many wait."""
        return f"<Deadlines {len(self)} waiting>"

    def enter(self, seconds: float | None) -> Task:
        """Cancel the running task when so many seconds have passed (None: never), unless it leaves before.

        Return the task, for `leave`, which must follow whatever happens. Raises RuntimeError outside of
        a task, or when this one waits already.
        """
        task = asyncio.current_task(self._loop)
        if task is None or task in self._until:
            raise RuntimeError("a wait is bounded in a task, and one at a time")
        if seconds is not None:
            self._until[task] = when = self._loop.time() + seconds
            if self._timer is None or when < self._timer_at:
                self._arm(when)
        return task

    def leave(self, task: Task) -> bool:
        """Stop a task's clock; True when we have cancelled it and nobody else has.

        The timer goes on: to stop it costs more than to let it look in vain.
        """
        self._until.pop(task, None)
        if not self._expired:
            return False
        before = self._expired.pop(task, None)
        return before is not None and task.uncancel() <= before

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        self._timer = self._loop.call_at(when, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.look(self._loop.time())

    def look(self, now: float) -> None:
        """Cancel those who are late at `now`, on the loop's clock."""
        for task in [task for task, when in self._until.items() if when <= now]:
            del self._until[task]
            self._expired[task] = task.cancelling()
            task.cancel()
        if self._until:
            self._arm(max(min(self._until.values()), now + GRAIN))


_all: "WeakKeyDictionary[asyncio.AbstractEventLoop, Deadlines]" = WeakKeyDictionary()


def deadlines(loop: asyncio.AbstractEventLoop) -> Deadlines:
    """Return the deadlines of a loop."""
    found = _all.get(loop)
    if found is None:
        found = _all[loop] = Deadlines(loop)
    return found
