"""The same over TLS: where bytes go, back-pressure, names, ends."""

import asyncio
import random
import ssl

import pytest
from tests.kit.certs import Certs, make_certs
from tests.kit.http_edge import HOST, stand
from tests.kit.pipes import turns

BIG = random.Random(3).randbytes(3_000_000)


@pytest.fixture(scope="module")
def certs() -> Certs:
    return make_certs(HOST, "other.example")


@pytest.mark.row("G-125")
async def test_requests_over_tls(certs: Certs) -> None:
    async with stand(certs=certs) as made:
        client = await made.visit()
        for count in (1, 2):
            client.get(f"/{count}")
            stream = await made.agent.stream()
            assert b"\r\nX-Forwarded-Proto: https\r\n" in await stream.heads(count)
            assert stream.visitor.proto == "https"
            stream.ok(b"%d" % count)
            assert (await client.answer())[2] == b"%d" % count
        event = await made.request_told()
        assert (event.scheme, event.tls_version, event.server_name) == ("https", "TLSv1.3", HOST)
        assert event.tls_cipher


async def test_large_bodies_both_ways_over_tls(certs: Certs) -> None:
    async with stand(certs=certs) as made:
        client = await made.visit()
        client.send("POST / HTTP/1.1", f"Content-Length: {len(BIG)}", body=BIG)
        client.get("/next")
        stream = await made.agent.stream()
        await stream.heads()
        await stream.sink.bell.until(lambda: len(stream.data.split(b"\r\n\r\n", 1)[1]) >= len(BIG))
        assert stream.data.split(b"\r\n\r\n", 1)[1] == BIG
        stream.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BIG))
        await client.head()
        received, _ = await asyncio.gather(client.body(len(BIG)), stream.put(BIG))
        assert received == BIG
        await stream.until(b"GET /next ")


async def test_an_upstream_that_does_not_read_stops_a_visitor_over_tls(certs: Certs) -> None:
    async with stand(certs=certs) as made:
        client = await made.visit()
        client.send("POST / HTTP/1.1", "Transfer-Encoding: chunked")
        stream = await made.agent.stream()
        await stream.heads()
        stream.sink.consuming = False
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BIG), BIG)
        client.writer.write(body)
        await made.until(lambda: "paused" in repr(made.visitor))
        await turns(50)
        assert len(stream.data) <= made.agent.window + 1000  # the head was consumed
        stream.sink.consume_all()
        await stream.until(b"\r\n0\r\n\r\n")
        stream.ok()
        assert (await client.answer())[0] == 200


async def test_a_name_other_than_that_of_the_handshake_is_misdirected(certs: Certs) -> None:
    async with stand(certs=certs) as made:
        client = await made.visit("other.example")
        client.get()
        assert (await client.answer())[0] == 421
        client.send("GET / HTTP/1.1", host="other.example")
        assert (await client.answer())[1]["ngrok-error-code"] == "ERR_NGROK_3200"


async def test_a_connection_over_tls_ends_with_close_notify(certs: Certs) -> None:
    async with stand(certs=certs) as made:
        client = await made.visit()
        client.get("/", "Connection: close")
        stream = await made.agent.stream()
        await stream.heads()
        stream.ok()
        await client.answer()
        assert await client.rest() == b""
        await stream.ended()


async def test_an_answer_that_breaks_off_over_tls_is_cut(certs: Certs) -> None:
    async with stand(certs=certs) as made:
        client = await made.visit()
        client.get()
        stream = await made.agent.stream()
        await stream.heads()
        stream.say(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        await client.head()
        stream.pipe.abort()
        await client.is_cut()


async def test_an_upgrade_over_tls(certs: Certs) -> None:
    async with stand(certs=certs) as made:
        client = await made.visit()
        client.send("GET / HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket")
        stream = await made.agent.stream()
        await stream.heads()
        stream.say(b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        await client.head()
        client.writer.write(BIG)
        await stream.sink.bell.until(lambda: stream.data.endswith(BIG[-100:]))
        stream.say(b"bye")
        stream.pipe.end()
        assert await client.rest() == b"bye"
        await client.close()
        await made.request_told()


async def test_a_visitor_that_closes_tls_does_not_wait_for_its_answer(certs: Certs) -> None:
    """Half-closed TLS is unknown among HTTP clients: close_notify says that nobody listens any more."""
    async with stand(certs=certs) as made:
        client = await made.visit()
        client.get()
        stream = await made.agent.stream()
        await stream.heads()
        await client.close()  # returns when our close_notify has come
        assert await stream.cut() == 6
        assert (await made.request_told()).aborted


async def test_a_hello_that_is_malformed_gets_an_alert(certs: Certs) -> None:
    async with stand(certs=certs) as made:
        reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
        writer.write(b"\x16\x03\x01\x00\x05hello")
        assert (await reader.read(-1))[:1] == b"\x15"
        writer.close()
        await writer.wait_closed()


async def test_a_handshake_that_stops_is_closed(certs: Certs) -> None:
    async with stand(certs=certs) as made:
        reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
        outgoing = ssl.MemoryBIO()
        client = certs.client.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=HOST)
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        writer.write(outgoing.read())
        assert await reader.read(1) == b"\x16"
        for _ in range(60):
            made.visitor.tick()
        await reader.read(-1)
        writer.close()
        await writer.wait_closed()
        assert made.agent.opened == []
