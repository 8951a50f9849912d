"""Sessions at hand: the store is asked rarely, and what ended there has ended here."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from tests.kit.identity import Clock, FakeStore

from portway.edge.identity_pages import LoginFailed
from portway.edge.identity_sessions import Sessions
from portway.model.identity import Browser, Person, SessionOpening, Tokens, VisitorSession
from portway.net.tasks import Tasks


class Stand:
    """Sessions over a store of the test's."""

    def __init__(self, tasks: Tasks, kept: int = 100) -> None:
        self.clock = Clock()
        self.store = FakeStore(self.clock)
        self.sessions = Sessions(self.store, tasks, self.clock, self.clock, kept=kept)

    async def open(self, token_hash: str = "h") -> VisitorSession:
        """Make a session."""
        person = Person("google", "https://idp.example", "ada")
        return await self.sessions.open(
            SessionOpening("ac_1", "ep_1", "u", "r", "c", "s", token_hash, person, Tokens(), Browser())
        )


@pytest.fixture
async def stand() -> AsyncGenerator[Stand]:
    async with Tasks() as tasks:
        yield Stand(tasks)


async def test_a_session_that_was_used_is_not_asked_for_again(stand: Stand) -> None:
    made = await stand.open()
    for _ in range(10):
        assert await stand.sessions.find("h") == made
    assert stand.store.calls == ["open"]
    stand.clock.now += 61
    assert await stand.sessions.find("h") == made
    assert stand.store.calls == ["open", "find"]


async def test_a_use_is_written_once_a_minute(stand: Stand) -> None:
    made = await stand.open()
    for _ in range(130):
        stand.clock.now += 1
        stand.sessions.used(made)
    await asyncio.sleep(0)
    assert stand.store.calls.count("use") == 2
    found = await stand.sessions.find("h")
    assert found is not None
    assert found.last_active == stand.clock.now


async def test_what_ended_is_gone_at_once(stand: Stand) -> None:
    made = await stand.open()
    stand.store.sessions.clear()
    assert await stand.sessions.find("h") == made
    stand.sessions.forget(made.id)
    assert await stand.sessions.find("h") is None


async def test_an_end_that_overtakes_the_answer_holds() -> None:
    gate = asyncio.Event()

    class Slow(FakeStore):
        async def find_session(self, token_hash: str) -> VisitorSession | None:
            found = await super().find_session(token_hash)
            await gate.wait()
            return found

    async with Tasks() as tasks:
        stand = Stand(tasks)
        stand.store = Slow(stand.clock)
        stand.sessions = Sessions(stand.store, tasks, stand.clock, stand.clock)
        made = await stand.open()
        stand.clock.now += 61
        asking = [asyncio.ensure_future(stand.sessions.find("h")) for _ in range(3)]
        await asyncio.sleep(0)
        stand.sessions.forget(made.id)
        gate.set()
        assert await asyncio.gather(*asking) == [None, None, None]
        assert stand.store.calls.count("find") == 1


async def test_unknown_cookies_are_remembered_for_a_while(stand: Stand) -> None:
    for _ in range(5):
        assert await stand.sessions.find("nobody") is None
    assert stand.store.calls == ["find"]
    stand.clock.now += 11
    assert await stand.sessions.find("nobody") is None
    assert stand.store.calls == ["find", "find"]


async def test_what_is_at_hand_holds_for_a_while_when_nobody_answers(stand: Stand) -> None:
    made = await stand.open()
    stand.store.away = True
    stand.clock.now += 200
    assert await stand.sessions.find("h") == made
    with pytest.raises(LoginFailed) as raised:
        await stand.sessions.find("another")
    assert raised.value.code == 3150
    stand.clock.now += 200
    with pytest.raises(LoginFailed):
        await stand.sessions.find("h")
    stand.store.away = False
    assert await stand.sessions.find("h") == made


async def test_memory_is_bounded() -> None:
    async with Tasks() as tasks:
        stand = Stand(tasks, kept=10)
        for number in range(30):
            await stand.open(f"h{number}")
        for number in range(6000):
            assert await stand.sessions.find(f"n{number}") is None
        assert repr(stand.sessions) == "<Sessions known=10 unknown=4096 asked=0>"


async def test_who_cannot_open_is_told_so(stand: Stand) -> None:
    stand.store.away = True
    with pytest.raises(LoginFailed) as raised:
        await stand.open()
    assert raised.value.code == 3163
