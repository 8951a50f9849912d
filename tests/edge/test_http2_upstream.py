"""Upstreams that speak HTTP/2, asked by visitors of both versions."""

import pytest
from tests.kit.certs import Certs
from tests.kit.http2_client import certs2, visit2
from tests.kit.http2_server import server, stand2
from tests.kit.pipes import turns


@pytest.fixture(scope="module")
def certs() -> Certs:
    return certs2()


@pytest.mark.row("G-132")
async def test_requests_of_http1_share_one_connection() -> None:
    async with stand2() as made:
        client = await made.visit()
        client.send(
            "POST /a?b HTTP/1.1",
            "Content-Length: 3",
            "X-Test: 1",
            "Connection: X-Hop",
            "X-Hop: 1",
            body=b"abc",
        )
        upstream = await server(made)
        stream = await upstream.call()
        call = await upstream.until(stream, "ended", True)
        assert call.fields == {
            ":method": "POST", ":scheme": "http", ":authority": "app.example", ":path": "/a?b",
            "x-test": "1", "content-length": "3",
            "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http", "x-forwarded-host": "app.example",
        }  # fmt: skip
        assert call.body == b"abc"
        upstream.answer(stream, b"hello", ("x-answer", "2"))
        status, fields, body = await client.answer()
        assert (status, fields["x-answer"], body) == (200, "2", b"hello")
        client.get("/again")
        stream = await upstream.call(1)
        upstream.answer(stream, b"")
        assert (await client.answer())[0] == 200
        assert made.agent.streams == 1
        assert [event.connection_reused for event in made.edge.requests] == [False, True]


async def test_an_answer_of_unknown_length_and_its_trailers_to_http1() -> None:
    async with stand2() as made:
        client = await made.visit()
        client.get()
        upstream = await server(made)
        stream = await upstream.call()
        upstream.conn.send_headers(stream, [(":status", "103"), ("link", "</x>")])
        upstream.conn.send_headers(stream, [(":status", "200")])
        upstream.conn.send_data(stream, b"hi")
        upstream.flush()
        assert (await client.head())[0] == 103
        status, fields = await client.head()
        assert (status, fields["transfer-encoding"]) == (200, "chunked")
        assert await client.body(7) == b"2\r\nhi\r\n"
        upstream.conn.send_headers(stream, [("grpc-status", "0")], end_stream=True)
        upstream.flush()
        assert await client.body(20) == b"0\r\ngrpc-status:0\r\n\r\n"


async def test_calls_of_http2_are_multiplexed(certs: Certs) -> None:
    """Bodies both ways at once, with trailers."""
    async with stand2(certs) as made:
        client = await visit2(made)
        streams = [client.ask(f"/{n}", ("te", "trailers"), method="POST", end=False) for n in range(5)]
        upstream = await server(made)
        for number, stream in enumerate(streams):
            call = await upstream.call(number)
            assert upstream.calls[call].fields["te"] == "trailers"
            await client.put(stream, b"ping %d" % number)
            await upstream.until(call, "body", b"ping %d" % number)
            upstream.conn.send_headers(call, [(":status", "200"), ("content-type", "application/grpc")])
            upstream.conn.send_data(call, b"pong %d" % number)
            upstream.flush()
            await client.until(lambda: client.answers[stream].body == b"pong %d" % number)  # noqa: B023
        for number, stream in enumerate(streams):
            call = await upstream.call(number)
            client.conn.send_headers(stream, [("x-sum", "1")], end_stream=True)
            client.flush()
            await upstream.until(call, "trailers", {"x-sum": "1"})
            upstream.conn.send_headers(call, [("grpc-status", "0")], end_stream=True)
            upstream.flush()
            answer = await client.answer(stream)
            assert (answer.trailers, answer.ended) == ({"grpc-status": "0"}, True)
        assert made.agent.streams == 1


async def test_a_call_above_what_the_upstream_bears_takes_another_connection(certs: Certs) -> None:
    async with stand2(certs) as made:
        client = await visit2(made)
        first = client.ask()
        upstream = await server(made, MAX_CONCURRENT_STREAMS=1)
        await upstream.call()
        await turns(20)
        second = client.ask()
        other = await server(made, 1)
        other.answer(await other.call(), b"2")
        assert (await client.answer(second)).body == b"2"
        upstream.answer(1, b"1")
        assert (await client.answer(first)).body == b"1"


async def test_back_pressure_both_ways(certs: Certs) -> None:
    async with stand2(certs) as made:
        client = await visit2(made)
        client.reading = False
        down, up = client.ask(), client.ask(method="POST", end=False)
        upstream = await server(made)
        upstream.reading = False
        call, taking = await upstream.call(), await upstream.call(1)
        upstream.conn.send_headers(call, [(":status", "200")])
        window = upstream.conn.local_flow_control_window(call)
        while (room := min(upstream.conn.local_flow_control_window(call), 16_384)) > 0:
            upstream.conn.send_data(call, b"x" * room)
            upstream.flush()
            await turns(5)
        await client.until(lambda: client.conn.remote_flow_control_window(down) == 0)
        upstream.look()
        assert upstream.conn.local_flow_control_window(call) < 100_000 < window
        client.conn.send_data(up, b"y" * 16_384)
        for _ in range(3):
            client.conn.send_data(up, b"y" * 16_384)
        client.conn.send_data(up, b"y" * 16_383)
        client.flush()
        await upstream.until(taking, "body", b"y" * 65_535)  # its window
        client.reading = upstream.reading = True
        client.conn.increment_flow_control_window(1 << 20)
        client.conn.increment_flow_control_window(1 << 20, down)
        client.flush()
        upstream.conn.end_stream(call)
        upstream.flush()
        answer = await client.answer(down)
        assert len(answer.body) >= window


async def test_a_goaway_lets_calls_finish_and_sends_the_next_elsewhere(certs: Certs) -> None:
    async with stand2(certs) as made:
        client = await visit2(made)
        stream = client.ask()
        upstream = await server(made)
        call = await upstream.call()
        upstream.agent.say(b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + call.to_bytes(4, "big") + bytes(4))
        await turns(20)
        later = client.ask("/later")
        other = await server(made, 1)
        other.answer(await other.call())
        assert (await client.answer(later)).status == 200
        upstream.answer(call)
        assert (await client.answer(stream)).status == 200


async def test_a_refused_call_goes_elsewhere(certs: Certs) -> None:
    """GOAWAY says that it was not looked at, so it may be sent again."""
    async with stand2(certs) as made:
        client = await visit2(made)
        stream = client.ask()
        upstream = await server(made)
        await upstream.call()
        upstream.agent.say(b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + bytes(8))
        other = await server(made, 1)
        other.answer(await other.call(), b"elsewhere")
        assert (await client.answer(stream)).body == b"elsewhere"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"", "ERR_NGROK_8012"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "ERR_NGROK_3004"),
        (b"\0" * 9, "ERR_NGROK_3004"),
    ],
)
async def test_an_upstream_that_is_not_there_or_speaks_something_else(said: bytes, code: str) -> None:
    async with stand2() as made:
        client = await made.visit()
        client.send("POST / HTTP/1.1", "Content-Length: 0")
        agent = await made.agent.stream()
        if said:
            agent.say(said)
        agent.pipe.end()
        status, fields, _ = await client.answer()
        assert (status, fields["ngrok-error-code"]) == (502, code)
