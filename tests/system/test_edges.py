"""Edges on the whole product: made by the API, served by labelled listeners, visited by real programs."""

import asyncio
import socket
from collections.abc import Generator
from typing import Any

import pytest
from tests.kit.eventually import eventually
from tests.kit.product import Service, running_service
from tests.kit.rest import Rest
from tests.kit.sdk import Sdk
from tests.kit.traffic import echo, server, visitor

pytestmark = pytest.mark.xdist_group("edges")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[Service]:
    """One service for all of these tests."""
    with running_service(tmp_path_factory.mktemp("edges"), "--log-format", "json") as service:
        yield service


@pytest.fixture(scope="module")
def sdk(service: Service) -> Generator[Sdk]:
    """One session of the official Python SDK."""
    with Sdk("python", service) as sdk:
        sdk.connect()
        yield sdk


async def echoed(port: int, payload: bytes) -> bytes:
    """Send some bytes through a TCP endpoint; return what comes back."""
    async with visitor(port) as (reader, writer):
        writer.write(payload)
        writer.write_eof()
        return await asyncio.wait_for(reader.read(-1), 20)


async def opened(hostport: str) -> int:
    """Wait until an edge listens at its address; return the port."""
    port = int(hostport.rpartition(":")[2])
    await asyncio.to_thread(eventually, lambda: is_open(port), "the edge listens")
    return port


def is_open(port: int) -> bool:
    """Tell whether somebody listens on a port."""
    with socket.socket() as visitor:
        return visitor.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.row("T-087")
async def test_a_labelled_listener_serves_the_edge(service: Service, sdk: Sdk) -> None:
    rest = Rest(service)
    edge: dict[str, Any] = await asyncio.to_thread(rest.done, "POST", "/edges/tcp?whole=true", {})
    (hostport,) = edge["hostports"]
    port = await opened(hostport)
    async with server(echo) as upstream:
        await asyncio.to_thread(sdk.serve, {"edge": edge["id"]}, f"tcp://localhost:{upstream}")
        assert await echoed(port, b"hello through the edge") == b"hello through the edge"
