"""Work in threads: how much at a time, for whom, and what cancelling leaves."""

import asyncio
import threading

import pytest
from tests.kit.eventually import eventually

from portway.net.turns import Turns


class Work:
    """Pieces of work that wait in their threads until they are let go."""

    def __init__(self) -> None:
        self.running: list[str] = []
        self.done: list[str] = []
        self._gates: dict[str, threading.Event] = {}

    def piece(self, name: str) -> str:
        gate = self._gates.setdefault(name, threading.Event())
        self.running.append(name)
        assert gate.wait(20)
        self.done.append(name)
        return name

    def let(self, *names: str) -> None:
        for name in names:
            self._gates.setdefault(name, threading.Event()).set()


async def runs(work: Work, *names: str) -> None:
    """Wait until exactly these have begun."""
    await asyncio.to_thread(
        eventually, lambda: sorted(work.running) == sorted(names), "these run", timeout=20
    )


async def test_each_key_has_its_own_turns() -> None:
    turns, work = Turns(1), Work()
    asked = {
        name: asyncio.ensure_future(turns.run(name[0], lambda name=name: work.piece(name)))
        for name in ("a1", "a2", "b1")
    }
    await runs(work, "a1", "b1")
    work.let("a1")
    assert await asked["a1"] == "a1"
    await runs(work, "a1", "b1", "a2")
    work.let("a2", "b1")
    assert [await asked[name] for name in ("a2", "b1")] == ["a2", "b1"]
    assert repr(turns) == "<Turns keys=0>"


async def test_who_leaves_keeps_its_turn_until_the_work_is_done() -> None:
    turns, work = Turns(1), Work()
    first, second, third = (
        asyncio.ensure_future(turns.run("a", lambda name=name: work.piece(name))) for name in "xyz"
    )
    await runs(work, "x")
    first.cancel()
    second.cancel()
    for each in (first, second):
        with pytest.raises(asyncio.CancelledError):
            await each
    assert work.running == ["x"]
    work.let("x", "z")
    assert await third == "z"
    assert (work.running, work.done) == (["x", "z"], ["x", "z"])
    assert repr(turns) == "<Turns keys=0>"


async def test_errors_are_those_of_the_work() -> None:
    turns = Turns(1)
    with pytest.raises(ZeroDivisionError):
        await turns.run("a", lambda: 1 // 0)
    assert await turns.run("a", lambda: 1) == 1
