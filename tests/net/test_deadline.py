"""Deadlines: who waits too long is cancelled, told so, and nobody else is."""

import asyncio

import pytest

from portway.net.deadline import Deadlines, deadlines


async def _wait(waits: Deadlines, seconds: float | None, what: "asyncio.Future[str]") -> str:
    """Wait as `net.dial` does."""
    task = waits.enter(seconds)
    late = False
    try:
        try:
            return await what
        finally:
            late = waits.leave(task)
    except asyncio.CancelledError:
        if not late:
            raise
        return "late"


async def test_the_late_are_cancelled_in_any_order_and_the_others_are_not() -> None:
    """A later wait may end earlier; one without a bound never does."""
    loop = asyncio.get_running_loop()
    waits = Deadlines(loop)
    never: asyncio.Future[str] = loop.create_future()
    soon: asyncio.Future[str] = loop.create_future()
    tasks = [
        loop.create_task(_wait(waits, seconds, future))
        for seconds, future in (
            (0.05, loop.create_future()),
            (0.01, loop.create_future()),
            (60, soon),
            (None, never),
        )
    ]
    async with asyncio.timeout(10):
        assert await tasks[1] == "late"
        assert await tasks[0] == "late"
    assert len(waits) == 1
    assert repr(waits) == "<Deadlines 1 waiting>"
    soon.set_result("in time")
    assert await tasks[2] == "in time"
    assert len(waits) == 0
    assert not any(task.cancelling() for task in tasks)
    assert not tasks[3].done()
    tasks[3].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[3]


async def test_who_was_cancelled_by_another_too_hears_of_that() -> None:
    """Its owner has given it up: that must not pass for a deadline."""
    loop = asyncio.get_running_loop()
    waits = Deadlines(loop)
    task = loop.create_task(_wait(waits, 60, loop.create_future()))
    await asyncio.sleep(0)
    waits.look(loop.time() + 61)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_a_bound_needs_a_task_of_its_own() -> None:
    """Two at once could not be told apart."""
    loop = asyncio.get_running_loop()
    waits = deadlines(loop)
    assert deadlines(loop) is waits
    task = waits.enter(60)
    with pytest.raises(RuntimeError, match="one at a time"):
        waits.enter(60)
    assert not waits.leave(task)
    refused: asyncio.Future[BaseException] = loop.create_future()

    def outside() -> None:
        try:
            waits.enter(1)
        except RuntimeError as error:
            refused.set_result(error)

    loop.call_soon(outside)
    async with asyncio.timeout(10):
        assert "in a task" in str(await refused)
