"""What HTTP means, kept through the whole product: with our agent, and with the official Python SDK's.

Both ends of each exchange are in the test's hands, byte by byte: who writes waits until the other side has
seen what was written before, so whatever is held back anywhere ends in a timeout.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from tests.kit.browser import EVENTS, MESSAGES, Pages, browsing, echo
from tests.kit.product import Service
from tests.kit.scripted import Talk, Upstream, scripted, visit
from tests.kit.sdk import Sdk
from tests.kit.traffic import server
from websockets.asyncio.server import serve

import portway

pytestmark = pytest.mark.xdist_group("http-semantics")

MIB = 1 << 20


@pytest.fixture(scope="module")
def sdk(service: Service) -> Generator[Sdk]:
    """One session of the official SDK for all."""
    with Sdk("python", service) as sdk:
        sdk.connect()
        yield sdk


@dataclass
class Site:
    """An endpoint with its upstream: ``host`` is what visitors call it."""

    service: Service
    upstream: Upstream
    host: str

    @property
    def port(self) -> int:
        """Where visitors connect."""
        return self.service.bootstrap.http_port

    async def asked(self, visitor: Talk, first: str, *lines: str, body: bytes = b"") -> Talk:
        """Send a request; return the upstream's side of it."""
        visitor.say(first, f"Host: {self.host}", *lines, body=body)
        return await self.upstream.talk()


@pytest_asyncio.fixture(params=["ours", "official"])
async def site(request: pytest.FixtureRequest, service: Service) -> AsyncGenerator[Site]:
    """An http endpoint of either agent, forwarded to an upstream that the test plays."""
    async with scripted() as upstream:
        address = f"http://127.0.0.1:{upstream.port}"
        if request.param == "ours":
            async with agent_of(service) as agent:
                url = str((await agent.forward(address, url="http://")).url)
                yield Site(service, upstream, urlsplit(url).netloc)
        else:
            sdk: Sdk = request.getfixturevalue("sdk")
            url = await asyncio.to_thread(sdk.forward, "http", address)
            yield Site(service, upstream, urlsplit(url).netloc)
            await asyncio.to_thread(sdk.unbind, url)


def agent_of(service: Service) -> portway.Agent:
    known = service.bootstrap
    return portway.Agent(
        authtoken=known.authtoken, connect_url=known.connect_url, connect_cas=Path(known.ca_cert)
    )


HOP_BY_HOP = (
    "Connection: X-Mine, keep-alive",
    "X-Mine: 1",
    "Keep-Alive: timeout=5",
    "Proxy-Connection: close",
)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


async def test_fields_that_are_added_kept_and_taken_away(site: Site) -> None:
    async with visit(site.port) as visitor:
        upstream = await site.asked(
            visitor,
            "GET /a/../b//c?d=%2e#e HTTP/1.1".replace("#e", ""),
            "X-Forwarded-For: 203.0.113.9",
            "X-Forwarded-Proto: gopher",
            "X-Forwarded-Host: asked.example",
            "X_Forwarded_For: 198.51.100.1",
            "Ngrok-Error-Code: ERR_NGROK_1",
            "X-Twice: one",
            "X-Twice: two",
            *HOP_BY_HOP,
        )
        head = await upstream.head()
        assert head.first == "GET /a/../b//c?d=%2e HTTP/1.1", "what was asked is passed on as it was"
        fields = head.fields
        assert fields["host"] == site.host
        assert fields["x-forwarded-for"].replace(", ", "|") == "203.0.113.9|127.0.0.1"
        assert fields["x-forwarded-proto"].replace(", ", "|") == "gopher|http"
        assert fields["x-forwarded-host"] == "asked.example"
        assert fields["x-twice"] == "one|two"
        gone = {"x-mine", "keep-alive", "proxy-connection", "ngrok-error-code", "x_forwarded_for"}
        assert not gone & set(fields)
        upstream.say(
            "HTTP/1.1 200 Fine",
            "Content-Length: 2",
            "X-Answer: yes",
            "Set-Cookie: a=1",
            "Set-Cookie: b=2",
            "Ngrok-Error-Code: ERR_NGROK_3200",
            "ngrok_error_code: ERR_NGROK_3200",
            *HOP_BY_HOP,
            body=b"ok",
        )
        head = await visitor.head()
        assert head.first.startswith("HTTP/1.1 200 ")
        assert (head.fields["x-answer"], head.fields["set-cookie"]) == ("yes", "a=1|b=2")
        gone = {"x-mine", "keep-alive", "proxy-connection", "ngrok-error-code", "ngrok_error_code"}
        assert not gone & set(head.fields)
        assert await visitor.read(2) == b"ok"
        visitor.say("GET /again HTTP/1.1", f"Host: {site.host}")
        again = (await upstream.head()).fields  # over the same connections
        assert again["x-forwarded-host"] == site.host
        assert again["x-forwarded-for"] == "127.0.0.1"
        assert again["x-forwarded-proto"] == "http"


