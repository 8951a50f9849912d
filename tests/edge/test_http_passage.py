"""Requests with a policy in between: each phase, answers of its own, filters, forwarding, nothing at all."""

import pytest
from tests.kit.http_edge import AgentStream, HandAgent, Stand, stand
from tests.kit.http_policy import HandPolicy, Upper
from tests.kit.pipes import turns

from portway.codec.http1 import ResponseHead
from portway.edge.http_passage import MAX_FORWARDS, Passage
from portway.edge.pool import Pool
from portway.edge.registry import Endpoint
from portway.model.url import Url
from portway.net.leg import reset


def inner(made: Stand) -> tuple[Endpoint, HandAgent]:
    """Make another endpoint, which no visitor reaches by itself."""
    agent = HandAgent(made.agent.bell)
    pool = Pool(lambda n: n - 1)
    pool.add(agent)
    url = Url("https", "inner.internal", 443)
    return Endpoint("ep_2", url, "https", "ac_1", pool), agent


async def test_a_policy_that_does_nothing_changes_nothing() -> None:
    policy = HandPolicy()
    async with stand(policy=policy) as made:
        client = await made.visit()
        for count in (1, 2, 3):
            client.send("POST /a HTTP/1.1", "Content-Length: 3", "X-Test: 1", body=b"abc")
            stream = await made.agent.stream()
            came = await stream.until(b"\r\n\r\nabc", count)
            assert came.startswith(
                b"POST /a HTTP/1.1\r\nHost: app.example\r\nX-Test: 1\r\nContent-Length: 3\r\n"
            )
            stream.ok(b"hello", b"X-Answer: 2")
            status, fields, body = await client.answer()
            assert (status, fields["x-answer"], body) == (200, "2", b"hello")
        assert made.agent.streams == 1  # kept from request to request
        event = await made.request_told(3)
        assert (event.request_length, event.response_length, event.connection_reused) == (3, 5, True)
        assert [hooks.overs for hooks in policy.begun] == [1, 1, 1]
        assert made.endpoint.counters.bytes_in == 9


async def test_chunks_and_trailers_pass_in_both_directions() -> None:
    async with stand(policy=HandPolicy()) as made:
        client = await made.visit()
        client.send(
            "POST / HTTP/1.1",
            "Transfer-Encoding: chunked",
            "TE: trailers",
            body=b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-Sum: 1\r\n\r\n",
        )
        stream = await made.agent.stream()
        came = await stream.until(b"X-Sum: 1\r\n\r\n")
        assert b"Transfer-Encoding: chunked\r\nTE: trailers\r\n" in came
        assert came.endswith(b"7\r\nabcdefg\r\n0\r\nX-Sum: 1\r\n\r\n")
        expected = b"2\r\nhi\r\n0\r\nGrpc-Status: 0\r\n\r\n"
        stream.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + expected)
        status, fields = await client.head()
        assert (status, fields["transfer-encoding"]) == (200, "chunked")
        assert await client.body(len(expected)) == expected


