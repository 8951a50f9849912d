"""What one visitor's connection may take: heads of the sizes that are set, and its turn, no more."""

import pytest
from tests.kit.certs import Certs, make_certs
from tests.kit.http_edge import HOST, Client, stand
from tests.kit.pipes import turns

from portway.edge.http import TURN
from portway.edge.ports import EdgeConfig, Limits


@pytest.fixture(scope="module")
def certs() -> Certs:
    """Certificates for the TLS tests."""
    return make_certs(HOST)


ONE = b"GET / HTTP/1.1\r\nHost: nobody\r\n\r\n"
"""Refused at once: nobody has that name, and of a TLS connection it is not the one."""


@pytest.mark.parametrize("secure", [False, True])
async def test_a_flood_of_pipelined_requests_lets_others_have_their_turn(certs: Certs, secure: bool) -> None:
    async with stand(certs=certs if secure else None) as made:
        greedy, other = await made.visit(), await made.visit()
        await made.until(lambda: len(made.edge.visitors) == 2)
        greedy.writer.write(ONE * 5000)
        other.send("GET /other HTTP/1.1", host="nobody")
        refused = (await other.answer())[0]
        before = [event.target for event in made.edge.requests].index("/other")
        assert before <= 300
        for _ in range(5000):
            assert (await greedy.answer())[0] == refused
        assert len(made.edge.requests) == 5001


async def test_requests_held_for_their_turn_are_dropped_with_their_connection() -> None:
    async with stand() as made:
        client = await made.visit()
        client.writer.write(ONE * 1000)
        await made.until(lambda: bool(made.edge.requests))
        made.visitor.cut()
        assert len(made.edge.requests) % TURN == 0
        count = len(made.edge.requests)
        await client.is_cut()
        assert len(made.edge.requests) == count < 1000


async def test_a_turn_that_ends_where_the_visitor_does() -> None:
    """The last request of a turn, the end of the connection and half a request behind it."""
    for count in (TURN - 1, TURN, TURN + 1, 2 * TURN):
        for rest in (b"", b"GET"):
            async with stand() as made:
                client = await made.visit()
                client.writer.write(ONE * count + rest)
                client.writer.write_eof()
                assert (await client.rest()).count(b"HTTP/1.1 404") == count


@pytest.mark.parametrize("pieces", [1, 2, 7])
async def test_heads_have_the_limits_that_are_set(pieces: int) -> None:
    config = EdgeConfig(limits=Limits(head_bytes=200, head_fields=4))
    fields = "X: 1\r\n" * 3
    fits = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n"
    fits = fits.replace("X: 1\r\n", "X: 1" + "1" * (200 - len(fits)) + "\r\n", 1)
    assert len(fits) == 200

    async def ask(raw: str) -> Client:
        client = await made.visit()
        for at in range(pieces):
            step = -(-len(raw) // pieces)
            client.writer.write(raw[at * step : (at + 1) * step].encode())
            await turns(3)
        return client

    async with stand(config=config) as made:
        for raw in (fits.replace("1\r\n", "11\r\n", 1), f"GET / HTTP/1.1\r\nHost: a\r\n{fields}Y: 1\r\n\r\n"):
            client = await ask(raw)
            status, head, body = await client.answer()
            assert (status, head["ngrok-error-code"]) == (431, "ERR_NGROK_3007"), body
        good, long, many = [await ask(fits) for _ in range(3)]
        head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: 1\r\nB: 1\r\n"
        room = 200 - len(head + "C: \r\n\r\n")
        for index, rest in enumerate((f"C: {'1' * room}\r\n", f"C: {'1' * (room + 1)}\r\n", "C: 1\r\n" * 2)):
            stream = await made.agent.stream(index)
            await stream.heads()
            stream.say(f"{head}{rest}\r\n".encode())
        assert (await good.answer())[0] == 200
        assert [(await each.answer())[1]["ngrok-error-code"] for each in (long, many)] == [
            "ERR_NGROK_3004"
        ] * 2
