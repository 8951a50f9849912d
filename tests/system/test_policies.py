"""Traffic Policies through the whole product: our agent, and the official SDKs with their older options."""

import asyncio
import contextlib
import hmac
import re
import ssl
from base64 import b64encode
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from tests.kit.product import Service
from tests.kit.sdk import SDKS, Sdk, SdkError
from tests.kit.traffic import server
from websockets.asyncio.client import connect

import portway

pytestmark = pytest.mark.xdist_group("policies")


@pytest.fixture(scope="module", params=SDKS)
def sdk(request: pytest.FixtureRequest, service: Service) -> Generator[Sdk]:
    """One connected session of each SDK."""
    with Sdk(request.param, service) as sdk:
        sdk.connect()
        yield sdk


async def shown(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request with its head, and a field of the server's own."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            fields = b"HTTP/1.1 200 OK\r\nX-Own: 1\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
            writer.write(fields % len(head) + head)
    except asyncio.IncompleteReadError:
        return


async def ask(service: Service, url: str, *fields: str, source: str = "127.0.0.1") -> tuple[int, str, bytes]:
    """GET a public URL from an address of this machine; return status, head and body."""
    parts = urlsplit(url)
    assert parts.port
    tls = ssl.create_default_context(cafile=service.bootstrap.ca_cert) if parts.scheme == "https" else None
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1",
            parts.port,
            ssl=tls,
            server_hostname=parts.hostname if tls else None,
            local_addr=(source, 0),
        )
        try:
            lines = (
                f"GET {parts.path or '/'} HTTP/1.1",
                f"Host: {parts.netloc}",
                *fields,
                "Connection: close",
            )
            writer.write("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n")
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = re.search(r"(?i)content-length: (\d+)", head)
            body = await (reader.readexactly(int(length[1])) if length else reader.read())
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()
    return int(head.split(" ")[1]), head.lower(), body


@asynccontextmanager
async def agent_of(service: Service) -> AsyncGenerator[portway.Agent]:
    """Connect our own agent."""
    known = service.bootstrap
    async with portway.Agent(
        authtoken=known.authtoken, connect_url=known.connect_url, connect_cas=known.ca_cert
    ) as agent:
        yield agent


LIMIT = """
on_http_request:
  - name: thirty a minute
    actions:
      - type: rate-limit
        config:
          name: per address
          algorithm: sliding_window
          capacity: 30
          rate: 1m
          bucket_key: [conn.client_ip]
"""


@pytest.mark.row("G-010", "G-013", "G-116", "P-40")
async def test_the_31st_request_of_an_address_is_429_and_another_address_is_untouched(
    service: Service,
) -> None:
    async with server(shown) as upstream, agent_of(service) as agent:
        endpoint = await agent.forward(f"http://127.0.0.1:{upstream}", url="http://", traffic_policy=LIMIT)
        statuses = [(await ask(service, endpoint.url))[0] for _ in range(31)]
        assert statuses == [200] * 30 + [429]
        assert (await ask(service, endpoint.url, source="127.0.0.2"))[0] == 200
        status, head, _ = await ask(service, endpoint.url)
        assert (status, "retry-after: " in head) == (429, True)


@pytest.mark.row("G-116", "P-13")
async def test_a_policy_is_changed_in_place_and_a_bad_one_changes_nothing(service: Service) -> None:
    async with server(shown) as upstream, agent_of(service) as agent:
        endpoint = await agent.forward(f"http://127.0.0.1:{upstream}", url="http://")
        assert (await ask(service, endpoint.url))[0] == 200
        await endpoint.update(traffic_policy="on_http_request: [{actions: [{type: deny}]}]")
        assert (await ask(service, endpoint.url))[0] == 403
        with pytest.raises(portway.Error, match=r"1:18") as refused:
            await endpoint.update(traffic_policy="on_http_request: 7")
        assert refused.value.code == "ERR_NGROK_2203"
        assert (await ask(service, endpoint.url))[0] == 403
        await endpoint.update(traffic_policy="")
        assert (await ask(service, endpoint.url))[0] == 200


@pytest.mark.row("G-116", "P-66")
async def test_policies_of_the_sdks(service: Service, sdk: Sdk) -> None:
    policy = (
        "on_http_request: [{actions: [{type: custom-response, config: {status_code: 418, content: tea}}]}]"
    )
    to = "http://127.0.0.1:1"
    url = await asyncio.to_thread(sdk.forward, "https", to, options=[["traffic_policy", policy]])
    status, _, body = await ask(service, url)
    assert (status, body) == (418, b"tea")
    bad = policy.replace("custom-response", "nothing")
    with pytest.raises(SdkError) as refused:
        await asyncio.to_thread(sdk.forward, "https", to, options=[["traffic_policy", bad]])
    assert "ERR_NGROK_2201" in str(refused.value)
    assert "1:37" in str(refused.value)


