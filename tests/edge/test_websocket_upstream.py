"""A WebSocket that the edge ends for an upstream of plain TCP: bytes, ends, breaks and credit."""

import pytest
from tests.kit.http_edge import AgentStream, Client
from tests.kit.policies import Ruled, ruled
from websockets.frames import Frame
from websockets.frames import Opcode as Theirs

POLICY = "on_http_request: [{actions: [{type: websocket-tcp-converter}]}]"
HANDSHAKE = [
    "GET /x HTTP/1.1",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
]


def masked(opcode: Theirs, data: bytes) -> bytes:
    """Return the frame of a client, written by the library."""
    return Frame(opcode, data).serialize(mask=True)


def shown(opcode: Theirs, data: bytes) -> bytes:
    """Return the frame of a server."""
    return Frame(opcode, data).serialize(mask=False)


async def opened(on: Ruled, *more: str) -> tuple[Client, AgentStream]:
    """Open a WebSocket; return the client behind the handshake, and the stream."""
    client = await on.stand.visit()
    client.send(*HANDSHAKE, *more)
    status, fields = await client.head()
    assert (status, fields["sec-websocket-accept"]) == (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    return client, await on.stand.agent.stream()


@pytest.mark.row("P-62")
async def test_messages_are_bytes_and_bytes_are_messages() -> None:
    async with ruled(POLICY) as on:
        client, stream = await opened(on)
        client.writer.write(masked(Theirs.BINARY, b"hello ") + masked(Theirs.PING, b"?"))
        client.writer.write(masked(Theirs.BINARY, b"world"))
        assert await stream.until(b"world") == b"hello world"  # nothing of the handshake is there
        assert await client.reader.readexactly(3) == shown(Theirs.PONG, b"?")
        stream.say(b"banner")
        assert await client.reader.readexactly(8) == shown(Theirs.BINARY, b"banner")


async def test_a_close_ends_what_the_visitor_says_and_the_rest_still_arrives() -> None:
    async with ruled(POLICY) as on:
        client, stream = await opened(on)
        client.writer.write(masked(Theirs.BINARY, b"last") + masked(Theirs.CLOSE, b"\x0f\xa0bye"))
        await stream.ended()
        assert stream.data == b"last"
        stream.say(b"rest")
        stream.pipe.end()
        assert await client.reader.read() == shown(Theirs.BINARY, b"rest") + shown(Theirs.CLOSE, b"\x0f\xa0")
        client.writer.close()
        event = await on.stand.request_told()
        assert (event.status, event.aborted) == (101, False)


async def test_an_upstream_that_ends_first_is_told_and_its_close_awaited() -> None:
    async with ruled(POLICY) as on:
        client, stream = await opened(on)
        stream.say(b"bye")
        stream.pipe.end()
        found = await client.reader.readexactly(5 + 4)
        assert found == shown(Theirs.BINARY, b"bye") + shown(Theirs.CLOSE, b"\x03\xe8")
        client.writer.write(masked(Theirs.BINARY, b"late") + masked(Theirs.CLOSE, b"\x03\xe8"))
        assert await client.reader.read() == b""
        await stream.ended()
        assert stream.data == b"late"


async def test_a_visitor_that_only_leaves_ends_the_stream() -> None:
    async with ruled(POLICY) as on:
        client, stream = await opened(on)
        client.writer.write(masked(Theirs.BINARY, b"x"))
        client.writer.write_eof()
        await stream.ended()
        stream.pipe.end()
        assert await client.reader.read() == shown(Theirs.CLOSE, b"\x03\xe8")


@pytest.mark.parametrize(("sent", "code"), [(masked(Theirs.TEXT, b"x"), 1003), (b"\x82\x01x", 1002)])
async def test_what_breaks_the_protocol_is_told_and_cuts_the_stream(sent: bytes, code: int) -> None:
    async with ruled(POLICY) as on:
        client, stream = await opened(on)
        client.writer.write(sent)
        found = await client.reader.read()
        assert (found[0], int.from_bytes(found[2:4], "big")) == (0x88, code)
        await stream.cut()


async def test_a_stream_that_breaks_is_1011() -> None:
    async with ruled(POLICY) as on:
        client, stream = await opened(on)
        stream.pipe.abort()
        found = await client.reader.read()
        assert (found[0], int.from_bytes(found[2:4], "big")) == (0x88, 1011)


async def test_the_upstream_may_speak_first_and_at_length() -> None:
    def banner(stream: AgentStream) -> None:
        stream.say(b"220 ready\r\n")

    async with ruled(POLICY, serve=banner) as on:
        client, stream = await opened(on)
        assert await client.reader.readexactly(13) == shown(Theirs.BINARY, b"220 ready\r\n")
        data = bytes(range(256)) * 4096  # four windows: the credit comes back, and no more than that
        client.writer.write(masked(Theirs.BINARY, data))
        assert await stream.until(data[-256:], 4096) == data


@pytest.mark.row("P-62")
@pytest.mark.parametrize(
    "lines",
    [
        ["GET / HTTP/1.1"],
        [line for line in HANDSHAKE if not line.startswith("Connection")],
        [line.replace("13", "8") for line in HANDSHAKE],
        [line.replace("dGhl", "") for line in HANDSHAKE],
        [line.replace("websocket", "other") for line in HANDSHAKE],
    ],
)
async def test_whoever_asks_for_something_else_is_refused(lines: list[str]) -> None:
    async with ruled(POLICY) as on:
        client = await on.stand.visit()
        client.send(*lines)
        status, fields, _ = await client.answer()
        assert (status, fields["ngrok-error-code"]) == (400, "ERR_NGROK_3206")
        assert on.stand.agent.streams == 0


async def test_the_first_protocol_is_agreed_on() -> None:
    async with ruled(POLICY) as on:
        client = await on.stand.visit()
        client.send(*HANDSHAKE, "Sec-WebSocket-Protocol: mqtt, other")
        assert (await client.head())[1]["sec-websocket-protocol"] == "mqtt"


async def test_it_reaches_who_is_forwarded_to() -> None:
    text = POLICY.replace("]}]", ", {type: forward-internal, config: {url: 'http://in.internal'}}]}]")
    async with ruled(text) as on:
        inner = await on.internal("http://in.internal")
        client = await on.stand.visit()
        client.send(*HANDSHAKE)
        assert (await client.head())[0] == 101
        client.writer.write(masked(Theirs.BINARY, b"raw"))
        assert await (await inner.stream()).until(b"raw") == b"raw"
