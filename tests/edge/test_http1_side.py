"""Answers of passages to visitors of HTTP/1: the framing they get, and whether the connection stays."""

from tests.kit.http_edge import AgentStream, Client, Stand, stand
from tests.kit.http_policy import HandPolicy


async def asked(made: Stand, *lines: str) -> tuple[Client, AgentStream]:
    """Send a request and see it at the agent."""
    client = await made.visit()
    client.send(*lines)
    stream = await made.agent.stream()
    await stream.heads()
    return client, stream


async def test_an_answer_until_the_end_gets_chunks() -> None:
    """So its end can be told from a break, and the connection stays."""
    async with stand(policy=HandPolicy()) as made:
        client, stream = await asked(made, "GET / HTTP/1.1")
        stream.say(b"HTTP/1.1 200 OK\r\n\r\nhello")
        status, fields = await client.head()
        assert (status, fields["transfer-encoding"]) == (200, "chunked")
        assert await client.body(10) == b"5\r\nhello\r\n"
        stream.pipe.end()
        assert await client.body(5) == b"0\r\n\r\n"
        client.get("/again")
        (await made.agent.stream(1)).ok(b"2")
        assert (await client.answer())[2] == b"2"


async def test_a_break_is_no_end() -> None:
    async with stand(policy=HandPolicy()) as made:
        client, stream = await asked(made, "GET / HTTP/1.1")
        stream.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await client.head()
        stream.pipe.end()
        assert await client.is_cut() == b"half"


async def test_http_1_0_gets_no_chunks_and_no_interim_answers() -> None:
    async with stand(policy=HandPolicy()) as made:
        client, stream = await asked(made, "GET / HTTP/1.0")
        stream.say(b"HTTP/1.1 103 Hints\r\n\r\n")
        stream.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        status, fields = await client.head()
        assert (status, fields["connection"]) == (200, "close")
        assert "transfer-encoding" not in fields
        assert await client.rest() == b"hello"


async def test_a_refusal_before_the_whole_request_ends_the_connection() -> None:
    async with stand(policy=HandPolicy()) as made:
        client, stream = await asked(made, "POST / HTTP/1.1", "Content-Length: 100")
        stream.say(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
        status, fields = await client.head()
        assert (status, fields["connection"]) == (413, "close")
        assert await client.rest() == b"no"


async def test_the_next_request_waits_for_the_answer() -> None:
    async with stand(policy=HandPolicy()) as made:
        client, stream = await asked(made, "GET /1 HTTP/1.1")
        client.get("/2")
        stream.ok(b"1")
        assert (await client.answer())[2] == b"1"
        await stream.heads(2)
        stream.ok(b"2")
        assert (await client.answer())[2] == b"2"
        assert made.agent.streams == 1
