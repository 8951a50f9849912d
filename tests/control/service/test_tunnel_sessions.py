"""The agents that are connected, and what they are told."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.kit.live import FakeAgents, an_id, live_session, tell
from tests.kit.names import refused
from tests.kit.store import opened

from portway.control.service import tunnel_sessions
from portway.control.store.rows import Page
from portway.errors import NotFound


async def test_pages_of_what_an_account_has_connected(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        tell(context, *(live_session("ac_1", number) for number in range(5)), live_session("ac_2", 9))
        page = await tunnel_sessions.listed(context, "ac_1", Page(2))
        assert [each.id for each in page] == [an_id("ts", number) for number in (4, 3, 2)]
        rest = await tunnel_sessions.listed(context, "ac_1", Page(2, an_id("ts", 1)))
        assert [each.id for each in rest] == [an_id("ts", 0)]


async def test_a_foreign_session_is_not_there(tmp_path: Path) -> None:
    async with opened(tmp_path) as plain:
        agents = FakeAgents()
        context = replace(plain, agents=agents)
        session = live_session("ac_1")
        tell(context, session)
        assert await tunnel_sessions.get(context, "ac_1", session.id) == session
        for account, which in (("ac_2", session.id), ("ac_1", an_id("ts", 77))):
            with pytest.raises(NotFound):
                await tunnel_sessions.get(context, account, which)
            with pytest.raises(NotFound):
                await tunnel_sessions.command(context, account, which, "stop")
        assert agents.told == []


async def test_a_command_goes_to_the_agent_and_its_refusal_comes_back(tmp_path: Path) -> None:
    async with opened(tmp_path) as plain:
        session = live_session("ac_1")
        agents = FakeAgents()
        context = replace(plain, agents=agents)
        tell(context, session)
        await tunnel_sessions.command(context, "ac_1", session.id, "stop")
        await tunnel_sessions.command(context, "ac_1", session.id, "update", "3.9")
        assert agents.told == [(session.id, "stop", ""), (session.id, "update", "3.9")]
        agents.code = 804
        with refused(804):
            await tunnel_sessions.command(context, "ac_1", session.id, "restart")
