"""Binding again on a new session: what may go wrong."""

import pytest
from tests.kit.fake_service import Arrived, FakeService, agent_of

from portway.wire.messages import Bind, BindResp


@pytest.mark.row("A9")
async def test_an_unreadable_answer_does_not_end_the_agent(service: FakeService) -> None:
    """Whatever goes wrong with one bind costs that endpoint a moment, not the agent its life."""
    broken = 1

    async def once_broken(arrived: Arrived, bind: Bind) -> BindResp:
        nonlocal broken
        if bind.id and broken:
            broken -= 1
            return None  # pyright: ignore[reportReturnType] - encoded as null, which is no answer
        return await service.grant(arrived, bind)

    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        service.on_bind = once_broken
        service.last.drop()
        await service.until(lambda: len(service.arrived) == 2 and len(service.last.binds) == 2)
        assert not listener.done()
        assert agent.connected
