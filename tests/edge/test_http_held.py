"""Tests of bodies that are looked at before they go on, on a real edge."""

import asyncio
import random

import pytest
from tests.kit.fetching import Asking, fetching, policy_of, put
from tests.kit.http2_client import certs2, visit2

from portway.policy.phase import Phase
from portway.policy.verdict import Failed


@pytest.mark.parametrize("size", [0, 10, 16_384, 20_000, 200_000])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_whole_body_is_seen_and_goes_on_as_it_came(size: int, chunked: bool) -> None:
    body = random.Random(size).randbytes(size)
    action = Asking("body", limit=200_000, whole=True)
    async with fetching() as (on, fetches):
        put(on, policy_of(action))
        client = await on.stand.visit()
        if chunked:
            coded = b"%x\r\n%b\r\n0\r\n\r\n" % (size, body) if size else b"0\r\n\r\n"
            client.send("POST / HTTP/1.1", "Transfer-Encoding: chunked", body=coded)
        else:
            client.send("POST / HTTP/1.1", f"Content-Length: {size}", body=body)
        stream = await on.stand.agent.stream()
        await stream.sink.bell.until(lambda: len(stream.data.partition(b"\r\n\r\n")[2]) >= size)
        assert action.got == [body]
        assert body in stream.data
        stream.ok()
        assert (await client.answer())[0] == 200
        assert "0 bytes" in repr(fetches)
        client.get("/again")
        assert b"GET /again" in await stream.until(b"GET /again")
        stream.ok()
        assert (await client.answer())[0] == 200


async def test_a_body_in_http2_is_seen_and_goes_on() -> None:
    body = random.Random(5).randbytes(900_000)
    action = Asking("body", limit=1_000_000, whole=True)
    async with fetching(certs=certs2()) as (on, _):
        put(on, policy_of(action))
        client = await visit2(on.stand)
        stream = client.ask("/", ("content-length", str(len(body))), method="POST", end=False)
        task = asyncio.ensure_future(client.put(stream, body, end=True))
        agent = await on.stand.agent.stream()
        await agent.sink.bell.until(lambda: agent.data.endswith(body[-100:]))
        await task
        assert action.got == [body]
        assert body in agent.data
        agent.ok()
        assert (await client.answer(stream)).status == 200


async def test_a_body_that_is_too_long_is_refused() -> None:
    action = Asking("body", limit=1000, whole=True)
    async with fetching() as (on, fetches):
        put(on, policy_of(action))
        client = await on.stand.visit()
        client.send("POST / HTTP/1.1", "Content-Length: 1001", body=b"x" * 1001)
        status, fields, _ = await client.answer()
        assert (status, fields["ngrok-error-code"]) == (413, "ERR_NGROK_3903")
        assert isinstance(action.got[0], Failed)
        assert "0 bytes" in repr(fetches)


async def test_the_first_bytes_of_a_body_are_enough_for_some() -> None:
    action = Asking("body", limit=1000)
    async with fetching() as (on, _):
        put(on, policy_of(action))
        client = await on.stand.visit()
        client.send("POST / HTTP/1.1", "Content-Length: 3000", body=b"x" * 2000)
        stream = await on.stand.agent.stream()
        await stream.until(b"x" * 2000)
        assert action.got == [b"x" * 1000]
        client.writer.write(b"y" * 1000)
        await stream.until(b"y" * 1000)
        stream.ok()
        assert (await client.answer())[0] == 200


async def test_a_visitor_that_waits_to_be_asked_for_its_body_is_asked() -> None:
    action = Asking("body", limit=1000, whole=True)
    async with fetching() as (on, _):
        put(on, policy_of(action))
        client = await on.stand.visit()
        client.send("POST / HTTP/1.1", "Content-Length: 4", "Expect: 100-continue")
        assert (await client.head())[0] == 100
        client.writer.write(b"body")
        stream = await on.stand.agent.stream()
        await stream.until(b"body")
        stream.ok()
        assert (await client.answer())[0] == 200


async def test_the_first_bytes_of_an_answer_are_seen_and_go_on() -> None:
    action = Asking("body", limit=1000)
    body = random.Random(3).randbytes(300_000)
    async with fetching() as (on, _):
        put(on, policy_of(action, Phase.HTTP_RESPONSE))
        client = await on.stand.visit()
        client.get("/")
        stream = await on.stand.agent.stream()
        await stream.heads()
        stream.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        task = asyncio.ensure_future(stream.put(body))
        assert (await client.answer())[2] == body
        assert action.got == [body[:1000]]
        await task
        client.send("HEAD / HTTP/1.1")
        await stream.heads(2)
        stream.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        assert (await client.head())[0] == 200
        assert action.got[1] == b""
