"""The request cycle: naming, forwarding, keep-alive, our own answers, ends and limits."""

import pytest
from tests.kit.http_edge import HOST, Stand, stand

from portway.edge.ports import EdgeConfig, Limits
from portway.edge.registry import Endpoint
from portway.model.url import Url
from portway.net.address import written

REQUEST = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


async def served(made: Stand, times: int = 1) -> None:
    """Serve one client so many plain requests over one stream."""
    client = await made.visit()
    for count in range(1, times + 1):
        client.get(f"/{count}")
        stream = await made.agent.stream()
        assert b"GET /%d HTTP/1.1\r\n" % count in await stream.heads(count)
        stream.ok(b"n%d" % count)
        assert (await client.answer())[2] == b"n%d" % count


@pytest.mark.row("G-125")
async def test_a_request_reaches_the_agent_and_its_answer_the_visitor() -> None:
    async with stand() as made:
        client = await made.visit()
        client.get("/a?b", "X-Test: 1")
        stream = await made.agent.stream()
        head = (await stream.heads()).decode()
        assert head.startswith(f"GET /a?b HTTP/1.1\r\nHost: {HOST}\r\nX-Test: 1\r\n")
        assert "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n" in head
        assert stream.visitor.proto == "http"
        assert stream.visitor.client_addr == written(client.writer.get_extra_info("sockname"))
        assert stream.visitor.server_addr == f"127.0.0.1:{made.port}"
        stream.ok(b"hello", b"X-Answer: 2", b"Ngrok-Error-Code: ERR_NGROK_1")
        status, fields, body = await client.answer()
        assert (status, body, fields["x-answer"]) == (200, b"hello", "2")
        assert "ngrok-error-code" not in fields
        assert "connection" not in fields
        event = await made.request_told()
        assert (event.method, event.target, event.host, event.status) == ("GET", "/a?b", HOST, 200)
        assert (event.endpoint_id, event.account_id, event.response_length) == ("ep_1", "ac_1", 5)
        assert not event.aborted


async def test_requests_of_one_visitor_share_a_stream() -> None:
    async with stand() as made:
        await served(made, 3)
        assert len(made.agent.opened) == 1
        assert [event.connection_reused for event in made.edge.requests] == [False, True, True]
        assert made.endpoint.counters.connections == 1
        assert made.endpoint.counters.requests == 3
        await made.clients[0].close()
        await made.agent.opened[0].ended()  # an idle stream is ended, not cut
        await made.until(lambda: len(made.edge.connections) == 1)
        assert made.edge.connections[0].endpoint_id == "ep_1"
        assert made.edge.connections[0].bytes_in > 0


async def test_pipelined_requests_are_served_in_order() -> None:
    async with stand() as made:
        client = await made.visit()
        for path in ("/1", "/2", "/3"):
            client.get(path)
        stream = await made.agent.stream()
        for count in (1, 2, 3):
            assert (await stream.heads(count)).count(b"HTTP/1.1") == count  # never two at a time
            stream.ok(b"%d" % count)
            assert (await client.answer())[2] == b"%d" % count


async def test_a_head_may_come_in_any_pieces() -> None:
    async with stand() as made:
        client = await made.visit()
        for byte in REQUEST:
            client.writer.write(bytes([byte]))
            await client.writer.drain()
        stream = await made.agent.stream()
        await stream.heads()
        stream.ok()
        assert (await client.answer())[0] == 200


# -- answers of ours


@pytest.mark.parametrize("accept", ["text/html", "*/*"])
async def test_an_endpoint_that_is_not_online_has_a_page(accept: str) -> None:
    async with stand() as made:
        client = await made.visit()
        for _ in range(2):  # the connection stays
            client.send("GET / HTTP/1.1", f"Accept: {accept}", host="nobody.example")
            status, fields, body = await client.answer()
            assert (status, fields["ngrok-error-code"]) == (404, "ERR_NGROK_3200")
            assert fields["content-type"].startswith("text/html" if accept == "text/html" else "text/plain")
            assert b"nobody.example" in body
        assert (await made.request_told()).error_code == "ERR_NGROK_3200"
        assert made.agent.opened == []


