"""What hostile HTTP/2 visitors do: each attack ends at its limit, and other connections never notice."""

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from tests.kit.certs import Certs
from tests.kit.http2_client import Fields, Http2Client, certs2, visit2, visitor2
from tests.kit.http_edge import HOST, AgentStream, Stand, stand
from tests.kit.pipes import turns

from portway.edge.ports import EdgeConfig, Limits

CALM = 11
LIMITS = Limits(http2_resets=20, http2_idle_frames=100, http2_streams=10, head=3, idle=3)
CONFIG = EdgeConfig(limits=LIMITS)
REQUEST: Fields = [(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", "/")]


@pytest.fixture(scope="module")
def certs() -> Certs:
    return certs2()


async def unharmed(made: Stand) -> None:
    """Another visitor is served."""
    before = made.agent.streams
    other = await visit2(made)
    stream = other.ask("/other")
    agent = await made.agent.stream(before)
    await agent.heads()
    agent.ok()
    assert (await other.answer(stream)).status == 200


def headers(client: Http2Client, stream: int, fields: Fields = REQUEST, *flags: str) -> HeadersFrame:
    """Make a HEADERS frame past the library's states."""
    frame = HeadersFrame(stream, client.conn.encoder.encode(fields))
    frame.flags |= set(flags or ("END_HEADERS", "END_STREAM"))
    return frame


async def flood(made: Stand, *frames: Frame, times: int = 1) -> Http2Client:
    """Send frames, so many times over."""
    client = await visit2(made)
    await client.until(lambda: client.settings > 0)
    client.raw(b"".join(frame.serialize() for frame in frames) * times)
    return client


# -- floods


async def test_rapid_reset(certs: Certs) -> None:
    """Requests that are reset at once; each costs an upstream its work at most until the limit."""
    async with stand(certs=certs, config=CONFIG) as made:
        client = await visit2(made)
        await client.until(lambda: client.settings > 0)
        for count in range(200):
            stream = 2 * count + 1
            client.raw(headers(client, stream).serialize())
            if count % 2:
                await client.writer.drain()  # some in one read with their reset, some before it
            client.raw(RstStreamFrame(stream, error_code=8).serialize())
        assert await client.is_over() == CALM
        assert made.agent.streams <= LIMITS.http2_resets + 1
        for agent in made.agent.opened:
            await agent.cut()
        await unharmed(made)


async def test_made_you_reset(certs: Certs) -> None:
    """Frames that make us reset the stream ourselves count the same."""
    async with stand(certs=certs, config=CONFIG) as made:
        client = await visit2(made)
        await client.until(lambda: client.settings > 0)
        for _ in range(100):
            stream = client.ask()
            client.raw(WindowUpdateFrame(stream, window_increment=(1 << 31) - 1).serialize())
            await client.until(lambda: client.goaway is not None or client.answers[stream].reset == 3)  # noqa: B023
            if client.goaway is not None:
                break
        assert await client.is_over() == CALM
        assert made.agent.streams <= LIMITS.http2_resets + 1
        await unharmed(made)


@pytest.mark.parametrize(
    "frame",
    [
        PingFrame(0, opaque_data=b"01234567"),
        SettingsFrame(0, settings={4: 65_535}),
        SettingsFrame(0),
        WindowUpdateFrame(0, window_increment=1),
        PriorityFrame(1, depends_on=0, stream_weight=1, exclusive=False),
    ],
    ids=lambda frame: type(frame).__name__,
)
async def test_frames_that_carry_nothing(certs: Certs, frame: Frame) -> None:
    async with stand(certs=certs, config=CONFIG) as made:
        client = await flood(made, frame, times=5000)
        assert await client.is_over() == CALM
        await unharmed(made)


async def test_empty_data(certs: Certs) -> None:
    async with stand(certs=certs, config=CONFIG) as made:
        client = await visit2(made)
        stream = client.ask(method="POST", end=False)
        client.raw(DataFrame(stream).serialize() * 5000)
        assert await client.is_over() == CALM
        await (await made.agent.stream()).cut()
        await unharmed(made)


async def test_who_does_not_read_is_not_read(certs: Certs) -> None:
    """Otherwise answers that no window holds back would pile up: heads, acknowledgements, resets."""
    async with stand(certs=certs, config=CONFIG) as made:
        client = await visit2(made)
        await client.until(lambda: client.settings > 0)
        visitor = visitor2(made)
        visitor.pause_writing()  # what its transport says when 64 KiB wait
        read = visitor.bytes_in
        wrong: Fields = [(":method", "HEAD"), REQUEST[1], (":authority", "nobody.example"), REQUEST[3]]
        client.raw(b"".join(headers(client, 2 * n + 1, wrong).serialize() for n in range(5)))
        await turns(100)
        assert (visitor.bytes_in, made.edge.requests) == (read, [])
        await unharmed(made)
        visitor.resume_writing()
        await made.until(lambda: len(made.edge.requests) == 6)


# -- heads


async def test_continuation_flood(certs: Certs) -> None:
    async with stand(certs=certs, config=CONFIG) as made:
        client = await visit2(made)
        await client.until(lambda: client.settings > 0)
        client.raw(headers(client, 1, REQUEST, "END_STREAM").serialize())
        client.raw(ContinuationFrame(1, b"").serialize() * 10_000)
        assert await client.is_over() == 1
        assert made.agent.streams == 0
        await unharmed(made)


async def test_a_head_that_grows_when_it_is_read(certs: Certs) -> None:
    """A field of 4 KB in the table, named again and again: the list of fields is limited."""
    async with stand(certs=certs, config=CONFIG) as made:
        client = await visit2(made)
        await client.until(lambda: client.settings > 0)
        fields = [*REQUEST, *(("x-bomb", "y" * 4000) for _ in range(600))]
        block = client.conn.encoder.encode(fields)
        assert len(block) < 16_384
        client.raw(HeadersFrame(1, block, flags=("END_HEADERS", "END_STREAM")).serialize())
        assert await client.is_over() == CALM
        assert made.agent.streams == 0
        await unharmed(made)


async def test_too_many_fields(certs: Certs) -> None:
    async with stand(certs=certs, config=CONFIG) as made:
        client = await visit2(made)
        stream = client.ask("/", *((f"x-{n}", "y") for n in range(600)))
        assert (await client.answer(stream)).status == 431
        await unharmed(made)


async def test_a_head_that_is_not_finished(certs: Certs) -> None:
    async with stand(certs=certs, config=CONFIG) as made:
        client = await visit2(made)
        await client.until(lambda: client.settings > 0)
        client.raw(headers(client, 1, REQUEST, "END_STREAM").serialize())
        await made.until(lambda: visitor2(made).bytes_in > 0)
        for _ in range(3):
            visitor2(made).tick()
        assert await client.is_over() == 0


async def test_a_slow_body_is_no_slow_head(certs: Certs) -> None:
    """A frame of it may take longer than a head; each piece of it is progress."""
    async with stand(certs=certs, config=EdgeConfig(limits=Limits(head=2, idle=9))) as made:
        client = await visit2(made)
        stream = client.ask(method="POST", end=False)
        agent = await made.agent.stream()
        await agent.heads()
        frame = DataFrame(stream, b"12345").serialize()
        for at in range(len(frame)):
            client.raw(frame[at : at + 1])
            await made.until(lambda: visitor2(made).ticks == 0 or at < 9)  # noqa: B023
            if at >= 9:  # behind the frame's header
                visitor2(made).tick()
        await agent.until(b"5\r\n12345\r\n")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([*REQUEST, ("X-Upper", "1")], 400),
        ([*REQUEST, ("connection", "close")], 400),
        ([*REQUEST, ("transfer-encoding", "chunked")], 400),
        ([*REQUEST, ("upgrade", "websocket")], 400),
        ([*REQUEST, ("te", "gzip")], 400),
        ([*REQUEST, ("x", "a\r\ny: b")], 400),
        ([*REQUEST, ("x", "a\nb")], 400),
        ([*REQUEST, ("x", "a\0b")], 400),
        ([*REQUEST, ("x", " a")], 400),
        ([*REQUEST, ("x y", "a")], 400),
        ([*REQUEST, ("x:y", "a")], 400),
        ([*REQUEST, ("", "a")], 400),
        ([*REQUEST, ("host", "other.example")], 400),
        ([*REQUEST, (":path", "/late")], 400),
        ([*REQUEST, ("x", "1"), (":late", "/")], 400),
        ([*REQUEST, (":unknown", "1")], 400),
        (REQUEST[1:], 400),
        (REQUEST[:3], 400),
        ([REQUEST[0], *REQUEST[2:]], 400),
        ([*REQUEST[:2], REQUEST[3]], 400),
        ([*REQUEST[:3], (":path", "")], 400),
        ([*REQUEST[:3], (":path", "relative")], 400),
        ([*REQUEST[:3], (":path", "/a b")], 400),
        ([*REQUEST[:3], (":path", "/ HTTP/1.1\r\nx: y")], 400),
        ([*REQUEST[:3], (":path", "https://app.example/")], 400),
        ([*REQUEST[:3], (":path", "*")], 400),
        ([(":method", "GET /x"), *REQUEST[1:]], 400),
        ([REQUEST[0], (":scheme", "ftp"), *REQUEST[2:]], 400),
        ([REQUEST[0], (":scheme", "http"), *REQUEST[2:]], 421),
        ([*REQUEST[:2], (":authority", f"user@{HOST}"), REQUEST[3]], 400),
        ([(":method", "CONNECT"), (":authority", HOST)], 501),
        ([*REQUEST, ("expect", "something")], 417),
    ],
)
async def test_malformed_heads(certs: Certs, fields: Fields, status: int) -> None:
    """Nothing reaches an upstream, and the connection goes on."""
    async with stand(certs=certs, config=CONFIG) as made:
        client = await visit2(made)
        await client.until(lambda: client.settings > 0)
        answer = await client.answer(client.head(1, fields))
        assert (answer.status, answer.fields["ngrok-error-code"]) == (status, "ERR_NGROK_3007")
        assert made.agent.streams == 0
        stream = client.ask("/fine")
        agent = await made.agent.stream()
        await agent.heads()
        agent.ok()
        assert (await client.answer(stream)).status == 200


