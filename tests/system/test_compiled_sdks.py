"""ngrok's official Go SDK (v2) and Rust SDK, unmodified, against the whole service; by `make soak`.

What they promise in common; test_official_sdks.py asks more of the Python and Node SDKs, which are made of
the Rust one. Go's forwarder ends a connection whose visitor has ended its direction, so nobody does here.
"""

import asyncio
import secrets
import ssl
import string
from collections.abc import Generator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from tests.kit.certificates import Authority
from tests.kit.eventually import eventually, eventually_async
from tests.kit.product import Service, running_service
from tests.kit.sdk import COMPILED, Sdk, SdkError
from tests.kit.traffic import Answer, echo, get, hello_http, server, visitor

from portway.codec.proxy_protocol import decode

pytestmark = [pytest.mark.long, pytest.mark.timeout(2400)]

BACK = 150.0
"""Seconds that an SDK may take to be back: Rust is silent for 125 s when a restart lasts more than 2.5 s."""


@pytest.fixture(scope="module", params=COMPILED)
def sdk(request: pytest.FixtureRequest, service: Service) -> Generator[Sdk]:
    """One connected session of each SDK."""
    with Sdk(request.param, service) as sdk:
        sdk.connect()
        yield sdk


async def _get(service: Service, url: str) -> Answer:
    tls = ssl.create_default_context(cafile=service.bootstrap.ca_cert) if url.startswith("https") else None
    return await get(url, urlsplit(url).port or 0, tls=tls)


async def _echoed(url: str, size: int = 1 << 20, tls: ssl.SSLContext | None = None, name: str = "") -> None:
    """Send noise to an echo; all of it comes back."""
    noise = secrets.token_bytes(size)
    async with asyncio.timeout(30), visitor(urlsplit(url).port or 0, tls=tls, name=name or None) as streams:
        reader, writer = streams
        writer.write(noise)
        assert await reader.readexactly(size) == noise


@pytest.mark.row("S1", "S2", "S17", "S18", "S24")
@pytest.mark.parametrize("proto", ["https", "http"])
async def test_http_forwarded(service: Service, sdk: Sdk, proto: str) -> None:
    async with server(hello_http) as upstream:
        url = await asyncio.to_thread(sdk.forward, proto, f"http://localhost:{upstream}")
        answer = await _get(service, url + "/there")
    assert url.startswith(f"{proto}://")
    assert (answer.status, answer.body[:12]) == (200, b"hello /there")


async def test_http_listened_on(service: Service, sdk: Sdk) -> None:
    url = await asyncio.to_thread(sdk.listen, "https", f"{sdk.kind}.{service.bootstrap.domain}")
    answer = await _get(service, url + "/mine")
    assert (answer.status, answer.body) == (200, b"served by the SDK: /mine\n")
    assert urlsplit(url).hostname == f"{sdk.kind}.{service.bootstrap.domain}"


@pytest.mark.row("S5", "S6")
async def test_tcp_both_ways(sdk: Sdk) -> None:
    async with server(echo) as upstream:
        await _echoed(await asyncio.to_thread(sdk.forward, "tcp", f"tcp://localhost:{upstream}"))
    await _echoed(await asyncio.to_thread(sdk.listen, "tcp"))


async def test_tls_passed_through(service: Service, sdk: Sdk) -> None:
    name = f"passed-{sdk.kind}.{service.bootstrap.domain}"
    authority = Authority()
    async with server(echo, tls=authority.server_context(name)) as upstream:
        url = await asyncio.to_thread(sdk.forward, "tls", f"tcp://localhost:{upstream}", name)
        await _echoed(url, tls=authority.client_context(), name=name)


async def test_tls_that_ends_at_the_agent_or_at_the_edge(service: Service, sdk: Sdk) -> None:
    """Go ends it in the agent, Rust asks the service to: the same certificate either way."""
    name = f"ended-{sdk.kind}.{service.bootstrap.domain}"
    authority = Authority()
    chain, key = authority.issue(name)
    tls = {"certificate": chain.decode(), "key": key.decode()}
    async with server(echo) as upstream:
        url = await asyncio.to_thread(sdk.forward, "tls", f"tcp://localhost:{upstream}", name, tls=tls)
        await _echoed(url, tls=authority.client_context(), name=name)


