"""Request bodies: in place, exactly to their end, with back-pressure."""

import random

import pytest
from tests.kit.http_edge import AgentStream, Stand, stand

from portway.wire.frames import ErrorCode

BIG = random.Random(1).randbytes(3_000_000)


async def begun(made: Stand, *lines: str) -> AgentStream:
    """Send the head of a POST; return its stream once the head has arrived."""
    client = await made.visit()
    client.send("POST /up HTTP/1.1", *lines)
    stream = await made.agent.stream()
    await stream.heads()
    return stream


def body_of(stream: AgentStream) -> bytes:
    return stream.data.split(b"\r\n\r\n", 1)[1]


async def test_a_body_of_known_length_arrives_whole_and_alone() -> None:
    async with stand() as made:
        client = await made.visit()
        client.send("POST /up HTTP/1.1", f"Content-Length: {len(BIG)}", body=BIG)
        client.get("/next")
        stream = await made.agent.stream()
        await stream.sink.bell.until(lambda: len(stream.data) > len(BIG) and len(body_of(stream)) >= len(BIG))
        assert body_of(stream) == BIG  # and nothing of the next request
        stream.ok(b"one")
        assert (await client.answer())[2] == b"one"
        await stream.until(b"GET /next ")
        stream.ok(b"two")
        assert (await client.answer())[2] == b"two"
        assert made.edge.requests[0].request_length == len(BIG)