@pytest.mark.parametrize(
    "trailers", [[("content-length", "1")], [(":path", "/")], [("X", "1")], [("x", "a\nb")]]
)
async def test_malformed_trailers(certs: Certs, trailers: Fields) -> None:
    async with stand(certs=certs, config=CONFIG) as made:
        client = await visit2(made)
        stream = client.ask(method="POST", end=False)
        agent = await made.agent.stream()
        await agent.heads()
        client.conn.send_headers(stream, trailers, end_stream=True)
        client.flush()
        assert (await client.answer(stream)).status == 400
        await agent.cut()


@pytest.mark.parametrize("length", ["4", "6"])
async def test_a_body_of_another_length_than_it_says(certs: Certs, length: str) -> None:
    async with stand(certs=certs, config=CONFIG) as made:
        client = await visit2(made)
        stream = client.ask("/", ("content-length", length), method="POST", end=False)
        agent = await made.agent.stream()
        await agent.heads()
        client.raw(DataFrame(stream, b"12345", flags=("END_STREAM",)).serialize())
        assert await client.is_over() == 1
        await agent.cut()
        await unharmed(made)


# -- too much at once, and too slow


async def test_streams_above_the_limit_are_refused(certs: Certs) -> None:
    async with stand(certs=certs, config=CONFIG) as made:
        client = await visit2(made)
        client.conn.remote_settings[3] = 1000  # as if it had not seen our SETTINGS yet
        streams = [client.ask(f"/{count}") for count in range(LIMITS.http2_streams + 5)]
        for stream in streams[LIMITS.http2_streams :]:
            assert (await client.answer(stream)).reset == 7
        assert made.agent.streams == LIMITS.http2_streams
        await unharmed(made)


