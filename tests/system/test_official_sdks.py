"""ngrok's official Python and Node SDKs, unmodified, against the whole service."""

import asyncio
import secrets
import socket
import ssl
import string
import time
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.kit import mutual
from tests.kit.certificates import Authority
from tests.kit.eventually import eventually, eventually_async
from tests.kit.fault_proxy import FaultProxy, fault_proxy
from tests.kit.product import START, Service
from tests.kit.sdk import SDKS, Sdk, SdkError
from tests.kit.traffic import Answer, echo, exchange, get, hello_http, server, visitor

from portway.codec.proxy_protocol import ProxyProtocol, decode

pytestmark = pytest.mark.xdist_group("sdks")

MIB = 1 << 20
RECONNECT = 15.0
"""Seconds that an SDK may take to be back after a restart: it tries at 0, 0.05 and 2.5 s."""

LAST_TRY = 2.4
"""Seconds after the loss until when a service must accept again: the last try, and the way there."""

CHANCES = 4
"""Restarts of which one must be as quick as that."""


@pytest.fixture(scope="module", params=SDKS)
def sdk(request: pytest.FixtureRequest, service: Service) -> Generator[Sdk]:
    """One connected session of each SDK."""
    with Sdk(request.param, service) as sdk:
        sdk.connect()
        yield sdk


@pytest.mark.row("S1", "S2", "S17", "S18", "S24")
@pytest.mark.parametrize("proto", ["https", "http"])
async def test_http_endpoint_forwarded_by_the_sdk(service: Service, sdk: Sdk, proto: str) -> None:
    async with server(hello_http) as upstream:
        url = await asyncio.to_thread(sdk.forward, proto, f"http://localhost:{upstream}")
        answer = await _get(service, url + "/there")
    host = urlsplit(url).netloc
    assert url.startswith(f"{proto}://")
    assert (answer.status, answer.body) == (200, f"hello /there host={host} body=0\n".encode())


@pytest.mark.row("S18", "S24")
async def test_http_endpoint_listened_on_by_the_sdk(service: Service, sdk: Sdk) -> None:
    url = await asyncio.to_thread(sdk.listen, "https")
    answer = await _get(service, url + "/mine")
    assert (answer.status, answer.body) == (200, b"served by the SDK: /mine\n")


@pytest.mark.row("S20")
async def test_a_name_that_was_asked_for_is_given(service: Service, sdk: Sdk) -> None:
    name = f"wanted-{sdk.kind}.{service.bootstrap.domain}"
    async with server(hello_http) as upstream:
        url = await asyncio.to_thread(sdk.forward, "https", f"http://localhost:{upstream}", name.upper())
        answer = await _get(service, url)
    assert url == f"https://{name}:{service.bootstrap.https_port}"
    assert answer.status == 200


@pytest.mark.row("S5", "S6", "S25", "T-001")
async def test_tcp_echo_of_fifty_mebibytes_with_half_close(sdk: Sdk) -> None:
    async with server(echo) as upstream:
        url = await asyncio.to_thread(sdk.forward, "tcp", f"tcp://localhost:{upstream}")
        async with visitor(_port(url)) as (reader, writer):
            result = await exchange(reader, writer, 50 * MIB, seed=1)
    assert result.received_hash == result.sent_hash
    assert (result.received, result.ended) == (50 * MIB, True)


@pytest.mark.row("S5", "S6")
async def test_tls_endpoint_passes_the_visitors_tls_through(service: Service, sdk: Sdk) -> None:
    name = f"passed-{sdk.kind}.{service.bootstrap.domain}"
    authority = Authority()
    ours, theirs = authority.server_context(name), authority.client_context()
    async with server(echo, tls=ours) as upstream:
        url = await asyncio.to_thread(sdk.forward, "tls", f"tcp://localhost:{upstream}", name)
        async with visitor(_port(url), tls=theirs, name=name) as (reader, writer):
            result = await exchange(reader, writer, 50 * MIB, seed=2)
    assert urlsplit(url).hostname == name
    assert result.received_hash == result.sent_hash


