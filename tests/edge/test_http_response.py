"""Answers: framing kept, broken ones never look whole, hostile upstreams contained, upgrades."""

import asyncio
import random

import pytest
from tests.kit.http_edge import AgentStream, Client, Stand, stand
from tests.kit.pipes import turns

from portway.edge.http_response import MAX_INTERIM

BIG = random.Random(2).randbytes(3_000_000)


async def asked(made: Stand, *lines: str, first: str = "GET / HTTP/1.1") -> tuple[Client, AgentStream]:
    """Send a request; return both ends once it has arrived."""
    client = await made.visit()
    before = len(made.agent.opened)
    client.send(first, *lines)
    stream = await made.agent.stream(before)
    await stream.heads()
    return client, stream


async def test_a_large_answer_arrives_whole_and_the_stream_is_used_again() -> None:
    async with stand() as made:
        client, stream = await asked(made)
        stream.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BIG))
        await client.head()
        # The window is far smaller than the answer: this returns only if credit comes back.
        received, _ = await asyncio.gather(client.body(len(BIG)), stream.put(BIG))
        assert received == BIG
        client.get("/next")
        await stream.heads(2)
        stream.ok(b"x")
        assert (await client.answer())[2] == b"x"
        assert made.edge.requests[0].response_length == len(BIG)


