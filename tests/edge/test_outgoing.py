"""Tests of requests that policies make: to internal endpoints by way of their policies, to others guarded."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from tests.kit.fetching import fetching
from tests.kit.http_edge import AgentStream
from tests.kit.policies import Ruled
from tests.kit.web import Web, answered

from portway.edge.outgoing import Outgoing
from portway.net.web_client import WebClient, WebFailure


def policy(config: str) -> str:
    return f"""
on_http_request:
  - actions:
      - type: http-request
        config: {{{config}}}
      - type: custom-response
        config:
          body: "${{actions.ngrok.http_request.error.code}}|${{actions.ngrok.http_request.res.status_code}}|\
${{actions.ngrok.http_request.res.body}}"
"""


@asynccontextmanager
async def asking(config: str, web: Web | None = None) -> AsyncGenerator[tuple[Ruled, Web]]:
    """Open an edge whose policy makes a request and answers with what came of it."""
    made = web or Web(answered())
    async with fetching() as (on, fetches):
        client: WebClient = made  # type: ignore[assignment]
        fetches.know({"http": Outgoing(client, on.stand.edge.registry).fetch})
        await on.rule(policy(config))
        yield on, made


async def outcome(on: Ruled) -> str:
    client = await on.stand.visit()
    client.get("/")
    return (await client.answer())[2].decode()


def ok(body: bytes = b"inside", *lines: bytes):
    def serve(stream: AgentStream) -> None:
        stream.ok(body, *lines)

    return serve


@pytest.mark.row("P-48")
async def test_an_internal_endpoint_is_asked_by_way_of_its_policy() -> None:
    inner = """
on_http_request:
  - actions: [{type: add-headers, config: {headers: {x-inner: "${req.method}"}}}]
on_http_response:
  - actions: [{type: custom-response, config: {status_code: 201, body: "${res.status_code} changed"}}]
"""
    config = "url: 'http://api.internal/a?b', method: POST, body: 'the body', headers: {x-mine: '1'}"
    async with asking(config) as (on, web):
        agent = await on.internal("http://api.internal", inner, ok())
        assert await outcome(on) == "|201|200 changed"
        data = agent.opened[0].data
        assert data.startswith(b"POST /a?b HTTP/1.1\r\n")
        assert data.endswith(b"\r\n\r\nthe body")
        for line in (b"x-inner: POST", b"x-mine: 1", b"Host: api.internal", b"X-Forwarded-For: 127.0.0.1"):
            assert line in data
        assert data.count(b"\r\nNgrok-Req-Type: http-request\r\n") == 1
        assert data.count(b"\r\nNgrok-Req-Id: req_") == 1
        assert web.asked == []


@pytest.mark.parametrize("host", ["api.internal", "API.internal.", "api.internal.:80"])
async def test_only_the_accounts_own_endpoints_are_asked(host: str) -> None:
    async with asking(f"url: 'http://{host}/'") as (on, web):
        await on.internal("http://api.internal", serve=ok(), account="ac_2")
        assert (await outcome(on)).startswith("ERR_NGROK_3200|")
        assert web.asked == []


async def test_an_answer_that_is_too_long_is_a_failure() -> None:
    async with asking("url: 'http://api.internal/'") as (on, _):
        agent = await on.internal("http://api.internal")
        client = await on.stand.visit()
        client.get("/")
        stream = await agent.stream()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
        task = asyncio.ensure_future(stream.put(head + b"x" * 1_000_000))
        assert (await client.answer())[2].startswith(b"ERR_NGROK_2300|")
        await stream.cut()
        task.cancel()


async def test_an_endpoint_that_breaks_off_or_is_busy_is_a_failure() -> None:
    async with asking("url: 'http://api.internal/'") as (on, _):
        agent = await on.internal("http://api.internal", serve=lambda stream: stream.pipe.abort())
        found = await outcome(on)
        assert "|502|" in found or "ERR_NGROK" in found
        agent.usable = False
        assert "|" in await outcome(on)


@pytest.mark.row("P-48")
async def test_policies_that_ask_each_other_in_a_circle_are_stopped() -> None:
    """Each asks itself: the fourth request is not made, and each answers what came of its own."""
    text = policy("url: 'http://loop.internal/'")
    async with asking("url: 'http://loop.internal/'") as (on, _):
        await on.internal("http://loop.internal", text)
        found = await outcome(on)
        assert found == "|200||200||200|ERR_NGROK_3603|0|"


async def test_redirects_are_followed_within_their_number() -> None:
    async with asking("url: 'http://one.internal/a', max_redirects: 1") as (on, web):
        moved = b"HTTP/1.1 302 Found\r\nLocation: http://two.internal/b\r\nContent-Length: 0\r\n\r\n"
        await on.internal("http://one.internal", serve=lambda stream: stream.say(moved))
        await on.internal("http://two.internal", serve=ok(b"two"))
        assert await outcome(on) == "|200|two"
        await on.rule(policy("url: 'http://one.internal/a'"))
        assert (await outcome(on)).startswith("|302|")
        back = b"HTTP/1.1 302 Found\r\nLocation: http://one.internal/a\r\nContent-Length: 0\r\n\r\n"
        await on.internal("http://three.internal", serve=lambda stream: stream.say(back))
        await on.rule(policy("url: 'http://three.internal/a', max_redirects: 1"))
        assert (await outcome(on)).startswith("ERR_NGROK_3214|")
        assert web.asked == []


async def test_what_is_outside_is_asked_through_the_guard() -> None:
    web = Web(answered(b"outside", 202, ("X-A", "1")))
    async with asking(
        "url: 'https://api.example/x', timeout: 2s, headers: {authorization: 'Bearer t'}", web
    ) as (on, _):
        assert await outcome(on) == "|202|outside"
        (asked,) = web.asked
        fields = {name.lower(): value for name, value in asked.headers}
        assert fields["authorization"] == "Bearer t"
        assert fields["ngrok-req-type"] == "http-request"
        assert (fields["user-agent"], fields["x-forwarded-for"]) == ("ngrok/cloud", "127.0.0.1")
        assert fields["ngrok-req-id"].startswith("req_")
        assert asked.redirects == 0
        assert asked.body_limit == 262_144
        await outcome(on)
        ids = [value for each in web.asked for name, value in each.headers if name == "Ngrok-Req-Id"]
        assert len(set(ids)) == 2
        web.answer = WebFailure("refused", "it is 10.0.0.1")
        assert (await outcome(on)).startswith("ERR_NGROK_2300|0|")


async def test_a_redirect_to_an_internal_endpoint_stays_in_the_account() -> None:
    web = Web(answered(b"", 302, ("Location", "https://api.internal/")))
    async with asking("url: 'https://api.example/x', max_redirects: 3", web) as (on, _):
        await on.internal("https://api.internal", serve=ok(), account="ac_2")
        assert (await outcome(on)).startswith("ERR_NGROK_3200|")
