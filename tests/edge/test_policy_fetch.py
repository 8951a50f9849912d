"""Tests of what actions ask of the edge: a request waits for it, within bounds, and goes on."""

import asyncio
import random
import socket
import struct

import pytest
from tests.kit.fetching import Asking, Desk, fetching, policy_of, put
from tests.kit.http2_client import certs2, visit2, visitor2
from tests.kit.http_edge import Client
from tests.kit.pipes import spin_until, turns

from portway.edge import policy_fetch
from portway.edge.policy_fetch import FetchFailed
from portway.edge.ports import Limits
from portway.policy.phase import Phase
from portway.policy.verdict import Failed


def reset(client: Client) -> None:
    """Break a connection off. (A clean end of writing would still leave the visitor waiting.)"""
    raw = client.transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.transport.abort()


async def test_a_request_waits_for_what_its_action_asked_for() -> None:
    desk, action = Desk(), Asking(times=2)
    async with fetching(kinds={"thing": desk.fetch}) as (on, fetches):
        put(on, policy_of(action))
        client = await on.stand.visit()
        client.get("/a")
        await spin_until(lambda: bool(desk.asked))
        assert on.stand.agent.streams == 0
        assert desk.asked[0].account_id == "ac_1"
        desk.give("one")
        desk.give("two")
        stream = await on.stand.agent.stream()
        assert b"GET /a" in await stream.heads()
        stream.ok()
        assert (await client.answer())[0] == 200
        assert action.got == ["one", "two"]
        assert "0 running" in repr(fetches)


async def test_an_action_may_answer_with_what_it_got() -> None:
    desk = Desk()
    async with fetching(kinds={"thing": desk.fetch}) as (on, fetches):
        put(on, policy_of(Asking(answers=True)))
        client = await on.stand.visit()
        client.get("/")
        desk.give("it")
        assert (await client.answer())[2] == b"'it'"
        client.get("/")
        desk.give(FetchFailed(2300, "No.", 504))
        assert (await client.answer())[0] == 504
        assert fetches.counts == {("thing", "done"): 1, ("thing", "failed"): 1}


async def test_a_failure_of_ours_is_a_page(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    async with fetching(kinds={"thing": desk.fetch}) as (on, _):
        action = Asking()
        put(on, policy_of(action))
        client = await on.stand.visit()
        client.get("/")
        desk.give(RuntimeError("ours"))
        status, fields, _ = await client.answer()
        assert (status, fields["ngrok-error-code"]) == (500, "ERR_NGROK_2300")
        put(on, policy_of(Asking("unheard of")))
        client.get("/")
        assert (await client.answer())[0] == 500
    assert "ours" in caplog.text


async def test_a_visitor_that_leaves_takes_its_fetch_along() -> None:
    desk = Desk()
    async with fetching(kinds={"thing": desk.fetch}) as (on, fetches):
        put(on, policy_of(Asking()))
        client = await on.stand.visit()
        client.get("/")
        await spin_until(lambda: bool(desk.asked))
        reset(client)
        await spin_until(lambda: desk.cancelled == 1)
        await spin_until(lambda: "0 running" in repr(fetches))


async def test_a_visitor_that_resets_its_stream_takes_its_fetch_along() -> None:
    desk = Desk()
    async with fetching(kinds={"thing": desk.fetch}, certs=certs2()) as (on, _):
        put(on, policy_of(Asking()))
        client = await visit2(on.stand)
        one, two = client.ask("/1"), client.ask("/2")
        await spin_until(lambda: len(desk.asked) == 2)
        client.conn.reset_stream(one)
        client.flush()
        await spin_until(lambda: desk.cancelled == 1)
        desk.give("it")
        stream = await on.stand.agent.stream()
        assert b"GET /2" in await stream.heads()
        stream.ok()
        assert (await client.answer(two)).status == 200


async def test_what_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_fetch, "DEADLINE", 0.05)
    desk = Desk()
    async with fetching(kinds={"thing": desk.fetch}) as (on, _):
        put(on, policy_of(Asking()))
        client = await on.stand.visit()
        client.get("/")
        assert (await client.answer())[0] == 504
        assert desk.cancelled == 1


async def test_so_many_wait_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_fetch, "AT_ONCE_OF_ACCOUNT", 1)
    desk = Desk()
    async with fetching(kinds={"thing": desk.fetch}) as (on, _):
        put(on, policy_of(Asking()))
        first, second = await on.stand.visit(), await on.stand.visit()
        first.get("/")
        await spin_until(lambda: bool(desk.asked))
        second.get("/")
        assert (await second.answer())[0] == 503
        desk.give("it")
        (await on.stand.agent.stream()).ok()
        assert (await first.answer())[0] == 200
        second.get("/")
        desk.give("it")
        (await on.stand.agent.stream(1)).ok()
        assert (await second.answer())[0] == 200


async def test_a_body_that_waits_stops_its_visitor() -> None:
    body = random.Random(1).randbytes(2_000_000)
    desk = Desk()
    async with fetching(kinds={"thing": desk.fetch}, certs=certs2()) as (on, _):
        put(on, policy_of(Asking()))
        client = await visit2(on.stand)
        stream = client.ask("/", method="POST", end=False)
        task = asyncio.ensure_future(client.put(stream, body, end=True))
        await spin_until(lambda: bool(desk.asked))
        await turns(100)
        assert visitor2(on.stand).bytes_in < Limits().http2_stream_window + 70_000
        assert not task.done()
        desk.give("it")
        agent = await on.stand.agent.stream()
        await agent.until(b"\r\n0\r\n\r\n")
        await task
        agent.ok()
        assert (await client.answer(stream)).status == 200


async def test_all_bodies_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_fetch, "BODIES", 20_000)
    action = Asking("body", limit=100_000, whole=True)
    async with fetching() as (on, fetches):
        put(on, policy_of(action))
        client, other = await on.stand.visit(), await on.stand.visit()
        client.send("POST / HTTP/1.1", "Content-Length: 100", body=b"x")
        await spin_until(lambda: "16384 bytes" in repr(fetches))
        other.send("POST / HTTP/1.1", "Content-Length: 5", body=b"hello")
        assert (await other.answer())[0] == 503
        reset(client)
        await spin_until(lambda: "0 running, 0 bytes" in repr(fetches))


async def test_an_answer_waits_too() -> None:
    desk, action = Desk(), Asking()
    async with fetching(kinds={"thing": desk.fetch}) as (on, _):
        put(on, policy_of(action, Phase.HTTP_RESPONSE))
        client = await on.stand.visit()
        client.get("/")
        stream = await on.stand.agent.stream()
        await stream.heads()
        stream.ok(b"body of the answer")
        await spin_until(lambda: bool(desk.asked))
        assert desk.asked[0].phase is Phase.HTTP_RESPONSE
        desk.give("it")
        assert (await client.answer())[2] == b"body of the answer"
        client.get("/")
        await stream.heads(2)
        stream.ok(b"second")
        desk.give(Failed(2300, "no", 502))
        assert (await client.answer())[0] == 502


async def test_an_upstream_that_breaks_off_while_its_answer_waits_is_told_so() -> None:
    desk = Desk()
    async with fetching(kinds={"thing": desk.fetch}) as (on, _):
        put(on, policy_of(Asking(), Phase.HTTP_RESPONSE))
        client = await on.stand.visit()
        client.get("/")
        stream = await on.stand.agent.stream()
        await stream.heads()
        stream.say(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nfirst")
        await spin_until(lambda: bool(desk.asked))
        stream.pipe.abort()
        assert (await client.answer())[0] == 502
        await spin_until(lambda: desk.cancelled == 1)
