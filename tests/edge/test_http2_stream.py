"""One stream of HTTP/2: bodies, trailers, interim and early answers, breaks."""

import pytest
from tests.kit.certs import Certs
from tests.kit.http2_client import asked, certs2, visit2
from tests.kit.http_edge import stand


@pytest.fixture(scope="module")
def certs() -> Certs:
    return certs2()


async def test_a_body_without_a_length_comes_in_chunks_with_its_trailers(certs: Certs) -> None:
    async with stand(certs=certs) as made:
        client, stream, agent = await asked(made, "/", method="POST", end=False)
        await client.put(stream, b"abc")
        await agent.until(b"3\r\nabc\r\n")  # not held back for more
        client.conn.send_headers(stream, [("x-sum", "7")], end_stream=True)
        client.flush()
        assert (await agent.until(b"x-sum:7\r\n\r\n")).endswith(b"3\r\nabc\r\n0\r\nx-sum:7\r\n\r\n")
        agent.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
        await client.until(lambda: client.answers[stream].body == b"hi")
        agent.say(b"0\r\nGrpc-Status: 0\r\n\r\n")
        answer = await client.answer(stream)
        assert (answer.body, answer.trailers) == (b"hi", {"grpc-status": "0"})
        assert "transfer-encoding" not in answer.fields


async def test_a_body_of_known_length(certs: Certs) -> None:
    async with stand(certs=certs) as made:
        client = await visit2(made)
        stream = client.ask("/", ("content-length", "5"), method="POST", end=False)
        await client.put(stream, b"12345", end=True)
        agent = await made.agent.stream()
        assert (await agent.until(b"12345")).endswith(b"\r\n\r\n12345")
        assert b"Content-Length: 5\r\n" in agent.data
        agent.ok()
        assert (await client.answer(stream)).status == 200


@pytest.mark.parametrize(
    ("method", "status", "length"),
    [("HEAD", 200, "7"), ("GET", 304, "7"), ("GET", 204, None), ("GET", 205, "0")],
)
async def test_answers_without_a_body(certs: Certs, method: str, status: int, length: str | None) -> None:
    async with stand(certs=certs) as made:
        client, stream, agent = await asked(made, method=method)
        line = f"Content-Length: {length}\r\n" if length else ""
        agent.say(f"HTTP/1.1 {status} X\r\n{line}\r\n".encode())
        answer = await client.answer(stream)
        assert (answer.status, answer.ended, answer.body) == (status, True, b"")
        assert answer.fields.get("content-length") == length


async def test_interim_answers_pass(certs: Certs) -> None:
    async with stand(certs=certs) as made:
        client = await visit2(made)
        stream = client.ask("/", ("expect", "100-continue"), ("content-length", "2"), method="PUT", end=False)
        agent = await made.agent.stream()
        assert b"Expect: 100-continue\r\n" in await agent.heads()
        agent.say(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        await client.until(lambda: len(client.answers[stream].interim) == 2)
        assert client.answers[stream].interim == [{":status": "100"}, {":status": "103", "link": "</x>"}]
        await client.put(stream, b"ab", end=True)
        await agent.until(b"\r\n\r\nab")
        agent.ok()
        assert (await client.answer(stream)).status == 200


async def test_an_early_answer_leaves_the_connection(certs: Certs) -> None:
    """Its stream is reset with NO_ERROR behind the answer; others go on."""
    async with stand(certs=certs) as made:
        client, stream, agent = await asked(made, method="POST", end=False)
        agent.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        answer = await client.answer(stream)
        assert (answer.status, answer.body, answer.ended) == (413, b"no", True)
        await client.until(lambda: answer.reset is not None)
        assert answer.reset == 0
        await agent.cut()
        other = client.ask("/other")
        second = await made.agent.stream(1)
        await second.heads()
        second.ok()
        assert (await client.answer(other)).status == 200


async def test_an_answer_that_breaks_resets_its_stream_alone(certs: Certs) -> None:
    async with stand(certs=certs) as made:
        client, stream, agent = await asked(made)
        other = client.ask("/other")
        second = await made.agent.stream(1)
        await second.heads()
        agent.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        agent.pipe.end()
        answer = await client.answer(stream)
        assert (answer.body, answer.ended, answer.reset) == (b"half", False, 2)
        second.ok()
        assert (await client.answer(other)).status == 200
        assert (await made.request_told()).aborted


async def test_a_request_that_is_given_up_cuts_its_upstream(certs: Certs) -> None:
    async with stand(certs=certs) as made:
        client, stream, agent = await asked(made)
        client.conn.reset_stream(stream, 8)
        client.flush()
        await agent.cut()
        assert (await made.request_told()).aborted


async def test_uploads_that_were_given_up_leave_the_window_to_others(certs: Certs) -> None:
    """Each had bytes here that no upstream had taken."""
    async with stand(certs=certs) as made:
        made.agent.window = 1024
        client = await visit2(made)
        for count in range(30):
            stream = client.ask(method="POST", end=False)
            agent = await made.agent.stream(count)
            agent.sink.consuming = False
            await client.put(stream, bytes(250_000))
            if count % 2:
                client.conn.reset_stream(stream, 8)
                client.flush()
                await agent.cut()
            else:
                agent.say(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
                assert (await client.answer(stream)).status == 413
        await client.until(lambda: client.conn.outbound_flow_control_window > 3_000_000)
