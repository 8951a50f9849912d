"""Asking once for all who want the same."""

import asyncio

from portway.edge.once import Once


class Asker:
    """Answers when a test says so."""

    def __init__(self) -> None:
        self.times = 0
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.times += 1
        times = self.times
        self.begun.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return times


async def begun(once: Once, asker: Asker, count: int) -> list[asyncio.Task[int]]:
    asks = [asyncio.ensure_future(once.ask("a", asker)) for _ in range(count)]
    async with asyncio.timeout(20):
        await asker.begun.wait()
    return asks


async def test_one_asks_for_all() -> None:
    once, asker = Once(), Asker()
    asks = await begun(once, asker, 3)
    assert (once.waiting("a"), len(once), repr(once)) == (2, 1, "<Once asked=1 waiting=2>")
    asker.gate.set()
    assert await asyncio.gather(*asks) == [1, 1, 1]
    assert await once.ask("a", asker) == 2
    assert repr(once) == "<Once asked=0 waiting=0>"


async def test_who_leaves_takes_nobody_along() -> None:
    once, asker = Once(), Asker()
    first, second, third, *others = await begun(once, asker, 5)
    asker.begun.clear()
    first.cancel()
    third.cancel()
    async with asyncio.timeout(20):
        await asker.begun.wait()
    asker.gate.set()
    assert await asyncio.gather(second, *others) == [2, 2, 2]
    assert first.cancelled()
    assert third.cancelled()
    assert repr(once) == "<Once asked=0 waiting=0>"


async def test_what_fails_fails_for_all_and_is_asked_again() -> None:
    once, asker = Once(), Asker()
    asker.error = ValueError("no")
    asks = await begun(once, asker, 3)
    asker.gate.set()
    found = await asyncio.gather(*asks, return_exceptions=True)
    assert [str(each) for each in found] == ["no"] * 3
    asker.error = None
    assert await once.ask("a", asker) == 2
