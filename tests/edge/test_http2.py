"""HTTP/2 from visitors: requests, bodies, trailers, ends and drains, against the library h2 as the peer."""

import asyncio
import random
from textwrap import dedent

import pytest
from tests.kit.certs import Certs
from tests.kit.http2_client import asked, certs2, visit2, visitor2
from tests.kit.http_edge import HOST, AgentStream, stand
from tests.kit.http_policy import HandPolicy
from tests.kit.pipes import turns
from tests.kit.policies import ruled

from portway.edge.ports import EdgeConfig, Limits


@pytest.fixture(scope="module")
def certs() -> Certs:
    return certs2()


async def test_a_request_reaches_the_agent_and_its_answer_the_visitor(certs: Certs) -> None:
    async with stand(certs=certs) as made:
        client = await visit2(made)
        stream = client.ask("/a?b", ("x-test", "1"), ("cookie", "a=1"), ("cookie", "b=2"))
        agent = await made.agent.stream()
        head = (await agent.heads()).decode()
        assert head.startswith("GET /a?b HTTP/1.1\r\nHost: app.example\r\nx-test:1\r\ncookie:a=1; b=2\r\n")
        assert "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: https\r\n" in head
        assert "ransfer" not in head
        agent.ok(
            b"hello", b"X-Answer: 2", b"Connection: X-Hop", b"X-Hop: 1", b"Ngrok-Error-Code: ERR_NGROK_1"
        )
        answer = await client.answer(stream)
        assert (answer.status, answer.body, answer.fields["x-answer"]) == (200, b"hello", "2")
        assert set(answer.fields) == {":status", "content-length", "x-answer"}
        event = await made.request_told()
        assert (event.method, event.target, event.host, event.status) == ("GET", "/a?b", HOST, 200)
        assert (event.version, event.response_length, event.aborted) == ("HTTP/2.0", 5, False)


async def test_many_requests_at_once_and_kept_streams(certs: Certs) -> None:
    """Each has a stream of its own while it runs; the next ones use those again."""
    async with stand(certs=certs) as made:
        client = await visit2(made)
        for _ in range(3):
            streams = [client.ask(f"/{count}") for count in range(10)]
            await client.until(lambda: made.agent.streams == 10)
            for agent in made.agent.opened:
                await agent.until(b"GET /", agent.data.count(b"GET /") or 1)
            await made.until(lambda: sum(agent.data.count(b"GET /") for agent in made.agent.opened) % 10 == 0)
            for agent in made.agent.opened:
                agent.ok(agent.data.rpartition(b"GET /")[2][:1])
            answers = [await client.answer(stream) for stream in streams]
            assert sorted(bytes(answer.body) for answer in answers) == [b"%d" % n for n in range(10)]
        assert made.agent.streams == 10
        assert made.endpoint.counters.requests == 30
        await client.close()
        for agent in made.agent.opened:
            await agent.ended()


async def test_pages_of_ours(certs: Certs) -> None:
    """421 for another name than the connection's, 404, 502: each on its stream, the connection stays."""
    async with stand(certs=certs) as made:
        client = await visit2(made)
        answer = await client.answer(client.ask(host="other.example"))
        assert (answer.status, answer.fields["ngrok-error-code"]) == (421, "ERR_NGROK_3007")
        made.agent.usable = False
        answer = await client.answer(client.ask("/", ("accept", "text/html")))
        assert (answer.status, answer.fields["ngrok-error-code"]) == (404, "ERR_NGROK_3200")
        assert answer.fields["content-type"].startswith("text/html")
        made.agent.usable = True
        stream = client.ask(method="POST")
        agent = await made.agent.stream()
        await agent.heads()
        agent.pipe.end()
        answer = await client.answer(stream)
        assert (answer.status, answer.fields["ngrok-error-code"]) == (502, "ERR_NGROK_8012")


async def test_a_policy_rules_here_too(certs: Certs) -> None:
    policy = HandPolicy(lambda passage: passage.answer(403, [b"X-Why: policy"], b"no"))
    async with stand(certs=certs, policy=policy) as made:
        client = await visit2(made)
        answer = await client.answer(client.ask())
        assert (answer.status, answer.body, answer.fields["x-why"]) == (403, b"no", "policy")


@pytest.mark.row("P-37")
async def test_a_policy_closes_the_connection_when_its_other_requests_are_served(certs: Certs) -> None:
    rule = """
    on_http_request:
      - expressions: ["req.url.path == '/bad'"]
        actions: [{type: close-connection}]
    """
    async with ruled(dedent(rule), certs=certs) as on:
        client = await visit2(on.stand)
        served = client.ask("/good")
        agent = await on.stand.agent.stream()
        await agent.heads()
        assert (await client.answer(client.ask("/bad"))).reset == 2
        await client.until(lambda: client.goaway == 0)
        visitor = visitor2(on.stand)
        visitor.tick()
        agent.ok(b"whole")
        assert (await client.answer(served)).body == b"whole"
        await on.stand.until(lambda: visitor.closed)


# -- back-pressure


