"""What takes minutes: run by `make soak`, not by `make test`."""

import asyncio
import os
import random
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from tests.kit.driven import driven_agent
from tests.kit.eventually import eventually, eventually_async, let_pass
from tests.kit.fault_proxy import fault_proxy
from tests.kit.netns import NAME, SpacedAgent, cable, pull
from tests.kit.product import Service, agent_beside, running_service
from tests.kit.rest import Rest
from tests.kit.traffic import echo, exchange, get, hello_http, server, visitor
from tests.system.test_chaos import (
    NOTICE,
    RETURN,
    SLACK,
    back_after,
    downloading,
    is_served,
    outcome,
    port_of,
    pouring,
    rounds,
)

import portway

pytestmark = pytest.mark.long

MIB = 1 << 20

CUTS = 600.0
"""Seconds for which the cable is pulled out again and again."""

SYN_GAP = 4.0
"""Seconds between two tries of a kernel to connect, within the 10 s that a dial may take: at 3 and 7 s."""


@pytest.mark.timeout(900)
async def test_fifty_crashes_of_the_service(tmp_path: Path) -> None:
    """After each crash the same URLs answer; neither process keeps descriptors or memory."""
    service = Service(tmp_path)
    sizes: list[tuple[int, int]] = []
    await asyncio.to_thread(service.start)
    try:
        async with (
            server(hello_http) as upstream,
            agent_beside(service, "tcp", str(upstream)) as (agent, url),
        ):
            port = urlsplit(url).port or 0

            async def answers() -> bool:
                return (await get(url.replace("tcp", "http"), port)).status == 200

            for _ in range(50):
                await asyncio.to_thread(lambda: service.restart(kill=True))
                await eventually_async(answers, f"{url} answers again", timeout=15)
                sizes.append((psutil.Process(agent.pid).num_fds(), agent.rss()))
    finally:
        await asyncio.to_thread(service.kill)
    assert sizes[-1][0] <= sizes[5][0] + 2
    assert sizes[-1][1] <= sizes[5][1] + 8 * MIB


@pytest.mark.timeout(600)
@pytest.mark.row("T-009")
async def test_connections_that_rest_for_four_minutes(tmp_path: Path) -> None:
    """A silent connection within the idle limit stays whole, beside one that says something now and then."""
    with running_service(tmp_path) as service:
        known = service.bootstrap
        async with (
            server(echo) as upstream,
            portway.Agent(
                authtoken=known.authtoken, connect_url=known.connect_url, connect_cas=known.ca_cert
            ) as agent,
            AsyncExitStack() as held,
        ):
            forwarder = await agent.forward(f"127.0.0.1:{upstream}", url="tcp://")
            port = forwarder.url.port or 0
            silent = await held.enter_async_context(visitor(port))
            pinging = await held.enter_async_context(visitor(port))
            for _ in range(8):
                await asyncio.to_thread(let_pass, 30.0)
                pinging[1].write(b"ping")
                assert await asyncio.wait_for(pinging[0].readexactly(4), 10) == b"ping"
            result = await exchange(*silent, 5 * MIB, seed=9)
    assert result.received_hash == result.sent_hash


@pytest.mark.timeout(1800)
@pytest.mark.row("A9", "S30")
async def test_two_hundred_rounds_leave_nothing_behind(tmp_path: Path) -> None:
    """Cuts, half-open sessions and black holes in turn, two downloads in flight each time."""
    with running_service(tmp_path) as service:
        await rounds(service, 200)


@pytest.mark.timeout(300)
@pytest.mark.row("A9", "A10", "S21")
async def test_an_outage_of_a_minute(tmp_path: Path) -> None:
    """The service is refused for as long as the agent is brisk; then it is back at once."""
    with running_service(tmp_path) as service:
        async with (
            server(pouring) as upstream,
            fault_proxy(port_of(f"//{service.bootstrap.connect_url}")) as proxy,
            driven_agent(service, str(upstream), "tcp://", port=proxy.port) as (_, url),
            downloading(url) as reader,
        ):
            proxy.refuse()
            proxy.cut()
            assert await outcome(reader) == "reset"
            await asyncio.to_thread(let_pass, 60.0)
            await proxy.open()
            took = await back_after(url, time.monotonic())
    print(f"outage of 60 s: back after {took:.2f} s")