@pytest.mark.row("S11")
async def test_four_hundred_concurrent_streams(sdk: Sdk) -> None:
    count = 400
    everyone_is_here = asyncio.Barrier(count)

    async def greet_together(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await everyone_is_here.wait()
        await echo(reader, writer)

    async with server(greet_together) as upstream, AsyncExitStack() as open_visitors:
        url = await asyncio.to_thread(sdk.forward, "tcp", f"tcp://localhost:{upstream}")
        pairs = [await open_visitors.enter_async_context(visitor(_port(url))) for _ in range(count)]
        results = await asyncio.gather(
            *(exchange(reader, writer, 32 * 1024, seed) for seed, (reader, writer) in enumerate(pairs))
        )
    assert [result.received_hash for result in results] == [result.sent_hash for result in results]
    assert all(result.ended for result in results)


@pytest.mark.row("S2", "S13")
@pytest.mark.parametrize("kind", SDKS)
def test_heartbeats_of_the_sdk_are_answered(service: Service, kind: str) -> None:
    with Sdk(kind, service) as sdk:
        sdk.connect(interval=1, tolerance=3)
        eventually(lambda: len(sdk.latencies()) >= 4, "four heartbeats")
        assert all(0 <= latency < 3000 for latency in sdk.latencies())
        assert sdk.losses() == []


@pytest.mark.row("S30")
async def test_an_unbound_endpoint_is_offline_at_once(service: Service, sdk: Sdk) -> None:
    async with server(hello_http) as upstream:
        web = await asyncio.to_thread(sdk.forward, "https", f"http://localhost:{upstream}")
        raw = await asyncio.to_thread(sdk.forward, "tcp", f"tcp://localhost:{upstream}")
        assert (await _get(service, web)).status == 200
        await asyncio.to_thread(sdk.unbind, web)
        await asyncio.to_thread(sdk.unbind, raw)
        answer = await _get(service, web)
    assert (answer.status, answer.fields["ngrok-error-code"]) == (404, "ERR_NGROK_3200")
    with pytest.raises(ConnectionRefusedError):
        async with visitor(_port(raw)):
            pass


@pytest.mark.row("S14", "S30")
@pytest.mark.parametrize("kind", SDKS)
async def test_a_closed_session_takes_its_endpoints_offline(service: Service, kind: str) -> None:
    """An SDK that closes its session says nothing and leaves the socket open: our probes find out."""
    with Sdk(kind, service) as sdk:
        await asyncio.to_thread(sdk.connect, interval=1, tolerance=1)
        url = await asyncio.to_thread(sdk.forward, "https", "http://localhost:1")
        await asyncio.to_thread(sdk.disconnect)

        async def offline() -> bool:
            return (await _get(service, url)).fields.get("ngrok-error-code") == "ERR_NGROK_3200"

        await eventually_async(offline, f"{url} is offline", timeout=15)


@pytest.mark.row("S27")
@pytest.mark.parametrize("kind", SDKS)
def test_a_wrong_token_is_seen_as_107(service: Service, kind: str) -> None:
    right = service.bootstrap.authtoken
    letters = string.ascii_letters + string.digits
    wrong = right[:-8] + "".join(secrets.choice(letters) for _ in range(8))
    with Sdk(kind, service, token=wrong) as sdk, pytest.raises(SdkError) as refused:
        sdk.connect()
    assert "ERR_NGROK_107" in f"{refused.value} {refused.value.code}"


@pytest.mark.row("S21", "S31")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("end", ["stopped", "killed"])
@pytest.mark.parametrize("kind", SDKS)
async def test_a_restarted_service_gives_the_same_urls(tmp_path: Path, kind: str, end: str) -> None:
    """The SDKs try at 0, 0.05 and 2.5 s, then fall silent for 125 s: that is what a restart may take.

    On a busy machine only what it takes of the processor tells: so a proxy holds the tries until the
    service is there, and the service's seconds of the processor are those that are counted.
    """
    async with restarting(tmp_path, kind) as (service, sdk, proxy, urls):
        proxy.admits.clear()
        await asyncio.to_thread(service.restart, kill=end == "killed")
        assert service.cpu() < LAST_TRY
        proxy.admits.set()
        for url in urls:
            await _comes_back(service, url)
        assert await asyncio.to_thread(sdk.losses)


@pytest.mark.row("S21", "S31")
@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("end", ["stopped", "killed"])
@pytest.mark.parametrize("kind", SDKS)
async def test_a_restart_is_quick_enough_for_the_tries_of_the_sdks(
    tmp_path: Path, kind: str, end: str
) -> None:
    """The same where nobody holds the tries, which a machine that is not busy shows."""
    took: list[float] = []
    while not took or took[-1] > LAST_TRY:
        assert len(took) < CHANCES, f"no restart within {LAST_TRY:g} s: {took}"
        async with restarting(tmp_path / str(len(took)), kind) as (service, _, _, urls):
            took.append(await asyncio.to_thread(_away, service, kill=end == "killed"))
            for url in urls if took[-1] <= LAST_TRY else ():
                await _comes_back(service, url)


@asynccontextmanager
async def restarting(folder: Path, kind: str) -> AsyncGenerator[tuple[Service, Sdk, FaultProxy, list[str]]]:
    """Start a service, and an SDK with three endpoints that reaches it through a proxy."""
    service = Service(folder)
    await asyncio.to_thread(service.start)
    try:
        port = int(service.bootstrap.connect_url.rpartition(":")[2])
        async with server(hello_http) as upstream, fault_proxy(port) as proxy:
            with Sdk(kind, service) as sdk:
                await asyncio.to_thread(sdk.connect, port=proxy.port)
                web, raw = f"http://localhost:{upstream}", f"tcp://localhost:{upstream}"
                urls = [
                    await asyncio.to_thread(sdk.forward, proto, raw if proto == "tcp" else web)
                    for proto in ("https", "http", "tcp")
                ]
                yield service, sdk, proxy, urls
    finally:
        await asyncio.to_thread(service.kill)


def _away(service: Service, *, kill: bool) -> float:
    """Restart a service; return the seconds from the signal until it accepts agents again."""
    port = int(service.bootstrap.connect_url.rpartition(":")[2])
    since = time.monotonic()
    (service.kill if kill else service.stop)()
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(service.start)
        eventually(lambda: _accepts(port), "agents are accepted", timeout=START)
        away = time.monotonic() - since
        starting.result()
    return away


def _accepts(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=START):
        return True


async def _comes_back(service: Service, url: str) -> None:
    async def answers() -> bool:
        return (await _get(service, url)).status == 200

    await eventually_async(answers, f"{url} answers again", timeout=RECONNECT)


@pytest.mark.row("T-012", "T-060", "T-065", "T-068", "S26")
async def test_tls_that_ends_at_the_edge_with_a_certificate_of_the_sdks(service: Service, sdk: Sdk) -> None:
    name = f"ended-{sdk.kind}.{service.bootstrap.domain}"
    own = Authority()
    certificate, key = own.issue(name)
    tls = {"certificate": certificate.decode(), "key": key.decode()}
    async with proxied_echo() as upstream:
        url = await asyncio.to_thread(
            sdk.forward, "tls", f"tcp://localhost:{upstream.port}", name, tls=tls, proxy="2"
        )
        async with visitor(_port(url), tls=own.client_context(), name=name) as (reader, writer):
            result = await exchange(reader, writer, MIB, seed=3)
            client = "{}:{}".format(*writer.get_extra_info("sockname"))
    assert result.received_hash == result.sent_hash
    [header] = upstream.headers
    assert (header.version, header.source) == (2, client)


@pytest.mark.row("G-110")
async def test_client_certificates_that_the_sdks_demand(service: Service, sdk: Sdk) -> None:
    trusted = service.bootstrap.ca_cert
    authority = {"ca": mutual.authority().pem.decode()}
    async with server(hello_http) as upstream:
        name = f"mutual-{sdk.kind}.{service.bootstrap.domain}"
        url = await asyncio.to_thread(
            sdk.forward, "https", f"http://localhost:{upstream}", name, tls=authority
        )
        stranger = ssl.create_default_context(cafile=trusted)
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError, EOFError)):
            await get(url, _port(url), tls=stranger)
        known = mutual.client().show(ssl.create_default_context(cafile=trusted))
        assert (await get(url, _port(url), tls=known)).status == 200
        with pytest.raises(SdkError) as refused:
            await asyncio.to_thread(sdk.forward, "tls", f"tcp://localhost:{upstream}", "", tls=authority)
        assert "ERR_NGROK_1694" in str(refused.value)


class ProxiedEcho:
    """An upstream that takes a PROXY header off each connection and echoes the rest."""

    def __init__(self) -> None:
        """Have seen none."""
        self.headers: list[ProxyProtocol] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        got = b""
        while (header := decode(got) if got else None) is None:
            got += await reader.readexactly(1)
        self.headers.append(header)
        await echo(reader, writer)


@asynccontextmanager
async def proxied_echo() -> AsyncGenerator[ProxiedEcho]:
    """Run one."""
    made = ProxiedEcho()
    async with server(made.serve) as made.port:
        yield made


async def _get(service: Service, url: str) -> Answer:
    """GET a public URL; one of scheme tcp fronts the same HTTP upstream."""
    tls = ssl.create_default_context(cafile=service.bootstrap.ca_cert) if url.startswith("https") else None
    return await get(url, _port(url), tls=tls)


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port
    return port
