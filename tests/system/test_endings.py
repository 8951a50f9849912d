"""Orderly ends of an endpoint, an agent and the service: whatever is under way is not lost.

Each test has a download, a chunked answer, an upload, an upgraded connection and a tcp connection stand
half-way, ends something, and lets them go the rest of the way.
"""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from tests.kit.eventually import eventually, eventually_async
from tests.kit.flights import Upstream, flights, land, upstream
from tests.kit.product import AgentProcess, Service, agent_beside, running_service
from tests.kit.sdk import Sdk
from tests.kit.traffic import get, visitor

import portway

pytestmark = pytest.mark.xdist_group("endings")


@pytest_asyncio.fixture
async def serving() -> AsyncGenerator[Upstream]:
    """Where all visitors end up."""
    async with upstream() as made:
        yield made


def agent_of(service: Service) -> portway.Agent:
    known = service.bootstrap
    return portway.Agent(
        authtoken=known.authtoken, connect_url=known.connect_url, connect_cas=Path(known.ca_cert)
    )


def door(service: Service, url: str) -> tuple[int, str]:
    """Where an http endpoint's visitors connect, and what Host they name."""
    return service.bootstrap.http_port, urlsplit(url).netloc


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port
    return port


async def offline(service: Service, url: str) -> bool:
    return (await get(url, service.bootstrap.http_port)).status == 404


@pytest.mark.row("G-083")
async def test_an_endpoint_that_our_agent_closes(service: Service, serving: Upstream) -> None:
    async with agent_of(service) as agent:
        web = await agent.forward(serving.port, url="http://")
        raw = await agent.forward(serving.echo_port, url="tcp://")
        async with flights(door(service, str(web.url)), port_of(str(raw.url))) as started:
            await asyncio.gather(web.close(), raw.close())
            assert await offline(service, str(web.url))
            with pytest.raises(ConnectionRefusedError):
                async with visitor(port_of(str(raw.url))):
                    pass
            await land(started, serving)


async def test_an_endpoint_that_the_official_sdk_closes(service: Service, serving: Upstream) -> None:
    with Sdk("python", service) as sdk:
        await asyncio.to_thread(sdk.connect)
        web = await asyncio.to_thread(sdk.forward, "http", f"http://127.0.0.1:{serving.port}")
        raw = await asyncio.to_thread(sdk.forward, "tcp", f"tcp://127.0.0.1:{serving.echo_port}")
        async with flights(door(service, web), port_of(raw)) as started:
            for url in (web, raw):
                await asyncio.to_thread(sdk.unbind, url)
            assert await offline(service, web)
            await land(started, serving)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_agent_of_the_command_line_that_is_told_to_end(
    service: Service, serving: Upstream, number: signal.Signals
) -> None:
    async with (
        agent_beside(service, "http", str(serving.port), "--url", "http://ends.portway.localhost") as one,
        agent_beside(service, "tcp", str(serving.echo_port)) as two,
    ):
        (web, web_url), (raw, raw_url) = one, two
        async with flights(door(service, web_url), port_of(raw_url)) as started:
            for agent in (web, raw):
                os.kill(agent.pid, number)
            await eventually_async(lambda: offline(service, web_url), "the endpoint is offline")
            await land(started, serving, lambda: ended(web) or ended(raw))
            for agent in (web, raw):
                await asyncio.to_thread(eventually, lambda agent=agent: ended(agent), "the agent ends")
                assert agent.exited() == 0


def ended(agent: AgentProcess) -> bool:
    return agent.exited() is not None


async def test_an_agent_that_is_told_twice_cuts(service: Service, serving: Upstream) -> None:
    async with (
        agent_beside(service, "http", str(serving.port), "--url", "http://twice.portway.localhost") as (
            agent,
            url,
        ),
        flights(door(service, url), kinds=("download",)) as [download],
    ):
        os.kill(agent.pid, signal.SIGTERM)
        await eventually_async(lambda: offline(service, url), "the endpoint is offline")
        assert agent.exited() is None
        os.kill(agent.pid, signal.SIGTERM)
        await download.is_cut()
        await asyncio.to_thread(eventually, lambda: ended(agent), "the agent ends")


async def test_a_service_that_is_told_to_end(tmp_path: Path, serving: Upstream) -> None:
    """With our agent and the official SDK: kept connections end behind the answer that runs."""
    with running_service(tmp_path) as service, Sdk("python", service) as sdk:
        await asyncio.to_thread(sdk.connect)
        theirs = await asyncio.to_thread(sdk.forward, "http", f"http://127.0.0.1:{serving.port}")
        theirs_raw = await asyncio.to_thread(sdk.forward, "tcp", f"tcp://127.0.0.1:{serving.echo_port}")
        async with agent_of(service) as agent, AsyncExitStack() as stack:
            ours = str((await agent.forward(serving.port, url="http://")).url)
            ours_raw = str((await agent.forward(serving.echo_port, url="tcp://")).url)
            started = [
                each
                for web, raw in ((ours, ours_raw), (theirs, theirs_raw))
                for each in await stack.enter_async_context(flights(door(service, web), port_of(raw)))
            ]
            _, idle = (
                await stack.enter_async_context(visitor(service.bootstrap.http_port)),
                await kept(service, ours, stack),
            )
            os.kill(service.pid, signal.SIGTERM)
            assert await asyncio.wait_for(idle.read(), 20) == b"", "a connection that rests ends at once"
            await eventually_async(lambda: refused(service), "the service accepts nobody")
            await land(started, serving, lambda: service.exited() is not None)
            for each in started:
                await each.ends()
                if each.kind == "upload":
                    assert b"connection: close" in each.fields.lower()
            await asyncio.to_thread(eventually, lambda: service.exited() is not None, "the service ends")
            assert service.exited() == 0
            assert "cutting" not in service.log


async def kept(service: Service, url: str, stack: AsyncExitStack) -> asyncio.StreamReader:
    """Make a visitor whose connection rests after one answer."""
    port, host = door(service, url)
    reader, writer = await stack.enter_async_context(visitor(port))
    writer.write(f"GET /other HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
    return reader


async def refused(service: Service) -> bool:
    try:
        async with visitor(service.bootstrap.http_port):
            return False
    except ConnectionRefusedError:
        return True