async def test_many_pipelined_errors_to_a_visitor_that_does_not_read() -> None:
    """Each is answered in turn, without recursion, and not into memory without bounds."""
    async with stand() as made:
        client = await made.visit()
        client.transport.pause_reading()
        one = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        client.writer.write(one * 20_000)
        await made.until(lambda: made.visitor.clogged)
        count = len(made.edge.requests)
        assert count < 20_000
        client.transport.resume_reading()
        for _ in range(20_000):
            assert (await client.answer())[0] == 404
        assert len(made.edge.requests) == 20_000


async def test_head_gets_no_body_from_us_either() -> None:
    async with stand() as made:
        client = await made.visit()
        client.send("HEAD / HTTP/1.1", host="nobody.example")
        status, fields = await client.head()
        assert status == 404
        assert int(fields["content-length"]) > 0
        client.get()
        stream = await made.agent.stream()
        await stream.heads()
        stream.ok(b"next")
        assert (await client.answer())[2] == b"next"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: app.example\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost : app.example\r\n\r\n", 400),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", 417),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 501 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * (1 << 20) + b"\r\n\r\n", 431),
    ],
)
async def test_a_request_that_cannot_be_served_is_answered_and_the_connection_closed(
    raw: bytes, status: int
) -> None:
    async with stand() as made:
        client = await made.visit()
        client.writer.write(raw + REQUEST)
        answer = await client.answer()
        assert answer[0] == status
        assert answer[1]["connection"] == "close"
        assert answer[1]["ngrok-error-code"] == "ERR_NGROK_3007"
        assert b"ERR_NGROK_3007" in answer[2]
        assert await client.rest() == b""  # what followed was not served
        assert made.agent.opened == []


async def test_the_scheme_of_an_absolute_target_must_be_that_of_the_connection() -> None:
    async with stand() as made:
        client = await made.visit()
        client.get(f"https://{HOST}/")
        assert (await client.answer())[0] == 421
        client.get(f"http://{HOST}/path")
        assert (await (await made.agent.stream()).heads()).startswith(b"GET /path HTTP/1.1\r\n")


# -- when the agent does not answer


@pytest.mark.row("G-126")
async def test_an_end_without_any_byte_is_8012_and_the_endpoint_stays() -> None:
    async with stand() as made:
        client = await made.visit()
        client.get()
        stream = await made.agent.stream()
        await stream.heads()
        stream.pipe.end()
        status, fields, _ = await client.answer()
        assert (status, fields["ngrok-error-code"]) == (502, "ERR_NGROK_8012")
        await stream.ended()
        client.get("/again")
        stream = await made.agent.stream(1)
        await stream.heads()
        stream.ok(b"up again")
        assert (await client.answer())[2] == b"up again"


async def test_a_request_that_an_ended_stream_did_not_answer_is_sent_again() -> None:
    async with stand() as made:
        await served(made)
        client, stream = made.clients[0], made.agent.opened[0]
        client.get("/twice")
        await stream.until(b"/twice")
        stream.pipe.end()
        fresh = await made.agent.stream(1)
        assert b"GET /twice " in await fresh.heads()
        fresh.pipe.end()  # once only
        assert (await client.answer())[1]["ngrok-error-code"] == "ERR_NGROK_8012"
        assert len(made.agent.opened) == 2


async def test_a_request_with_a_body_or_of_doubtful_effect_is_not_sent_again() -> None:
    async with stand() as made:
        for line, body in (("POST / HTTP/1.1", b""), ("PUT / HTTP/1.1", b"x")):
            before = len(made.agent.opened)
            client = await made.visit()
            client.get()
            stream = await made.agent.stream(before)
            await stream.heads()
            stream.ok()
            await client.answer()
            client.send(line, f"Content-Length: {len(body)}", body=body)
            await stream.heads(2)
            stream.pipe.end()
            assert (await client.answer())[1]["ngrok-error-code"] == "ERR_NGROK_8012"
            assert len(made.agent.opened) == before + 1


async def test_an_idle_stream_that_ends_is_replaced() -> None:
    async with stand() as made:
        await served(made)
        made.agent.opened[0].pipe.end()
        await made.agent.opened[0].ended()
        made.clients[0].get()
        await (await made.agent.stream(1)).heads()


