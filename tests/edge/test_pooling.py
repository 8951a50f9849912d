"""Pools on a whole data plane: who may share a URL, and how its visitors are spread."""

from typing import Any

import pytest
from tests.kit.agent import Agent, code
from tests.kit.service import DOMAIN, running_worker

from portway.model.event import EndpointUpdated
from portway.session import StreamType


@pytest.mark.row("G-115")
async def test_a_pool_needs_pooling_on_every_member() -> None:
    async with running_worker() as service:
        one, two = await service.two_agents()
        url = {"URL": f"https://pool.{DOMAIN}"}
        first = await one.bind("https", url, PoolingEnabled=True)
        assert code(await two.bind("https", url)) == "334"
        second = await two.bind("https", url, PoolingEnabled=True, Description="second")
        assert second["Error"] == ""
        assert second["Id"] != first["Id"]
        [endpoint] = service.worker.registry.all()
        assert len(endpoint.pool) == 2
        await one.vanish()
        await service.offline()
        assert (endpoint.id, endpoint.description) == (second["Id"], "second")
        await one.reconnect()
        assert (await one.rebind("https", first, PoolingEnabled=True))["Error"] == ""
        for agent in (one, two):
            await agent.leave()
        await service.offline(3)
        assert service.control.names == {}


@pytest.mark.row("G-115")
@pytest.mark.parametrize("url", [f"https://pool.{DOMAIN}", "tls://pool.internal:8443"])
async def test_pooling_is_changed_only_where_nobody_else_is_concerned(url: str) -> None:
    proto = url.partition(":")[0]
    async with running_worker() as service:
        one, two = await service.two_agents()

        async def pooling(agent: Agent, bound: dict[str, Any], *, enabled: bool) -> dict[str, Any]:
            change = {"TunnelId": bound["Extra"]["TunnelID"], "PoolingEnabled": enabled, "Metadata": "m"}
            return await agent.call(StreamType.PATCH, change)

        first = await one.bind(proto, {"URL": url})
        assert code(await two.bind(proto, {"URL": url}, PoolingEnabled=True)) == "334"
        assert (await pooling(one, first, enabled=True))["Error"] == ""
        second = await two.bind(proto, {"URL": url}, PoolingEnabled=True)
        [endpoint] = service.worker.registry.all()
        assert len(endpoint.pool) == 2
        assert code(await pooling(two, second, enabled=False)) == "18017"
        assert not any(event.endpoint_id == second["Id"] for event in service.events.of(EndpointUpdated))
        await one.call(StreamType.UNBIND, {"Id": first["Id"]})
        assert (await pooling(two, second, enabled=False))["Error"] == ""
        assert code(await one.bind(proto, {"URL": url}, PoolingEnabled=True)) == "334"
        for agent in (one, two):
            await agent.leave()


async def test_one_agent_may_pool_with_itself() -> None:
    async with running_worker() as service, service.connected() as agent:
        url = {"URL": f"https://twice.{DOMAIN}"}
        first = await agent.bind("https", url, PoolingEnabled=True)
        second = await agent.bind("https", url, PoolingEnabled=True)
        assert first["Id"] != second["Id"]
        await agent.call(StreamType.UNBIND, {"Id": first["Id"]})
        await service.settled()
        assert first["URL"] in service.control.names
        assert len(service.worker.registry) == 1
        await agent.call(StreamType.UNBIND, {"Id": second["Id"]})
        await service.settled()
        assert service.control.names == {}
