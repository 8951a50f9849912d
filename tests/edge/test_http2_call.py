"""One call over an upstream's HTTP/2: how it ends, and WebSockets."""

import pytest
from tests.kit.certs import Certs
from tests.kit.http2_client import certs2, visit2
from tests.kit.http2_server import server, stand2
from tests.kit.http_edge import stand
from tests.kit.pipes import turns


@pytest.fixture(scope="module")
def certs() -> Certs:
    return certs2()


UPGRADE = ("Connection: upgrade", "Upgrade: websocket")


WEBSOCKET = (":protocol", "websocket")


async def test_a_visitor_that_gives_up_cancels_the_call(certs: Certs) -> None:
    async with stand2(certs) as made:
        client = await visit2(made)
        stream, other = client.ask(), client.ask("/other")
        upstream = await server(made)
        call, second = await upstream.call(), await upstream.call(1)
        client.conn.reset_stream(stream, 8)
        client.flush()
        await upstream.until(call, "reset", 8)
        upstream.answer(second)
        assert (await client.answer(other)).status == 200


async def test_a_call_that_the_upstream_resets(certs: Certs) -> None:
    """Before its answer it is a page, in the middle of it a reset."""
    async with stand2(certs) as made:
        client = await visit2(made)
        stream, other = client.ask(method="POST"), client.ask("/other")
        upstream = await server(made)
        call, second = await upstream.call(), await upstream.call(1)
        upstream.conn.reset_stream(call, 2)
        upstream.conn.send_headers(second, [(":status", "200")])
        upstream.conn.send_data(second, b"half")
        upstream.conn.reset_stream(second, 2)
        upstream.flush()
        answer = await client.answer(stream)
        assert (answer.status, answer.fields["ngrok-error-code"]) == (502, "ERR_NGROK_3004")
        answer = await client.answer(other)
        assert (answer.body, answer.reset) == (b"half", 2)


async def test_an_upgrade_of_http1_is_an_extended_connect() -> None:
    async with stand2() as made:
        client = await made.visit()
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        client.get("/ws", *UPGRADE, key, "Sec-WebSocket-Version: 13")
        upstream = await server(made, upgrades=True)
        stream = await upstream.call()
        fields = upstream.calls[stream].fields
        assert (fields[":method"], fields[":protocol"], fields[":path"]) == ("CONNECT", "websocket", "/ws")
        assert "sec-websocket-key" not in fields
        assert fields["sec-websocket-version"] == "13"
        upstream.conn.send_headers(stream, [(":status", "200"), ("sec-websocket-protocol", "chat")])
        upstream.flush()
        status, answer = await client.head()
        assert (status, answer["upgrade"], answer["sec-websocket-protocol"]) == (101, "websocket", "chat")
        assert answer["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        client.writer.write(b"there")
        await upstream.until(stream, "body", b"there")
        upstream.conn.send_data(stream, b"back", end_stream=True)
        upstream.flush()
        assert await client.rest() == b"back"


async def test_an_upstream_that_takes_no_extended_connect() -> None:
    async with stand2() as made:
        client = await made.visit()
        client.get("/ws", *UPGRADE, "Sec-WebSocket-Key: x")
        upstream = await server(made)
        status, fields, _ = await client.answer()
        assert (status, fields["ngrok-error-code"]) == (502, "ERR_NGROK_3004")
        upstream.look()
        assert upstream.calls == {}


async def test_an_extended_connect_is_an_upgrade_of_http1(certs: Certs) -> None:
    async with stand(certs=certs) as made:
        client = await visit2(made)
        await client.until(lambda: client.settings > 0)
        assert client.conn.remote_settings.enable_connect_protocol == 1
        stream = client.ask("/ws", WEBSOCKET, ("sec-websocket-version", "13"), method="CONNECT", end=False)
        await client.put(stream, b"early")
        agent = await made.agent.stream()
        head = await agent.heads()
        assert head.startswith(b"GET /ws HTTP/1.1\r\nHost: app.example\r\nsec-websocket-version:13\r\n")
        assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in head
        assert b"sec-websocket-key:" in head
        assert b"early" not in head
        lines = b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x"
        agent.say(b"HTTP/1.1 101 Switching\r\n" + lines + b"\r\n\r\n1")
        await agent.until(b"early")
        await client.until(lambda: client.answers[stream].body == b"1")
        assert client.answers[stream].fields == {":status": "200"}
        client.conn.end_stream(stream)
        client.flush()
        await agent.ended()
        agent.say(b"2")
        agent.pipe.end()
        answer = await client.answer(stream)
        assert (answer.body, answer.reset) == (b"12", None)
        assert (await made.request_told()).status == 101


async def test_a_refused_upgrade_over_http2(certs: Certs) -> None:
    async with stand(certs=certs) as made:
        client = await visit2(made)
        stream = client.ask("/ws", WEBSOCKET, method="CONNECT", end=False)
        agent = await made.agent.stream()
        await agent.heads()
        agent.say(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
        answer = await client.answer(stream)
        assert (answer.status, answer.body) == (403, b"no")


async def test_a_websocket_over_http2_on_both_sides(certs: Certs) -> None:
    async with stand2(certs) as made:
        client = await visit2(made)
        stream = client.ask("/ws", WEBSOCKET, method="CONNECT", end=False)
        upstream = await server(made, upgrades=True)
        call = await upstream.call()
        assert upstream.calls[call].fields[":protocol"] == "websocket"
        upstream.conn.send_headers(call, [(":status", "200")])
        upstream.flush()
        await client.put(stream, b"there")
        await upstream.until(call, "body", b"there")
        upstream.conn.send_data(call, b"back", end_stream=True)
        upstream.flush()
        await client.until(lambda: client.answers[stream].ended)
        assert client.answers[stream].body == b"back"
        client.conn.end_stream(stream)
        client.flush()
        await upstream.until(call, "ended", True)
        await made.request_told()


async def test_answers_that_were_given_up_leave_the_window_to_others(certs: Certs) -> None:
    """Each had bytes here that its visitor had not taken."""
    async with stand2(certs) as made:
        client = await visit2(made, INITIAL_WINDOW_SIZE=0)
        upstream = None
        for count in range(30):
            stream = client.ask(method="POST")
            upstream = upstream or await server(made)
            call = await upstream.call(count)
            upstream.conn.send_headers(call, [(":status", "200")])
            for _ in range(15):
                upstream.conn.send_data(call, bytes(16_384))
                upstream.flush()
                await turns(2)
            await client.until(lambda: client.answers[stream].status == 200)  # noqa: B023
            client.conn.reset_stream(stream, 8)
            client.flush()
            await upstream.until(call, "reset", 8)
        assert upstream is not None
        upstream.look()
        assert upstream.conn.outbound_flow_control_window > 2_000_000
        assert made.agent.streams == 1
