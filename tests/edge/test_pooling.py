"""Pools on a whole data plane: who may share a URL, and how its visitors are spread."""

import asyncio
import contextlib
from collections import Counter
from typing import Any

import pytest
from tests.kit.agent import Agent, Taken, code
from tests.kit.http_edge import stand
from tests.kit.http_policy import HandPolicy
from tests.kit.pipes import spin_until
from tests.kit.service import DOMAIN, running_worker
from tests.kit.traffic import a_hello, get, visitor

from portway.model.event import EndpointUpdated
from portway.net.tasks import Tasks
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


@pytest.mark.row("G-115", "G-184")
async def test_each_request_of_a_kept_connection_goes_to_any_member() -> None:
    url = {"URL": f"http://pool.{DOMAIN}"}
    async with running_worker() as service, Tasks() as tasks:
        one, two = await service.two_agents()
        counts = Counter[str]()
        for agent, name in ((one, "one"), (two, "two")):
            assert (await agent.bind("http", url, PoolingEnabled=True))["Error"] == ""
            tasks.start(answering(agent, name, counts), name=f"agent {name}")
        async with visitor(service.http_port) as (reader, writer):
            for number in range(60):
                writer.write(f"GET /{number} HTTP/1.1\r\nHost: pool.{DOMAIN}\r\n\r\n".encode())
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
                assert head.startswith(b"HTTP/1.1 200")
                counts[(await reader.readexactly(3)).decode()] += 100
        assert counts["one"] // 100 + counts["two"] // 100 == 60
        assert counts["one"] % 100 == counts["one"] // 100, "who took a request has answered it"
        assert min(counts["one"], counts["two"]) >= 600, "each takes a share: fewer has odds of 1 in 10^8"
        await one.leave()
        await service.offline()
        assert (await get(f"http://pool.{DOMAIN}", service.http_port)).body == b"two"
        await two.leave()


async def answering(agent: Agent, name: str, counts: Counter[str]) -> None:
    """Answer an agent's visitors with its name, request by request."""

    async def serve(taken: Taken) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                await taken.reader.readuntil(b"\r\n\r\n")
                counts[name] += 1
                taken.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + name.encode())

    async with Tasks() as tasks:
        while True:
            tasks.start(serve(await agent.visitors.get()), name=f"visitor of {name}")


@pytest.mark.row("G-115", "G-184")
@pytest.mark.parametrize("proto", ["tcp", "tls"])
async def test_connections_are_spread_and_stay_where_they_are(proto: str) -> None:
    async with running_worker() as service, contextlib.AsyncExitStack() as visitors:
        port = service.worker.config.tcp_ports[0]
        service.control.reserve_address(port)
        one, two = await service.two_agents()
        url = f"tcp://localhost:{port}" if proto == "tcp" else f"tls://pool.{DOMAIN}"
        for agent in (one, two):
            assert (await agent.bind(proto, {"URL": url}, PoolingEnabled=True))["Error"] == ""
        door = port if proto == "tcp" else service.https_port
        # A hello is passed on as it came, so it alone shows where a visitor of a tls endpoint went.
        hello = a_hello(f"pool.{DOMAIN}") if proto == "tls" else b"hello"

        async def visit() -> asyncio.StreamWriter:
            _, writer = await visitors.enter_async_context(visitor(door))
            writer.write(hello)
            return writer

        first = [await visit() for _ in range(30)]
        await spin_until(lambda: one.visitors.qsize() + two.visitors.qsize() == 30)
        assert min(one.visitors.qsize(), two.visitors.qsize()) >= 1
        for writer in first:
            writer.write(b"more")
        for agent in (one, two):
            while not agent.visitors.empty():
                assert await (await agent.visitor()).read(len(hello) + 4) == hello + b"more"
        await one.leave()
        await service.offline()
        await visit()
        assert await (await two.visitor()).read(len(hello)) == hello
        await two.leave()


@pytest.mark.row("G-115", "G-184")
async def test_members_that_judge_connections_differently_keep_a_connection_each() -> None:
    """All requests of one connection go to one of them, another one for the next connection."""
    url = f"http://pool.{DOMAIN}"
    judging = "on_tcp_connect: [{actions: [{type: restrict-ips, config: {allow: [127.0.0.0/8]}}]}]"
    async with running_worker() as service, Tasks() as tasks:
        one, two = await service.two_agents()
        counts = Counter[str]()
        for agent, name, policy in ((one, "one", judging), (two, "two", "")):
            bound = await agent.bind("http", {"URL": url, "TrafficPolicy": policy}, PoolingEnabled=True)
            assert bound["Error"] == ""
            tasks.start(answering(agent, name, counts), name=f"agent {name}")
        served = Counter[str]()
        for _ in range(20):
            async with visitor(service.http_port) as (reader, writer):
                answers = set[bytes]()
                for _ in range(6):
                    writer.write(f"GET / HTTP/1.1\r\nHost: pool.{DOMAIN}\r\n\r\n".encode())
                    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
                    answers.add(await reader.readexactly(3))
                [served_by] = answers
                served[served_by.decode()] += 1
        assert set(served) == {"one", "two"}
        for agent in (one, two):
            await agent.leave()


@pytest.mark.row("G-115", "G-184")
async def test_only_equal_urls_are_a_pool() -> None:
    """Not a wildcard and a name below it, not two schemes, whatever they allow."""
    async with running_worker() as service:
        service.control.reserve_domain("*.a.test")
        one, two = await service.two_agents()
        for agent, proto, host in (
            (one, "https", "*.a.test"),
            (two, "https", "x.a.test"),
            (two, "http", "x.a.test"),
        ):
            bound = await agent.bind(proto, {"URL": f"{proto}://{host}"}, PoolingEnabled=True)
            assert bound["Error"] == ""
        assert code(await one.bind("tls", {"URL": "tls://x.a.test"}, PoolingEnabled=True)) == "334"
        assert sorted(len(each.pool) for each in service.worker.registry.all()) == [1, 1, 1]
        for agent in (one, two):
            await agent.leave()


@pytest.mark.parametrize("passage", [False, True])
async def test_a_stream_that_rests_ends_soon_after_its_member_has_left(passage: bool) -> None:
    """Within a second: who ends in order waits for its streams, and visitors may rest for minutes."""
    async with stand() as made:
        made.endpoint.policy = HandPolicy() if passage else None
        client = await made.visit()
        client.get()
        stream = await made.agent.stream()
        await stream.heads()
        stream.ok()
        await client.answer()
        made.visitor.tick()
        assert not stream.sink.ends
        made.agent.usable = False
        made.visitor.tick()
        await stream.ended()
        client.get()  # the connection is not ended by that
        assert (await client.answer())[1]["ngrok-error-code"] == "ERR_NGROK_3200"
