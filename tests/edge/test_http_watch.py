"""The slow clock: everybody once a second, nobody after, no timer when idle."""

import asyncio
from collections.abc import Callable
from typing import cast

from portway.edge.http_watch import SLOTS, TICK, Watch, watch


class _Loop:
    """A loop whose timers are fired by hand."""

    def __init__(self) -> None:
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay: float, callback: Callable[[], None]) -> str:
        self.timers.append((delay, callback))
        return "timer"

    def second(self) -> None:
        """Let one second pass."""
        for _ in range(SLOTS):
            if not self.timers:
                return
            delay, callback = self.timers.pop(0)
            assert delay == TICK / SLOTS
            callback()


class _Visitor:
    def __init__(self) -> None:
        self.ticks = 0
        self.drained = 0
        self.arriving = False

    def drain(self) -> None:
        self.drained += 1

    def tick(self) -> None:
        self.ticks += 1


def test_everybody_is_ticked_once_a_second_until_discarded() -> None:
    loop = _Loop()
    clock = Watch(cast("asyncio.AbstractEventLoop", loop))
    first, second = _Visitor(), _Visitor()
    slot = clock.add(first)
    loop.second()
    later = clock.add(second)
    loop.second()
    assert (first.ticks, second.ticks) == (2, 1)
    assert len(clock) == 2
    clock.drain()
    assert (first.drained, second.drained) == (1, 1)
    assert len(loop.timers) == 1
    clock.discard(first, slot)
    loop.second()
    assert (first.ticks, second.ticks) == (2, 2)
    clock.discard(second, later)
    loop.second()
    assert loop.timers == []
    assert "0 visitors" in repr(clock)
    clock.add(first)
    loop.second()
    assert first.ticks == 3


async def test_the_end_waits_for_those_who_arrive_but_not_for_ever() -> None:
    clock = Watch(asyncio.get_running_loop())
    first, second = _Visitor(), _Visitor()
    slots = [(each, clock.add(each)) for each in (first, second)]
    async with asyncio.timeout(10):
        await clock.arrived(60)
        second.arriving = True
        await clock.arrived(0.05)
        waiting = asyncio.create_task(clock.arrived(60))
        await asyncio.sleep(0)
        assert not waiting.done()
        second.arriving = False
        await waiting
    for each, slot in slots:
        clock.discard(each, slot)


async def test_a_loop_has_one_watch() -> None:
    assert watch() is watch()