@pytest.mark.timeout(300)
@pytest.mark.row("A3", "A9", "S14", "S21")
async def test_a_link_that_is_down_for_a_while(tmp_path: Path) -> None:
    """The real black hole: an agent in a network namespace, whose cable is pulled in mid-transfer."""
    if os.geteuid() != 0:
        pytest.skip("making a network namespace needs root")
    with cable() as (space, near), running_service(tmp_path, "--listen-agent", f"{near}:0") as service:
        port = port_of(f"//{service.bootstrap.connect_url}")
        async with server(pouring, host=near) as upstream:
            agent = SpacedAgent(service, space, f"{NAME}:{port}")
            try:
                (url,) = await asyncio.to_thread(lambda: agent.start(f"{near}:{upstream}", "tcp://"))
                for down in (5.0, 20.0):
                    lost = len(agent.told("lost"))
                    async with downloading(url) as reader:
                        pull(space, down=True)
                        since = time.monotonic()
                        assert await outcome(reader) == "reset"
                        noticed = time.monotonic() - since
                        await asyncio.to_thread(let_pass, down)
                        at_agent = agent.told("lost")[lost] - since
                        pull(space, down=False)
                        took = await back_after(url, time.monotonic(), SYN_GAP + RETURN + SLACK)
                    print(f"down {down} s: noticed {noticed:.2f}, {at_agent:.2f} s; back after {took:.2f} s")
                    assert max(noticed, at_agent) < NOTICE + SLACK
            finally:
                await asyncio.to_thread(agent.kill)


@pytest.mark.timeout(900)
@pytest.mark.row("A9", "A10", "G-047", "S21", "S30")
async def test_ten_minutes_of_a_cable_that_is_pulled_every_few_seconds(tmp_path: Path) -> None:
    """At the end every endpoint is up under its URL, and no task, descriptor or endpoint is left over.

    Some outages are over before a heartbeat misses them, some last for several attempts to connect. The
    ten rounds of test_chaos.py are the short form.
    """
    if os.geteuid() != 0:
        pytest.skip("making a network namespace needs root")
    chance = random.Random(7)
    with cable() as (space, near), running_service(tmp_path, "--listen-agent", f"{near}:0") as service:
        port = port_of(f"//{service.bootstrap.connect_url}")
        process = psutil.Process(service.pid)
        async with server(pouring, host=near) as upstream:
            agent = SpacedAgent(service, space, f"{NAME}:{port}")
            try:
                urls = await asyncio.to_thread(lambda: agent.start(f"{near}:{upstream}", "tcp://", count=12))
                await all_answer(urls)
                before = await asyncio.to_thread(agent.tasks), agent.descriptors(), process.num_fds()
                cuts, end = 0, time.monotonic() + CUTS
                while time.monotonic() < end:
                    with suppress(OSError, EOFError):  # a session that is just being lost: no cut then
                        async with downloading(chance.choice(urls)):
                            cuts += 1
                            pull(space, down=True)
                            await asyncio.to_thread(let_pass, chance.uniform(0.2, 6.0))
                            pull(space, down=False)
                    await asyncio.to_thread(let_pass, chance.uniform(0.5, 4.0))
                    await all_answer(urls)
                returns = len(agent.told("back")) - 1

                def left() -> tuple[int, int, int]:
                    return agent.tasks(), agent.descriptors(), process.num_fds()

                def settled() -> bool:
                    return all(now <= then for now, then in zip(left(), before, strict=True))

                await asyncio.to_thread(eventually, settled, "nothing is left over", timeout=30)
                online = Rest(service).done("GET", "/endpoints")["endpoints"]
                print(f"{cuts} cuts, {returns} new sessions; tasks and descriptors {before} to {left()}")
                assert sorted(each["public_url"] for each in online) == sorted(urls)
                assert returns > cuts / 3, "too few cuts were long enough to be noticed"
            finally:
                await asyncio.to_thread(agent.kill)


async def all_answer(urls: list[str]) -> None:
    """Wait until each endpoint answers."""
    for url in urls:
        await eventually_async(lambda url=url: is_served(url), f"{url} answers", timeout=60)
