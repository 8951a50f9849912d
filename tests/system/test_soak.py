"""What takes minutes: run by `make soak`, not by `make test`."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from tests.kit.eventually import eventually_async, let_pass
from tests.kit.product import Service, agent_beside, running_service
from tests.kit.traffic import echo, exchange, get, hello_http, server, visitor

import portway

pytestmark = pytest.mark.long

MIB = 1 << 20


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