@pytest.mark.row("S26", "T-068")
async def test_a_proxy_header(sdk: Sdk) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.put_nowait(await reader.readexactly(33))

    async with server(hear) as upstream:
        url = await asyncio.to_thread(sdk.forward, "tcp", f"tcp://localhost:{upstream}", proxy="2")
        async with asyncio.timeout(20), visitor(urlsplit(url).port or 0) as (_, writer):
            writer.write(b"hello")
            got = await heard.get()
            header = decode(got)
            assert header is not None
            assert header.source == ":".join(map(str, writer.get_extra_info("sockname")[:2]))
            assert got[header.size :] == b"hello"


@pytest.mark.row("S2", "S13")
@pytest.mark.parametrize("kind", COMPILED)
def test_heartbeats(service: Service, kind: str) -> None:
    with Sdk(kind, service) as sdk:
        sdk.connect(interval=1, tolerance=3)
        eventually(lambda: len(sdk.latencies()) >= 2, "two heartbeats are answered", timeout=20)


@pytest.mark.row("S30")
@pytest.mark.parametrize("kind", COMPILED)
async def test_endpoints_that_are_closed(service: Service, kind: str) -> None:
    with Sdk(kind, service) as sdk:
        await asyncio.to_thread(sdk.connect, interval=1, tolerance=1)
        urls = [await asyncio.to_thread(sdk.forward, "https", "http://localhost:1") for _ in range(2)]

        async def offline(url: str) -> bool:
            return (await _get(service, url)).fields.get("ngrok-error-code") == "ERR_NGROK_3200"

        assert not await offline(urls[0])
        await asyncio.to_thread(sdk.unbind, urls[0])
        assert await offline(urls[0])
        assert not await offline(urls[1])
        await asyncio.to_thread(sdk.disconnect)
        await eventually_async(lambda: offline(urls[1]), f"{urls[1]} is offline", timeout=15)


@pytest.mark.row("S27")
@pytest.mark.parametrize("kind", COMPILED)
def test_a_wrong_token(service: Service, kind: str) -> None:
    right = service.bootstrap.authtoken
    wrong = right[:-8] + "".join(secrets.choice(string.ascii_letters) for _ in range(8))
    with Sdk(kind, service, token=wrong) as sdk, pytest.raises(SdkError) as refused:
        sdk.connect()
    assert refused.value.code == "ERR_NGROK_107"


@pytest.mark.row("S21", "S31")
@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
@pytest.mark.parametrize("kind", COMPILED)
async def test_a_service_that_restarts(tmp_path: Path, kind: str, kill: bool) -> None:
    service = Service(tmp_path)
    await asyncio.to_thread(service.start)
    try:
        async with server(hello_http) as upstream:
            with Sdk(kind, service) as sdk:
                await asyncio.to_thread(sdk.connect)
                urls = [
                    await asyncio.to_thread(sdk.forward, proto, f"{to}://localhost:{upstream}")
                    for proto, to in (("https", "http"), ("http", "http"), ("tcp", "tcp"))
                ]
                await asyncio.to_thread(lambda: service.restart(kill=kill))
                for url in urls:
                    await eventually_async(
                        lambda url=url: _answers(service, url), f"{url} answers again", timeout=BACK
                    )
    finally:
        await asyncio.to_thread(service.kill)


async def _answers(service: Service, url: str) -> bool:
    return (await _get(service, url)).status == 200


@pytest.mark.row("G-062")
async def test_several_connections_of_the_go_sdk(tmp_path: Path) -> None:
    with running_service(tmp_path, "--connect-address", "localhost") as service, Sdk("go", service) as sdk:
        await asyncio.to_thread(sdk.connect, several=True)
        port = int(service.bootstrap.connect_url.rpartition(":")[2])
        held = [
            each
            for each in psutil.Process(sdk.pid).net_connections()
            if each.raddr and each.raddr.port == port
        ]
        assert len(held) == 2
        async with server(hello_http) as upstream:
            url = await asyncio.to_thread(sdk.forward, "https", f"http://localhost:{upstream}")
            for _ in range(4):
                assert await _answers(service, url)
        assert sdk.events().count("AgentConnectSucceeded") == 1


def test_the_go_sdk_diagnoses(service: Service) -> None:
    with Sdk("go", service) as sdk:
        sdk.connect()
        found = sdk.diagnose()
        assert found["region"] == "local"
        assert found["certificates"] >= 1