async def test_a_chunked_body_arrives_as_it_came_and_ends_where_it_ends() -> None:
    pieces = [BIG[at : at + 70_000] for at in range(0, 700_000, 70_000)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nX-Sum: 1\r\n\r\n"
    async with stand() as made:
        client = await made.visit()
        client.send("POST /up HTTP/1.1", "Transfer-Encoding: chunked", "Trailer: X-Sum", body=body)
        client.get("/next")
        stream = await made.agent.stream()
        await stream.until(b"X-Sum: 1\r\n\r\n")
        assert b"\r\nTransfer-Encoding: chunked\r\n" in stream.data
        assert b"\r\nTrailer: X-Sum\r\n" in stream.data
        assert body_of(stream) == body
        stream.ok()
        await client.answer()
        await stream.until(b"GET /next ")


async def test_a_body_that_comes_behind_the_head_in_pieces() -> None:
    async with stand() as made:
        stream = await begun(made, "Transfer-Encoding: chunked")
        client = made.clients[0]
        for byte in b"5;a=b\r\nhello\r\n0\r\n\r\n" + b"GET /n HTTP/1.1\r\nHost: app.example\r\n\r\n":
            client.writer.write(bytes([byte]))
            await client.writer.drain()
        await stream.until(b"0\r\n\r\n")
        stream.ok()
        await client.answer()
        await stream.until(b"GET /n ")


@pytest.mark.parametrize("lines", [["Content-Length: 3000000"], ["Transfer-Encoding: chunked"]])
async def test_an_upstream_that_does_not_read_stops_the_visitor(lines: list[str]) -> None:
    """Nothing piles up here: what the agent has not consumed stays in the visitor's socket."""
    async with stand() as made:
        stream = await begun(made, *lines)
        client = made.clients[0]
        stream.sink.consuming = False
        body = BIG if "Length" in lines[0] else b"%x\r\n%b\r\n0\r\n\r\n" % (len(BIG), BIG)
        client.writer.write(body)
        await made.until(lambda: "paused" in repr(made.visitor))
        assert len(stream.data) <= made.agent.window + 4096
        stream.sink.consume_all()
        await stream.until(body[-100:])
        assert body_of(stream) == body
        stream.ok()
        assert (await client.answer())[0] == 200


async def test_a_head_larger_than_the_window_waits_for_room() -> None:
    async with stand() as made:
        made.agent.window = 1000
        client = await made.visit()
        client.get("/" + "x" * 10_000)
        stream = await made.agent.stream()
        await stream.heads()
        assert b"x" * 10_000 in stream.data
        stream.ok(b"h")
        assert (await client.answer())[2] == b"h"


@pytest.mark.parametrize(
    "body",
    [b"zz\r\n", b"5\nhello", b"5\r\nhelloX\r\n", b"5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n"],
)
async def test_a_malformed_chunked_body_is_400_and_cuts_the_stream(body: bytes) -> None:
    async with stand() as made:
        stream = await begun(made, "Transfer-Encoding: chunked")
        client = made.clients[0]
        client.writer.write(body)
        status, fields, _ = await client.answer()
        assert (status, fields["connection"]) == (400, "close")
        assert await stream.cut() == ErrorCode.STREAM_CANCELLED
        assert await client.rest() == b""


async def test_a_visitor_that_ends_in_the_middle_of_a_body_is_cut() -> None:
    async with stand() as made:
        stream = await begun(made, "Content-Length: 10")
        client = made.clients[0]
        client.writer.write(b"half")
        await stream.until(b"half")
        client.writer.write_eof()
        assert await stream.cut() == ErrorCode.STREAM_CANCELLED
        assert await client.is_cut() == b""
        assert (await made.request_told()).aborted


async def test_a_body_that_stops_is_408() -> None:
    async with stand() as made:
        stream = await begun(made, "Content-Length: 10")
        for _ in range(300):
            made.visitor.tick()
        client = made.clients[0]
        assert (await client.answer())[0] == 408
        await stream.cut()


# -- 100-continue and early answers


async def test_a_visitor_that_waits_for_100_gets_the_upstreams() -> None:
    async with stand() as made:
        stream = await begun(made, "Expect: 100-continue", "Content-Length: 4")
        assert b"\r\nExpect: 100-continue\r\n" in stream.data
        client = made.clients[0]
        stream.say(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert (await client.head())[0] == 100
        client.writer.write(b"body")
        await stream.until(b"body")
        stream.ok(b"done")
        status, fields, body = await client.answer()
        assert (status, body) == (200, b"done")
        assert "connection" not in fields


async def test_an_early_refusal_ends_the_connection_cleanly() -> None:
    """The body may follow or not; either way nothing of it is taken for a request."""
    async with stand() as made:
        stream = await begun(made, "Expect: 100-continue", "Content-Length: 60")
        client = made.clients[0]
        stream.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        status, fields, body = await client.answer()
        assert (status, fields["connection"], body) == (413, "close", b"no")
        client.writer.write(b"GET /smuggled HTTP/1.1\r\nHost: app.example\r\n\r\n")
        assert await client.rest() == b""
        client.writer.write_eof()
        await made.request_told()
        assert len(made.agent.opened) == 1
        assert b"smuggled" not in stream.data


async def test_an_early_answer_is_read_while_the_body_still_goes_out() -> None:
    async with stand() as made:
        stream = await begun(made, f"Content-Length: {len(BIG)}")
        client = made.clients[0]
        stream.sink.consuming = False  # the upstream reads nothing more
        stream.ok(b"enough")
        client.writer.write(BIG)
        status, _, body = await client.answer()
        assert (status, body) == (200, b"enough")
        await client.writer.drain()
        assert await client.rest() == b""


async def test_a_lingering_visitor_is_dropped_at_last() -> None:
    async with stand() as made:
        stream = await begun(made, "Content-Length: 1000000")
        stream.ok(b"enough")
        client = made.clients[0]
        await client.answer()
        for _ in range(30):
            made.visitor.tick()
        await made.until(lambda: len(made.edge.connections) == 1)


@pytest.mark.parametrize("whole", [True, False])
async def test_a_body_and_its_answer_may_pass_at_the_same_time(whole: bool) -> None:
    """The connection lives on if the request was complete when the answer was."""
    async with stand() as made:
        stream = await begun(made, "Transfer-Encoding: chunked")
        client = made.clients[0]
        stream.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert "connection" not in (await client.head())[1]
        for number in range(5):
            client.writer.write(b"1\r\n%d\r\n" % number)
            await stream.until(b"1\r\n%d\r\n" % number)
            stream.say(b"1\r\n%d\r\n" % number)
            assert await client.body(6) == b"1\r\n%d\r\n" % number
        if whole:
            client.writer.write(b"0\r\n\r\n")
            await stream.until(b"0\r\n\r\n")
        stream.say(b"0\r\n\r\n")
        assert await client.body(5) == b"0\r\n\r\n"
        if whole:
            client.get("/next")
            await stream.until(b"GET /next ")
        else:
            assert await client.rest() == b""
            await stream.cut()