@pytest.mark.row("S12")
async def test_a_busy_agent_is_tried_once_more_and_the_request_refused() -> None:
    async with stand() as made:
        client = await made.visit()
        client.get()
        (await made.agent.stream(0)).pipe.abort(9)
        (await made.agent.stream(1)).pipe.abort(9)
        status, fields, _ = await client.answer()
        assert (status, fields["ngrok-error-code"]) == (502, "ERR_NGROK_3210")
        made.agent.full = True
        client.get()
        assert (await client.answer())[1]["ngrok-error-code"] == "ERR_NGROK_3210"
        made.agent.full, made.agent.usable = False, False
        client.get()
        assert (await client.answer())[1]["ngrok-error-code"] == "ERR_NGROK_3200"


async def test_another_endpoint_on_the_same_connection_gets_a_stream_of_its_own() -> None:
    async with stand() as made, stand() as other:
        await served(made)
        stranger = Endpoint("ep_2", Url("http", "b.example", 80), "http", "ac_2", other.endpoint.pool)
        made.edge.registry.add(stranger)
        client = made.clients[0]
        client.send("GET /b HTTP/1.1", host="B.Example:80")
        await made.agent.opened[0].ended()
        stream = await other.agent.stream()
        assert b"GET /b " in await stream.heads()
        stream.ok()
        assert (await client.answer())[0] == 200
        assert made.edge.requests[-1].endpoint_id == "ep_2"


# -- ends


async def test_a_drain_ends_idle_visitors_now_and_others_behind_their_answer() -> None:
    async with stand() as made:
        await served(made)
        idle, busy = made.clients[0], await made.visit()
        busy.get("/slow")
        stream = await made.agent.stream(1)
        await stream.heads()
        for visitor in made.edge.visitors:
            visitor.drain()
        assert await idle.rest() == b""
        await made.agent.opened[0].ended()
        stream.ok(b"last")
        _, fields, body = await busy.answer()
        assert (fields["connection"], body) == ("close", b"last")
        assert await busy.rest() == b""
        await stream.ended()


# -- limits


def let_pass(made: Stand, seconds: int) -> None:
    """Tick the newest visitor. The real clock ticks too, so tests leave it ten ticks of play."""
    for _ in range(seconds):
        made.visitor.tick()


async def test_a_head_that_does_not_get_complete_is_408() -> None:
    async with stand() as made:
        client = await made.visit()
        client.writer.write(b"GET / HTTP/1.1\r\n")
        await made.until(lambda: bool(made.edge.visitors) and made.visitor.bytes_in > 0)
        let_pass(made, 50)
        client.writer.write(b"Host: ")  # a drip is no progress
        await made.until(lambda: made.visitor.bytes_in > 16)
        let_pass(made, 10)
        assert (await client.answer())[0] == 408
        assert await client.rest() == b""


async def test_a_connection_that_says_nothing_is_closed() -> None:
    async with stand() as made:
        client = await made.visit()
        await made.until(lambda: bool(made.edge.visitors) and made.visitor.ticks == 0)
        let_pass(made, 60)
        assert await client.rest() == b""


async def test_a_kept_connection_may_idle_for_five_minutes() -> None:
    async with stand() as made:
        await served(made)
        let_pass(made, 290)
        assert not made.clients[0].reader.at_eof()
        let_pass(made, 10)
        assert await made.clients[0].rest() == b""


async def test_an_answer_that_does_not_come_is_504() -> None:
    async with stand() as made:
        client = await made.visit()
        client.get()
        stream = await made.agent.stream()
        await stream.heads()
        let_pass(made, 300)
        status, fields, _ = await client.answer()
        assert (status, fields["ngrok-error-code"]) == (504, "ERR_NGROK_3005")
        await stream.cut()


async def test_an_answer_that_stops_in_the_middle_is_cut() -> None:
    async with stand() as made:
        client = await made.visit()
        client.get()
        stream = await made.agent.stream()
        await stream.heads()
        stream.say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        await client.head()
        let_pass(made, 290)
        stream.say(b"!")  # progress
        assert await client.body(5) == b"half!"
        let_pass(made, 290)
        assert not made.edge.requests
        let_pass(made, 10)
        await client.is_cut()
        await stream.cut()


async def test_limits_of_zero_are_none() -> None:
    async with stand(config=EdgeConfig(limits=Limits(head=0.0, idle=0.0))) as made:
        client = await made.visit()
        client.get()
        stream = await made.agent.stream()
        await stream.heads()
        let_pass(made, 1000)
        stream.ok()
        assert (await client.answer())[0] == 200
        let_pass(made, 1000)
        assert not client.reader.at_eof()