async def test_a_visitor_that_does_not_read_stops_the_upstream() -> None:
    async with stand() as made:
        client, stream = await asked(made)
        client.transport.pause_reading()
        stream.say(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")
        sent = 0
        while not made.visitor.clogged:
            sent += stream.pipe.send(BIG[:100_000])
            await turns(2)
            assert sent < 40_000_000
        more = 0
        for _ in range(100):
            more += stream.pipe.send(BIG[:100_000])
            await turns(2)
        assert more <= made.agent.window  # the window, then not a byte
        assert made.visitor.clogged
        client.transport.resume_reading()
        await client.head()
        await client.body(sent + more)


async def test_a_visitor_that_reads_nothing_for_five_minutes_is_cut_and_a_slow_one_is_not() -> None:
    async with stand() as made:
        client, stream = await asked(made)
        stream.say(b"HTTP/1.1 200 OK\r\nContent-Length: 90000000\r\n\r\n")
        sent = 0
        while not made.visitor.clogged:  # the client reads nothing
            sent += stream.pipe.send(BIG[:100_000])
            await turns(2)
        made.visitor.tick()  # sees what waits
        for _ in range(290):
            made.visitor.tick()
        await client.head()
        await client.body(sent)  # all that waits
        for _ in range(290):
            made.visitor.tick()
        assert not stream.sink.resets
        for _ in range(10):
            made.visitor.tick()
        assert await stream.cut() == 6


async def test_a_chunked_answer_with_trailers_passes_as_it_is() -> None:
    body = b"5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"
    async with stand() as made:
        client, stream = await asked(made)
        for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" + body:
            stream.say(bytes([byte]))
        _, fields = await client.head()
        assert (fields["transfer-encoding"], fields["trailer"]) == ("chunked", "X-Sum")
        assert await client.body(len(body)) == body
        client.get("/next")
        await stream.heads(2)


async def test_an_answer_until_the_end_closes_the_visitor_in_order() -> None:
    async with stand() as made:
        client, stream = await asked(made)
        stream.say(b"HTTP/1.1 200 OK\r\n\r\nall")
        stream.pipe.end()
        _, fields = await client.head()
        assert fields["connection"] == "close"
        assert await client.rest() == b"all"
        await stream.ended()
        assert not (await made.request_told()).aborted


async def test_http_1_0_gets_a_chunked_answer_without_its_chunks() -> None:
    async with stand() as made:
        client, stream = await asked(made, first="GET / HTTP/1.0")
        stream.say(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n"
        )
        _, fields = await client.head()
        assert "transfer-encoding" not in fields
        assert await client.rest() == b"hello world"


@pytest.mark.parametrize(
    ("first", "head"),
    [
        ("HEAD / HTTP/1.1", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
        ("HEAD / HTTP/1.1", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET / HTTP/1.1", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
        ("GET / HTTP/1.1", b"HTTP/1.1 204 No Content\r\n\r\n"),
    ],
)
async def test_answers_without_a_body(first: str, head: bytes) -> None:
    async with stand() as made:
        client, stream = await asked(made, first=first)
        stream.say(head)
        await client.head()
        client.get("/next")
        await stream.heads(2)  # the answer was complete
        stream.ok(b"n")
        assert (await client.answer())[2] == b"n"


async def test_interim_answers_are_passed_on() -> None:
    async with stand() as made:
        client, stream = await asked(made)
        stream.say(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n")
        stream.ok()
        assert (await client.head())[1]["link"] == "</a>"
        assert (await client.head())[0] == 103
        assert (await client.answer())[0] == 200


async def test_http_1_0_knows_no_interim_answers() -> None:
    async with stand() as made:
        client, stream = await asked(made, first="GET / HTTP/1.0")
        stream.say(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        stream.ok()
        assert (await client.answer())[0] == 200


# -- broken upstreams


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 103 Hints\r\n\r\n" * (MAX_INTERIM + 1),
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * (1 << 17),
    ],
)
async def test_an_answer_that_is_no_http_is_3004(garbage: bytes) -> None:
    async with stand() as made:
        made.agent.window = 1 << 22
        client, stream = await asked(made)
        stream.say(garbage if len(garbage) < 1 << 17 else garbage * 9)
        while (answer := await client.head())[0] == 103:
            pass
        assert answer[0] == 502
        assert answer[1]["ngrok-error-code"] == "ERR_NGROK_3004"
        await client.body(int(answer[1]["content-length"]))
        await stream.cut()
        client.get("/again")  # the connection is unharmed
        fresh = await made.agent.stream(1)
        await fresh.heads()
        fresh.ok(b"fine")
        assert (await client.answer())[2] == b"fine"


@pytest.mark.parametrize("part", [b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nX: y\r\n", b"HTTP/1.1 103 H\r\n\r\n"])
async def test_an_answer_that_ends_in_its_head_is_3004(part: bytes) -> None:
    async with stand() as made:
        client, stream = await asked(made)
        stream.say(part)
        stream.pipe.end()
        while (answer := await client.head())[0] == 103:
            pass
        assert (answer[0], answer[1]["ngrok-error-code"]) == (502, "ERR_NGROK_3004")


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize(
    "part",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
    ],
)
async def test_an_answer_that_breaks_off_never_looks_whole(part: bytes, reset: bool) -> None:
    async with stand() as made:
        client, stream = await asked(made)
        stream.say(part)
        await client.head()
        if reset:
            stream.pipe.abort()
        else:
            stream.pipe.end()
        await client.is_cut()
        assert (await made.request_told()).aborted


async def test_an_answer_until_the_end_that_is_reset_never_looks_whole() -> None:
    async with stand() as made:
        client, stream = await asked(made)
        stream.say(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        await client.head()
        stream.pipe.abort()
        await client.is_cut()
        assert (await made.request_told()).aborted


async def test_a_body_that_turns_malformed_is_cut() -> None:
    async with stand() as made:
        client, stream = await asked(made)
        stream.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n")
        await client.head()
        stream.say(b"zz\r\n")
        await client.is_cut()
        await stream.cut()


async def test_bytes_behind_an_answer_never_reach_the_next_request() -> None:
    async with stand() as made:
        client, stream = await asked(made)
        stream.say(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfaked"
        )
        assert (await client.answer())[2] == b"ok"
        assert await stream.cut() == 6
        client.get("/next")
        fresh = await made.agent.stream(1)
        await fresh.heads()
        fresh.ok(b"real")
        assert (await client.answer())[2] == b"real"


async def test_bytes_between_answers_cost_the_stream() -> None:
    async with stand() as made:
        client, stream = await asked(made, first="HEAD / HTTP/1.1")
        stream.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        await client.head()
        stream.say(b"faked")
        assert await stream.cut() == 6
        client.get("/next")
        await (await made.agent.stream(1)).heads()


# -- upgrades

UPGRADE = ("Connection: Upgrade", "Upgrade: websocket")
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


@pytest.mark.row("G-102")
async def test_after_an_upgrade_bytes_pass_both_ways_and_ends_one_by_one() -> None:
    async with stand() as made:
        client, stream = await asked(made, *UPGRADE)
        client.writer.write(b"early")  # before the switch: held
        stream.say(SWITCH + b"first")
        status, fields = await client.head()
        assert (status, fields["connection"], fields["upgrade"]) == (101, "Upgrade", "websocket")
        assert await client.body(5) == b"first"
        await stream.until(b"early")
        client.writer.write(BIG)
        await stream.sink.bell.until(lambda: stream.data.endswith(BIG[-1000:]))
        client.writer.write_eof()
        await stream.ended()
        stream.say(b"after your end")
        stream.pipe.end()
        assert await client.rest() == b"after your end"
        assert stream.data.split(b"\r\n\r\n", 1)[1] == b"early" + BIG
        assert not (await made.request_told()).aborted


async def test_the_upstream_may_end_an_upgraded_connection_first() -> None:
    async with stand() as made:
        client, stream = await asked(made, *UPGRADE)
        stream.say(SWITCH)
        await client.head()
        stream.say(b"bye")
        stream.pipe.end()
        assert await client.rest() == b"bye"
        client.writer.write(b"still here")
        await stream.until(b"still here")
        client.writer.write_eof()
        await stream.ended()
        await made.request_told()


async def test_a_visitor_that_ended_before_the_switch_is_passed_on() -> None:
    async with stand() as made:
        client, stream = await asked(made, *UPGRADE)
        client.writer.write_eof()
        await made.until(lambda: "eof" in repr(made.visitor))
        stream.say(SWITCH)
        await stream.ended()


async def test_an_upgrade_that_is_refused_is_an_answer() -> None:
    async with stand() as made:
        client, stream = await asked(made, *UPGRADE)
        stream.say(
            b"HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: other\r\n"
            b"Content-Length: 0\r\n\r\n"
        )
        status, fields = await client.head()
        assert (status, fields["upgrade"]) == (426, "other")
        client.get("/next")
        await stream.heads(2)


async def test_a_reset_after_an_upgrade_is_passed_on() -> None:
    async with stand() as made:
        client, stream = await asked(made, *UPGRADE)
        stream.say(SWITCH)
        await client.head()
        stream.pipe.abort()
        assert await client.is_cut() == b""


async def test_an_upgraded_connection_that_idles_is_cut() -> None:
    async with stand() as made:
        client, stream = await asked(made, *UPGRADE)
        stream.say(SWITCH)
        await client.head()
        for _ in range(300):
            made.visitor.tick()
        assert await client.is_cut() == b""
        await stream.cut()


async def test_h2c_is_not_passed_on() -> None:
    async with stand() as made:
        _, stream = await asked(
            made, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMA"
        )
        head = (await stream.heads()).lower()
        assert b"upgrade" not in head
        assert b"http2-settings" not in head
