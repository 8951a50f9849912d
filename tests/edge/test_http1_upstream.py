"""The upstream's side of a passage in HTTP/1: what it reads, and when its stream is used again."""

import random

import pytest
from tests.kit.http_edge import AgentStream, Client, Stand, stand
from tests.kit.http_policy import HandPolicy
from tests.kit.pipes import turns

from portway.edge.http_response import MAX_INTERIM


async def asked(made: Stand, method: str = "POST") -> tuple[Client, AgentStream]:
    """Send a request and see it at the agent."""
    client = await made.visit()
    client.send(f"{method} / HTTP/1.1", *(["Content-Length: 0"] if method == "POST" else []))
    stream = await made.agent.stream()
    await stream.heads()
    return client, stream


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 103 Hints\r\n\r\n" * (MAX_INTERIM + 1),
    ],
)
async def test_an_answer_that_is_no_http_is_3004(garbage: bytes) -> None:
    async with stand(policy=HandPolicy()) as made:
        client, stream = await asked(made)
        stream.say(garbage)
        while (answer := await client.head())[0] == 103:
            pass
        assert (answer[0], answer[1]["ngrok-error-code"]) == (502, "ERR_NGROK_3004")
        await stream.cut()


async def test_an_end_without_any_byte_is_8012() -> None:
    async with stand(policy=HandPolicy()) as made:
        client, stream = await asked(made)
        stream.pipe.end()
        assert (await client.answer())[1]["ngrok-error-code"] == "ERR_NGROK_8012"


async def test_what_a_kept_stream_did_not_answer_is_sent_again() -> None:
    async with stand(policy=HandPolicy()) as made:
        client, stream = await asked(made, "GET")
        stream.ok()
        await client.answer()
        client.get("/again")
        await stream.heads(2)
        stream.pipe.end()
        second = await made.agent.stream(1)
        await second.heads()
        second.ok(b"again")
        assert (await client.answer())[2] == b"again"


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", b"x"])
async def test_bytes_behind_an_answer_reach_nobody(more: bytes) -> None:
    async with stand(policy=HandPolicy()) as made:
        client, stream = await asked(made)
        stream.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi" + more)
        assert (await client.answer())[2] == b"hi"
        await stream.cut()
        client.get("/next")
        second = await made.agent.stream(1)
        await second.heads()
        second.ok(b"honest")
        assert (await client.answer())[2] == b"honest"


async def test_bytes_while_nothing_was_asked_cost_the_stream() -> None:
    async with stand(policy=HandPolicy()) as made:
        client, stream = await asked(made)
        stream.ok()
        await client.answer()
        stream.say(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
        await stream.cut()
        client.get("/next")
        second = await made.agent.stream(1)
        await second.heads()
        second.ok(b"honest")
        assert (await client.answer())[2] == b"honest"


async def test_an_answer_in_any_pieces_keeps_its_bytes() -> None:
    """And every byte of the stream is consumed, heads and chunk lines too, or its window would shrink."""
    body = random.Random(3).randbytes(50_000)
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(body[n : n + 700]), body[n : n + 700]) for n in range(0, len(body), 700)
    )
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    choose = random.Random(4)
    async with stand(policy=HandPolicy()) as made:
        made.agent.window = 10_000
        client, stream = await asked(made)
        for _ in range(3):
            at = 0
            while at < len(answer):
                piece = answer[at : at + choose.randint(1, 3000)]
                at += stream.pipe.send(piece)
                await turns(2)
            await client.head()
            found = b""
            while size := int(await client.reader.readline(), 16):
                found += (await client.reader.readexactly(size + 2))[:-2]
            await client.reader.readline()
            assert found == body
            client.send("POST / HTTP/1.1", "Content-Length: 0")
        assert made.agent.streams == 1
