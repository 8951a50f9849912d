"""Tasks have an owner, and their crashes are told."""

import asyncio
import logging

import pytest

from portway.net import tasks as net_tasks
from portway.net.tasks import Tasks, told_to_end


async def test_a_crash_is_logged_and_ends_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    """One task's fault does not cut the others."""
    go_on = asyncio.Event()

    async def crash() -> None:
        raise ZeroDivisionError("a bug")

    async def work() -> str:
        await go_on.wait()
        return "done"

    async with Tasks() as tasks:
        broken = tasks.start(crash(), name="broken")
        working = tasks.start(work(), name="working")
        await asyncio.wait([broken])
        await asyncio.sleep(0)
        go_on.set()
        assert await working == "done"
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "task broken crashed"
    assert record.exc_info
    assert isinstance(record.exc_info[1], ZeroDivisionError)


async def test_close_cancels_and_awaits(caplog: pytest.LogCaptureFixture) -> None:
    """Also a task that takes its time over ending, and one that another starts while it ends."""
    seen: list[str] = []

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            seen.append("cleaned up")

    tasks = Tasks()
    task = tasks.start(stubborn(), name="stubborn")
    await asyncio.sleep(0)
    assert repr(tasks) == "<Tasks [stubborn]>"
    assert len(tasks) == 1
    await tasks.close()
    assert seen == ["cleaned up"]
    assert task.cancelled()
    assert len(tasks) == 0
    await tasks.close()
    assert repr(tasks) == "<Tasks closed []>"
    assert not caplog.records


async def test_a_cancellation_that_was_lost_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """As wait_for of Python 3.11 loses it when its result comes in the same moment."""
    monkeypatch.setattr(net_tasks, "AGAIN", 0.01)
    lost = 0

    async def repeat() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if lost == 2:
                    raise
                lost += 1

    tasks = Tasks()
    tasks.start(repeat(), name="repeat")
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await tasks.close()
    assert (lost, len(tasks)) == (2, 0)


async def test_nothing_starts_after_close() -> None:
    """And the coroutine is closed, not left un-awaited."""

    async def late() -> None:
        pytest.fail("started")

    tasks = Tasks()
    await tasks.close()
    with pytest.raises(RuntimeError, match="task late started"):
        tasks.start(late(), name="late")


async def test_a_task_may_close_its_own_set() -> None:
    """It is left out: it cannot wait for itself."""
    tasks = Tasks()
    other_cancelled = asyncio.Event()

    async def other() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            other_cancelled.set()

    async def last() -> str:
        await tasks.close()
        return "closed"

    tasks.start(other(), name="other")
    await asyncio.sleep(0)
    assert await tasks.start(last(), name="last") == "closed"
    assert other_cancelled.is_set()


async def test_whose_end_a_cancellation_is() -> None:
    heard: list[bool] = []

    async def ends(work: asyncio.Future[None]) -> None:
        try:
            await work
        except (asyncio.CancelledError, KeyError) as error:
            heard.append(told_to_end(error))

    loop = asyncio.get_running_loop()
    awaited, failed, waiting = loop.create_future(), loop.create_future(), loop.create_future()
    awaited.cancel()
    failed.set_exception(KeyError())
    async with Tasks() as tasks:
        await tasks.start(ends(awaited), name="awaits what is cancelled")
        await tasks.start(ends(failed), name="awaits what fails")
        task = tasks.start(ends(waiting), name="is cancelled")
        await asyncio.sleep(0)
        task.cancel()
        await task
    assert heard == [False, False, True]