@pytest.mark.parametrize("kind", ["text/event-stream", "text/plain", "application/octet-stream"])
@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
async def test_an_answer_is_passed_on_as_it_comes(site: Site, kind: str, framing: str) -> None:
    events = [b"data: %d\n\n" % number for number in range(5)]
    field = {
        "chunked": "Transfer-Encoding: chunked",
        "length": f"Content-Length: {len(b''.join(events))}",
        "close": "Connection: close",
    }[framing]
    async with visit(site.port) as visitor:
        upstream = await site.asked(visitor, "GET /events HTTP/1.1")
        await upstream.head()
        upstream.say("HTTP/1.1 200 OK", f"Content-Type: {kind}", field)
        head = await visitor.head()  # the upstream waits for this
        chunked = head.fields.get("transfer-encoding") == "chunked"
        for event in events:
            if framing == "chunked":
                upstream.chunk(event)
            else:
                upstream.say(body=event)
            assert await (visitor.read_chunk() if chunked else visitor.read(len(event))) == event
        if framing == "chunked":
            upstream.last_chunk()
        elif framing == "close":
            upstream.close()
        if chunked:
            assert await visitor.read_chunk() == b""
            assert await visitor.trailers() == []


async def test_chunks_and_trailers_both_ways_at_once(site: Site) -> None:
    async with visit(site.port) as visitor:
        upstream = await site.asked(
            visitor, "POST /both HTTP/1.1", "Transfer-Encoding: chunked", "TE: trailers"
        )
        assert (await upstream.head()).fields["transfer-encoding"] == "chunked"
        upstream.say("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Trailer: X-Sum")
        assert (await visitor.head()).fields["transfer-encoding"] == "chunked"
        for number in range(5):
            visitor.chunk(b"ask %d" % number)
            assert await upstream.read_chunk() == b"ask %d" % number
            upstream.chunk(b"answer %d" % number)
            assert await visitor.read_chunk() == b"answer %d" % number
        visitor.last_chunk("X-Asked: 5")
        assert await upstream.read_chunk() == b""
        assert await upstream.trailers() == ["X-Asked: 5"]
        upstream.last_chunk("X-Sum: 15", "grpc-status: 0")
        assert await visitor.read_chunk() == b""
        assert await visitor.trailers() == ["X-Sum: 15", "grpc-status: 0"]


async def test_a_visitor_waits_for_the_upstreams_100(site: Site) -> None:
    async with visit(site.port) as visitor:
        upstream = await site.asked(visitor, "PUT /x HTTP/1.1", "Content-Length: 4", "Expect: 100-continue")
        assert (await upstream.head()).fields["expect"] == "100-continue"
        upstream.say("HTTP/1.1 103 Early Hints", "Link: </style.css>; rel=preload")
        assert (await visitor.head()).fields["link"] == "</style.css>; rel=preload"
        upstream.say("HTTP/1.1 100 Continue")
        assert (await visitor.head()).first.startswith("HTTP/1.1 100 ")
        visitor.say(body=b"body")
        assert await upstream.read(4) == b"body"
        upstream.say("HTTP/1.1 204 No Content")
        assert (await visitor.head()).first.startswith("HTTP/1.1 204 ")
        visitor.say("GET /next HTTP/1.1", f"Host: {site.host}")
        assert (await upstream.head()).first == "GET /next HTTP/1.1"


@pytest.mark.parametrize("status", [401, 413])
async def test_an_answer_before_the_body_reaches_the_visitor(site: Site, status: int) -> None:
    async with visit(site.port) as visitor:
        upstream = await site.asked(
            visitor, "PUT /x HTTP/1.1", f"Content-Length: {8 * MIB}", body=bytes(1000)
        )
        await upstream.head()
        upstream.say(f"HTTP/1.1 {status} No", "Content-Length: 7", body=b"refused")
        head = await visitor.head()
        assert head.first.startswith(f"HTTP/1.1 {status} ")
        assert await visitor.read(7) == b"refused"


async def test_http_1_0(site: Site) -> None:
    """No keep-alive, no chunks; the upstream is spoken to in HTTP/1.1."""
    async with visit(site.port) as visitor:
        upstream = await site.asked(visitor, "GET /old HTTP/1.0", "Connection: keep-alive")
        assert (await upstream.head()).first == "GET /old HTTP/1.1"
        upstream.say("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")
        upstream.chunk(b"one ")
        upstream.chunk(b"two")
        upstream.last_chunk("X-Trailer: lost")
        head = await visitor.head()
        assert "transfer-encoding" not in head.fields
        assert head.fields.get("connection", "close") == "close"
        assert await visitor.rest() == b"one two"