PASSWORD = b64encode(b"ada:correct horse").decode()
SIGNED = f"sha256={hmac.digest(b'secret', b'', 'sha256').hex()}"
OPTIONS: list[tuple[list[list[Any]], list[str], int, str]] = [
    ([["basic_auth", "ada", "correct horse"]], [], 401, "www-authenticate: basic"),
    ([["basic_auth", "ada", "correct horse"]], [f"Authorization: Basic {PASSWORD}"], 200, "x-own: 1"),
    ([["compression"]], ["Accept-Encoding: gzip"], 200, "content-encoding: gzip"),
    ([["allow_cidr", "10.0.0.0/8"]], [], 403, "err_ngrok_3203"),
    ([["allow_cidr", "127.0.0.0/8"], ["deny_cidr", "127.0.0.2/32"]], [], 200, "x-own: 1"),
    ([["deny_user_agent", "bot"]], ["User-Agent: a bot"], 403, "err_ngrok_3211"),
    ([["allow_user_agent", "good"]], ["User-Agent: good"], 200, "x-own: 1"),
    ([["response_header", "x-added", "yes"]], [], 200, "x-added: yes"),
    ([["remove_response_header", "x-own"]], [], 200, "content-type: text/plain"),
    ([["circuit_breaker", 0.5]], [], 200, "x-own: 1"),
    ([["webhook_verification", "github", "secret"]], [], 403, "err_ngrok_3204"),
    ([["webhook_verification", "github", "secret"]], [f"X-Hub-Signature-256: {SIGNED}"], 200, "x-own: 1"),
]


@pytest.mark.row("G-027", "P-60", "P-61")
async def test_older_options_of_the_sdks_do_what_they_say(service: Service, sdk: Sdk) -> None:
    async with server(shown) as upstream:
        for options, fields, status, said in OPTIONS:
            to = f"http://127.0.0.1:{upstream}"
            url = await asyncio.to_thread(sdk.forward, "https", to, options=options)
            found, head, _ = await ask(service, url, *fields)
            assert (found, said in head) == (status, True), (options, head)
            if options[0][0] == "remove_response_header":
                assert "x-own" not in head
        options = [["request_header", "x-added", "yes"], ["remove_request_header", "x-gone"]]
        url = await asyncio.to_thread(sdk.forward, "https", f"http://127.0.0.1:{upstream}", options=options)
        _, _, body = await ask(service, url, "X-Gone: 1")
        assert b"x-added: yes" in body
        assert b"x-gone" not in body.lower()


async def echoed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Greet as a TCP server does that speaks no HTTP, then say back what comes, to its end."""
    writer.write(b"220 ready\r\n")
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


@pytest.mark.row("G-027", "P-62")
async def test_websockets_for_a_tcp_upstream_of_the_sdks(service: Service, sdk: Sdk) -> None:
    data = bytes(range(256)) * 4096  # beyond every window on the way
    async with server(echoed) as upstream, asyncio.timeout(60):
        to = f"tcp://127.0.0.1:{upstream}"
        url = await asyncio.to_thread(sdk.forward, "https", to, options=[["websocket_tcp_conversion"]])
        assert (await ask(service, url))[0] == 400
        parts = urlsplit(url)
        tls = ssl.create_default_context(cafile=service.bootstrap.ca_cert)
        to_us: dict[str, Any] = {"host": "127.0.0.1", "port": parts.port, "server_hostname": parts.hostname}
        async with connect(url.replace("https", "wss"), ssl=tls, proxy=None, **to_us) as visitor:
            assert await visitor.recv() == b"220 ready\r\n"
            sending = asyncio.ensure_future(visitor.send(data))
            found = bytearray()
            while len(found) < len(data):
                found += cast("bytes", await visitor.recv())
            await sending
            assert found == data
            await visitor.ping()


@pytest.mark.row("T-013")
async def test_restrictions_of_tcp_endpoints_by_the_sdks(service: Service, sdk: Sdk) -> None:
    async with server(shown) as upstream:
        to = f"tcp://127.0.0.1:{upstream}"
        options = [["allow_cidr", "127.0.0.0/8"], ["deny_cidr", "127.0.0.2/32"]]
        url = (await asyncio.to_thread(sdk.forward, "tcp", to, options=options)).replace("tcp://", "http://")
        assert (await ask(service, url))[0] == 200
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await ask(service, url, source="127.0.0.2")
        policy = "on_tcp_connect: [{actions: [{type: custom-response}]}]"
        with pytest.raises(SdkError) as refused:
            await asyncio.to_thread(sdk.forward, "tcp", to, options=[["traffic_policy", policy]])
        assert "ERR_NGROK_2202" in str(refused.value)


async def test_what_cannot_be_carried_out_is_refused_never_skipped(sdk: Sdk) -> None:
    """Nobody has set up an application at the provider."""
    with pytest.raises(SdkError) as refused:
        await asyncio.to_thread(sdk.forward, "https", "http://127.0.0.1:1", options=[["oauth", "google"]])
    assert "ERR_NGROK_2232" in str(refused.value)
