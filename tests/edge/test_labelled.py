"""Labelled tunnels: bound by what they say, filed under every group whose labels they have."""

import asyncio
from typing import Any

import pytest
from tests.kit.agent import code
from tests.kit.edges import LABELS, backend, serve, tell
from tests.kit.service import Running, running_worker, settings

from portway.edge.labelled import Tunnels
from portway.edge.pool import Pool
from portway.edge.ports import Limits
from portway.model.event import EndpointOffline, EndpointOnline
from portway.model.plan import Plan
from portway.model.view import CredentialItem
from portway.session import StreamType


def tunnels(service: Running) -> Tunnels:
    assert service.worker.gateway is not None
    return service.worker.gateway.tunnels


def pool(service: Running, number: int = 1) -> Pool:
    found = tunnels(service).pool(f"bkdtg_{number}")
    assert found is not None
    return found


@pytest.mark.row("T-087")
async def test_a_tunnel_serves_the_groups_all_of_whose_labels_it_has() -> None:
    async with running_worker() as service, service.connected() as agent, service.connected("other") as other:
        wanted: list[tuple[dict[str, str], int]] = [
            ({"a": "1"}, 2), ({"a": "1", "b": "2"}, 1), ({"a": "2"}, 0), ({"b": "2", "c": "3"}, 0), ({}, 0),
        ]  # fmt: skip
        for number, (labels, _) in enumerate(wanted):
            tell(service, backend(number=number, labels=labels))
        await serve(agent, {"a": "1", "b": "2"})
        await serve(agent, {"a": "1"})
        await serve(other, {"a": "1", "b": "2"})
        assert [len(pool(service, number)) for number in range(5)] == [count for _, count in wanted]
        tell(service, backend(number=2, labels={"b": "2"}))
        assert len(pool(service, 2)) == 1, "who is there already serves a group that has changed"
        assert "<Tunnels 3 groups=5>" in repr(tunnels(service))


async def test_it_is_told_and_ends_with_its_session() -> None:
    async with running_worker() as service, service.connected() as agent:
        tell(service, backend())
        answer = await serve(agent, LABELS | {"team": "web"}, Metadata="m", ForwardsProto="http2")
        online = await service.events.next(EndpointOnline)
        assert (online.endpoint_id, online.url, online.metadata) == (answer["Id"], "", "m")
        assert dict(online.labels) == LABELS | {"team": "web"}
        assert online.upstream_protocol == "http2"
        await agent.vanish()
        offline = await service.events.next(EndpointOffline)
        assert offline.endpoint_id == answer["Id"]
        assert len(pool(service)) == 0


async def test_it_ends_when_the_agent_says_so_however_often() -> None:
    async with running_worker() as service, service.connected() as agent:
        tell(service, backend())
        bind_id = (await serve(agent))["Id"]
        for _ in range(3):
            assert (await agent.call(StreamType.UNBIND, {"Id": bind_id}))["Error"] == ""
        assert len(pool(service)) == 0
        assert len(service.events.of(EndpointOffline)) == 1


@pytest.mark.parametrize(
    ("labels", "more", "number"),
    [
        ({}, {}, "394"),
        ({f"k{n}": "v" for n in range(33)}, {}, "6508"),
        ({"": "v"}, {}, "6509"),
        ({"k" * 256: "v"}, {}, "6509"),
        ({"k": ""}, {}, "6510"),
        ({"k": "v" * 1025}, {}, "6510"),
        ({"k=l": "v"}, {}, "6531"),
        ({"k": "v=w"}, {}, "6531"),
        ({"k": "v"}, {"ForwardsProto": "spdy"}, "15003"),
        ({"k": "v"}, {"Metadata": "x" * 4097}, "18013"),
        ({"k": 5}, {}, "301"),
    ],
)
async def test_refusals_have_their_codes(labels: dict[str, Any], more: dict[str, Any], number: str) -> None:
    async with running_worker() as service, service.connected() as agent:
        assert code(await serve(agent, labels, **more)) == number
        assert (await serve(agent))["Error"] == "", "the session lives"


async def test_access_rules_allow_labels_and_end_tunnels_that_they_allow_no_more() -> None:
    async with running_worker() as service:
        service.control.allow("bind:team=*")
        async with service.connected() as agent:
            assert code(await serve(agent, {"team": "web", "edge": "1"})) == "399"
            bind_id = (await serve(agent, {"team": "web"}))["Id"]
            item = CredentialItem("cr_good", "ac_good", ("bind:edge=1",))
            service.control.withheld = [item]
            assert (await serve(agent, {"edge": "1"}))["Error"] == "", "the news was waited for"
            kind, told = await agent.request()
            assert kind == StreamType.STOP_TUNNEL
            assert (told["Id"], told["ErrorCode"]) == (bind_id, "ERR_NGROK_399")


async def test_a_plan_may_have_no_labelled_tunnels() -> None:
    config = settings(plans={"free": Plan(labelled_tunnels=False)})
    async with running_worker(config=config) as service, service.connected() as agent:
        assert code(await serve(agent)) == "358"


async def test_tunnels_count_among_the_endpoints_of_a_session() -> None:
    async with (
        running_worker(limits=Limits(endpoints_per_session=1)) as service,
        service.connected() as agent,
    ):
        assert (await serve(agent))["Error"] == ""
        assert code(await serve(agent)) == "324"
        assert code(await agent.bind()) == "324"


async def test_a_cancelled_bind_leaves_nothing() -> None:
    async with running_worker() as service, service.connected() as agent:
        service.control.allow("bind:team=web")
        caught = asyncio.Event()

        async def never() -> None:
            caught.set()
            await asyncio.Event().wait()

        service.control.caught_up = never  # type: ignore[method-assign]
        waiting = asyncio.create_task(serve(agent, {"edge": "1"}))
        await asyncio.wait_for(caught.wait(), 10)
        await agent.vanish()
        waiting.cancel()
        assert "<Tunnels 0" in repr(tunnels(service))