async def test_data_above_the_window(certs: Certs) -> None:
    limits = Limits(http2_stream_window=65_536, http2_connection_window=1 << 20)
    async with stand(certs=certs, config=EdgeConfig(limits=limits)) as made:
        made.agent.window = 1024
        client = await visit2(made)
        stream = client.ask(method="POST", end=False)
        agent = await made.agent.stream()
        agent.sink.consuming = False
        client.raw(DataFrame(stream, b"x" * 16_000).serialize() * 5)
        assert await client.is_over() == 3
        await unharmed(made)


async def test_a_zero_window_that_never_opens(certs: Certs) -> None:
    async with stand(certs=certs, config=CONFIG) as made:
        client = await visit2(made, INITIAL_WINDOW_SIZE=0)
        stream = client.ask()
        agent = await made.agent.stream()
        await agent.heads()
        agent.ok(b"x" * 10_000)
        await client.until(lambda: client.answers[stream].status == 200)
        visitor = visitor2(made)
        await unharmed(made)
        for _ in range(3):
            visitor.tick()
        assert (await client.answer(stream)).reset == 2


async def test_answers_in_single_bytes(certs: Certs) -> None:
    """Windows that open by one byte each are more work than an answer is worth."""
    async with stand(certs=certs, config=CONFIG) as made:
        client = await visit2(made, INITIAL_WINDOW_SIZE=0)
        stream = client.ask()
        agent = await made.agent.stream()
        await agent.heads()
        agent.ok(b"x" * 10_000)
        await client.until(lambda: client.answers[stream].status == 200)
        client.raw(WindowUpdateFrame(stream, window_increment=1).serialize() * 1000)
        assert await client.is_over() == CALM


async def test_what_is_no_http2(certs: Certs) -> None:
    async with stand(certs=certs, config=CONFIG, serve=AgentStream.ok) as made:
        client = await visit2(made)
        client.writer.write(b"GET / HTTP/1.1\r\n\r\n" * 2000)
        assert await client.is_over() == 6  # a frame of 4 MB
        assert made.agent.streams == 0