async def test_heads_up_to_a_mebibyte(site: Site) -> None:
    long = "x" * 900_000
    async with visit(site.port) as visitor:
        upstream = await site.asked(visitor, "GET / HTTP/1.1", f"X-Long: {long}")
        assert (await upstream.head()).fields["x-long"] == long
        upstream.say("HTTP/1.1 200 OK", "Content-Length: 0", f"X-Long: {long}")
        assert (await visitor.head()).fields["x-long"] == long
        visitor.say("GET / HTTP/1.1", f"Host: {site.host}")
        await upstream.head()
        upstream.say("HTTP/1.1 200 OK", f"X-Long: {long}", f"X-More: {long}", "Content-Length: 0")
        head = await visitor.head()
        assert head.first.startswith("HTTP/1.1 502 ")
        assert head.fields["ngrok-error-code"] == "ERR_NGROK_3004"
    async with visit(site.port) as visitor:
        visitor.say("GET / HTTP/1.1", f"Host: {site.host}", f"X-Long: {long}", f"X-More: {long}")
        assert (await visitor.head()).first.startswith("HTTP/1.1 431 ")


async def test_the_code_of_our_own_error_is_set(service: Service, site: Site) -> None:
    async with visit(site.port) as visitor:
        visitor.say("GET / HTTP/1.1", "Host: nobody.portway.localhost")
        head = await visitor.head()
        assert (head.first.split()[1], head.fields["ngrok-error-code"]) == ("404", "ERR_NGROK_3200")
        await visitor.read(int(head.fields["content-length"]))
        upstream = await site.asked(visitor, "GET / HTTP/1.1", "Accept: text/html")
        await upstream.head()
        upstream.say(body=b"SSH-2.0-OpenSSH_9\r\n")
        head = await visitor.head()
        assert (head.first.split()[1], head.fields["ngrok-error-code"]) == ("502", "ERR_NGROK_3004")
        assert head.fields["content-type"].startswith("text/html")
        assert b"ERR_NGROK_3004" in await visitor.read(int(head.fields["content-length"]))
    async with agent_of(service) as agent:
        url = (await agent.forward(closed_port(), url="http://")).url
        async with visit(site.port) as visitor:
            visitor.say("GET / HTTP/1.1", f"Host: {urlsplit(str(url)).netloc}")
            head = await visitor.head()
            assert (head.first.split()[1], head.fields["ngrok-error-code"]) == ("502", "ERR_NGROK_8012")


@pytest.mark.parametrize("size", [32 * MIB, pytest.param(1024 * MIB, marks=pytest.mark.long)])
async def test_bodies_of_any_size_pass_in_flat_memory(service: Service, site: Site, size: int) -> None:
    async with visit(site.port) as visitor:
        upstream = await site.asked(visitor, "POST /up HTTP/1.1", f"Content-Length: {size}")
        await upstream.head()
        before = service.rss()
        await asyncio.gather(visitor.pour(size), upstream.swallow(size))
        upstream.say("HTTP/1.1 200 OK", f"Content-Length: {size}")
        await visitor.head()
        await asyncio.gather(upstream.pour(size), visitor.swallow(size))
        assert service.rss() - before < 16 * MIB


async def test_websockets_and_events_in_a_browser(service: Service, sdk: Sdk, tmp_path: Path) -> None:
    """Over https endpoints of our agent and of the official SDK, on one page."""
    pages = Pages()
    async with (
        server(pages.serve) as web,
        serve(echo, "127.0.0.1", 0, max_size=None) as sockets,
        agent_of(service) as agent,
    ):
        ports = [web, sockets.sockets[0].getsockname()[1]]
        ours = [str((await agent.forward(port, url="https://")).url) for port in ports]
        addresses = [f"http://127.0.0.1:{port}" for port in ports]
        theirs = [await asyncio.to_thread(sdk.forward, "https", address) for address in addresses]
        pages.show([{"web": web, "ws": f"wss://{urlsplit(ws).netloc}"} for web, ws in (ours, theirs)])
        with browsing(ours[0], tmp_path, Path(service.bootstrap.ca_cert)):
            told = await asyncio.wait_for(pages.result, 60)
        for url in theirs:
            await asyncio.to_thread(sdk.unbind, url)
    wanted = [
        [[*MESSAGES, [0, 255, 1]], [4001, True]],
        [f"event {number}" for number in range(EVENTS)],
    ]
    assert told == [wanted, wanted]