async def test_the_request_waits_while_the_policy_thinks() -> None:
    """Nothing is forwarded before it has judged, and a long body stops the visitor meanwhile."""
    policy = HandPolicy(request=lambda _passage: None)
    body = b"x" * 3_000_000
    async with stand(policy=policy) as made:
        client = await made.visit()
        client.send("POST / HTTP/1.1", f"Content-Length: {len(body)}", body=body)
        await made.until(lambda: bool(policy.begun) and made.visitor.bytes_in > 0)
        await turns(100)
        assert made.agent.streams == 0
        assert made.visitor.bytes_in < 1_000_000
        policy.begun[0].passage.go_on()
        stream = await made.agent.stream()
        await stream.sink.bell.until(lambda: stream.data.count(b"x" * 1000) >= len(body) // 1000)
        stream.ok()
        assert (await client.answer())[0] == 200


async def test_the_answer_waits_while_the_policy_thinks() -> None:
    policy = HandPolicy(response=lambda _passage, _head: None)
    async with stand(policy=policy) as made:
        client = await made.visit()
        client.get()
        stream = await made.agent.stream()
        await stream.heads()
        stream.ok(b"hello")
        await made.until(lambda: bool(policy.begun[0].heads))
        hooks = policy.begun[0]
        hooks.passage.pass_on(hooks.heads[0]._replace(plain=[b"X-New: 1"]))
        status, fields, body = await client.answer()
        assert (status, fields["x-new"], body) == (200, "1", b"hello")


async def test_a_policy_answers_by_itself() -> None:
    """Before the upstream sees anything; the connection stays."""

    def answer(passage: Passage) -> None:
        passage.answer(403, [b"X-Why: policy"], b"no", 3000)

    async with stand(policy=HandPolicy(request=answer)) as made:
        client = await made.visit()
        for _ in range(2):
            client.get()
            status, fields, body = await client.answer()
            assert (status, fields["x-why"], body) == (403, "policy", b"no")
        client.send("HEAD / HTTP/1.1")
        status, fields = await client.head()
        assert (status, fields["content-length"]) == (403, "2")
        assert made.agent.streams == 0
        assert (await made.request_told()).error_code == "ERR_NGROK_3000"


async def test_an_answer_instead_of_the_upstreams() -> None:
    def replace(passage: Passage, head: ResponseHead) -> None:
        passage.answer(head.status + 1, [], b"ours")

    async with stand(policy=HandPolicy(response=replace)) as made:
        client = await made.visit()
        client.get()
        stream = await made.agent.stream()
        await stream.heads()
        stream.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nabc")
        assert (await client.answer())[::2] == (201, b"ours")
        await stream.cut()


@pytest.mark.parametrize("phase", ["request", "response"])
async def test_a_policy_closes_the_connection(phase: str) -> None:
    def close(passage: Passage, _head: ResponseHead | None = None) -> None:
        passage.cut()

    policy = HandPolicy(request=close) if phase == "request" else HandPolicy(response=close)
    async with stand(policy=policy, serve=AgentStream.ok) as made:
        client = await made.visit()
        client.get()
        assert await client.is_cut() == b""
        assert (await made.request_told()).aborted


async def test_filters_change_both_bodies() -> None:
    """The length is not known then, so chunks say where the end is."""

    def request(passage: Passage) -> None:
        passage.filter_request(Upper())
        passage.go_on()

    def response(passage: Passage, head: ResponseHead) -> None:
        passage.filter_response(Upper())
        passage.pass_on(head)

    async with stand(policy=HandPolicy(request, response)) as made:
        client = await made.visit()
        client.send("POST / HTTP/1.1", "Content-Length: 5", body=b"hello")
        stream = await made.agent.stream()
        came = await stream.until(b"0\r\n\r\n")
        assert came.endswith(b"5\r\nHELLO\r\n7\r\n SIGNED\r\n0\r\n\r\n")
        assert b"content-length" not in came.lower()
        stream.ok(b"world")
        _, fields = await client.head()
        assert fields["transfer-encoding"] == "chunked"
        expected = b"5\r\nWORLD\r\n7\r\n SIGNED\r\n0\r\n\r\n"
        assert await client.body(len(expected)) == expected
        client.send("HEAD / HTTP/1.1")  # no body, nothing to filter: the length stays
        await stream.until(b"HEAD / ")
        stream.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        assert (await client.head())[1]["content-length"] == "5"


async def test_a_policy_changes_the_head() -> None:
    def change(passage: Passage) -> None:
        passage.go_on(passage.head._replace(target=b"/other", plain=[b"X-Added: 1"]))

    async with stand(policy=HandPolicy(request=change)) as made:
        client = await made.visit()
        client.get("/here", "X-Gone: 1")
        stream = await made.agent.stream()
        assert (await stream.heads()).startswith(
            b"GET /other HTTP/1.1\r\nHost: app.example\r\nX-Added: 1\r\nX-Fo"
        )
        stream.ok()
        assert (await client.answer())[0] == 200
        assert (await made.request_told()).target == "/here"


async def test_a_request_is_forwarded_to_another_endpoint() -> None:
    """Whose policy judges it too: the request after, the answer before the first one's."""
    order: list[str] = []
    async with stand() as made:
        endpoint, agent = inner(made)

        def said(name: str, passage: Passage, head: ResponseHead) -> None:
            order.append(name)
            passage.pass_on(head)

        made.endpoint.policy = HandPolicy(
            lambda passage: passage.forward(endpoint), lambda passage, head: said("outer", passage, head)
        )
        endpoint.policy = HandPolicy(response=lambda passage, head: said("inner", passage, head))
        client = await made.visit()
        client.get()
        stream = await agent.stream()
        await stream.heads()
        stream.ok(b"inner")
        assert (await client.answer())[2] == b"inner"
        assert order == ["inner", "outer"]
        assert made.agent.streams == 0
        assert (await made.request_told()).endpoint_id == "ep_1"


async def test_forwarding_in_a_circle_ends() -> None:
    async with stand() as made:
        policy = made.endpoint.policy = HandPolicy(lambda passage: passage.forward(made.endpoint))
        client = await made.visit()
        client.get()
        assert (await client.answer())[0] == 502
        assert len(policy.begun) == MAX_FORWARDS + 1


async def test_the_policy_hears_that_nobody_took_the_request() -> None:
    def instead(passage: Passage, status: int, code: int) -> bool:
        passage.answer(503, [b"X-Was: %d %d" % (status, code)], b"later")
        return True

    async with stand(policy=HandPolicy(unreached=instead)) as made:
        made.agent.usable = False
        client = await made.visit()
        client.get()
        status, fields, _ = await client.answer()
        assert (status, fields["x-was"]) == (503, "404 3200")


async def test_an_upgrade_passes() -> None:
    async with stand(policy=HandPolicy()) as made:
        client = await made.visit()
        client.get("/", "Connection: upgrade", "Upgrade: websocket")
        stream = await made.agent.stream()
        assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in await stream.heads()
        client.writer.write(b"too early")
        stream.say(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nfrom there")
        assert (await client.head())[0] == 101
        assert await client.body(10) == b"from there"
        await stream.until(b"too early")
        client.writer.write_eof()
        await stream.ended()
        stream.say(b"last")
        stream.pipe.end()
        assert await client.rest() == b"last"
        assert (await made.request_told()).status == 101


async def test_a_visitor_that_leaves_cuts_its_stream() -> None:
    async with stand(policy=HandPolicy()) as made:
        client = await made.visit()
        client.get()
        stream = await made.agent.stream()
        await stream.heads()
        reset(client.transport)
        await stream.cut()
        assert (await made.request_told()).aborted
