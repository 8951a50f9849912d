"""A loop whose time jumps: when nothing is ready it is at once the time of the next timer.

Tests of time-outs and heartbeats run in no time, and always the same way. Only what happens inside the
process may be awaited: a test that waits for a socket or a thread fails, because nothing would ever
happen.
"""

import asyncio
import inspect
import selectors
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec

P = ParamSpec("P")


class _Jump(selectors.DefaultSelector):
    """Looks at descriptors without waiting; what should have been waited for is added to the time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found:
            assert timeout is not None, "the test waits for something that can never happen"
            self.now += max(timeout, 0.0)
        return found


class ClockLoop(asyncio.SelectorEventLoop):
    """An event loop on a fake clock, which starts at 1000 s."""

    def __init__(self) -> None:
        """Make a loop whose time stands still until it waits."""
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        """Return the fake time, in seconds."""
        return self._jump.now


def on_fake_clock(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test on a `ClockLoop`. A task left behind fails it."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        loop = ClockLoop()
        try:
            loop.run_until_complete(_without_leaks(test(*args, **kwargs)))
        finally:
            loop.close()

    del run.__wrapped__  # or it would be taken for an async test
    setattr(run, "__signature__", inspect.signature(test))  # noqa: B010  the fixtures it asks for
    return run


async def pass_time(seconds: float) -> None:
    """Let so many seconds go by on the fake clock; in truth it takes no time."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, ClockLoop), "time passes by itself on a real clock: wait for what you want"
    come: asyncio.Future[None] = loop.create_future()
    timer = loop.call_later(seconds, come.set_result, None)
    try:
        await come
    finally:
        timer.cancel()


async def _without_leaks(test: Coroutine[Any, Any, None]) -> None:
    await test
    for _ in range(10):
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if not left:
            return
        await asyncio.sleep(0)
    raise AssertionError(f"tasks left running: {asyncio.all_tasks() - {asyncio.current_task()}}")