async def test_a_visitor_that_gives_no_credit_stops_the_upstream(certs: Certs) -> None:
    """Other streams of its connection go on, and nothing is lost."""
    body = random.Random(1).randbytes(3_000_000)
    async with stand(certs=certs) as made:
        client, stream, agent = await asked(made)
        client.reading = False
        agent.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        task = asyncio.ensure_future(agent.put(body))
        await client.until(lambda: client.conn.remote_flow_control_window(stream) == 0)
        await turns(50)
        assert visitor2(made).bytes_out < 100_000
        assert not task.done()
        came = len(client.answers[stream].body)
        client.reading = True
        client.conn.increment_flow_control_window(1 << 20)
        client.conn.increment_flow_control_window(1 << 20, stream)
        client.flush()
        assert (await client.answer(stream)).body == body
        assert came == 65_535
        await task


async def test_what_waits_in_queues_pays_for_its_updates_when_it_leaves(certs: Certs) -> None:
    """An honest visitor with a small window answers each half of it; that the whole came at once is ours."""
    config = EdgeConfig(limits=Limits(http2_idle_frames=50))
    async with stand(certs=certs, config=config) as made:
        client = await visit2(made, INITIAL_WINDOW_SIZE=2048)
        stream = client.ask()
        agent = await made.agent.stream()
        await agent.heads()
        agent.ok(b"x" * 200_000)
        answer = await client.answer(stream)
        assert (len(answer.body), client.goaway) == (200_000, None)


async def test_an_upstream_that_takes_nothing_stops_the_visitor(certs: Certs) -> None:
    body = random.Random(2).randbytes(2_000_000)
    async with stand(certs=certs) as made:
        made.agent.window = 65_536
        client, stream, agent = await asked(made, method="POST", end=False)
        agent.sink.consuming = False
        task = asyncio.ensure_future(client.put(stream, body, end=True))
        await made.until(lambda: visitor2(made).bytes_in > 250_000)
        await turns(100)
        limit = Limits().http2_stream_window
        assert visitor2(made).bytes_in < limit + 70_000
        assert not task.done()
        agent.sink.consume_all()
        await task
        came = await agent.until(b"\r\n0\r\n\r\n")
        assert len(came) > len(body)
        agent.ok()
        assert (await client.answer(stream)).status == 200


# -- ends


async def test_a_drain_says_goaway_and_serves_what_runs(certs: Certs) -> None:
    async with stand(certs=certs) as made:
        client, stream, agent = await asked(made)
        visitor = visitor2(made)
        visitor.drain()
        await client.until(lambda: client.goaway == 0)
        assert client.last == (1 << 31) - 1  # what is on its way is still served
        late = client.ask("/late")
        second = await made.agent.stream(1)
        await second.heads()
        visitor.tick()
        await client.until(lambda: client.last == late)
        refused = client.ask("/too-late")
        assert (await client.answer(refused)).reset == 7
        second.ok()
        agent.ok()
        assert (await client.answer(stream)).status == 200
        assert (await client.answer(late)).status == 200
        assert await client.is_over() == 0


async def test_a_connection_without_requests_ends(certs: Certs) -> None:
    config = EdgeConfig(limits=Limits(head=3, idle=5))
    async with stand(certs=certs, config=config, serve=AgentStream.ok) as made:
        client = await visit2(made)
        await client.until(lambda: client.settings > 0)
        for _ in range(3):
            visitor2(made).tick()
        assert await client.is_over() == 0
        client = await visit2(made)
        assert (await client.answer(client.ask())).status == 200
        for _ in range(4):
            visitor2(made).tick()
        assert not visitor2(made).closed
        visitor2(made).tick()
        assert await client.is_over() == 0


async def test_a_stream_on_which_nothing_moves_ends(certs: Certs) -> None:
    """504 without an answer, 408 for a slow body, a reset within an answer; the connection stays."""
    config = EdgeConfig(limits=Limits(idle=3))
    async with stand(certs=certs, config=config) as made:
        client, stream, _ = await asked(made)
        slow = client.ask(method="POST", end=False)
        half = client.ask()
        (await made.agent.stream(2)).say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        await client.until(lambda: client.answers[half].body == b"half")
        for _ in range(3):
            visitor2(made).tick()
        assert (await client.answer(stream)).status == 504
        assert (await client.answer(slow)).status == 408
        assert (await client.answer(half)).reset == 2
        assert client.goaway is None


async def test_a_visitor_without_alpn_is_served_in_http1(certs: Certs) -> None:
    plain = certs.client
    plain.set_alpn_protocols(["http/1.1"])
    try:
        async with stand(certs=certs, serve=AgentStream.ok) as made:
            client = await made.visit()
            client.get()
            assert (await client.answer())[0] == 200
    finally:
        plain.set_alpn_protocols(["h2", "http/1.1"])


async def test_an_upgrade_for_another_name_than_the_connections_is_sent_to_http_1(certs: Certs) -> None:
    """A browser repeats it then over a connection of its own; what got 421 it would give up."""
    async with stand(certs=certs) as made:
        client = await visit2(made)
        fields = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "https"),
            (":authority", "other.example"),
            (":path", "/"),
            ("sec-websocket-version", "13"),
        ]
        stream = client.head(client.conn.get_next_available_stream_id(), fields, end=False)
        assert (await client.answer(stream)).reset == 13
        assert (await made.request_told()).aborted
        assert made.agent.opened == []
        again = client.ask()
        agent = await made.agent.stream()
        await agent.heads()
        agent.ok()
        assert (await client.answer(again)).status == 200
