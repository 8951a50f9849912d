"""Sessions as a whole: visitors' streams, faults of Sinks and handlers, draining, real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from tests.kit.certs import Certs
from tests.kit.clock import on_fake_clock, pass_time
from tests.kit.pipes import Bell, End, Ends, PipeContract, Recorder
from tests.kit.sessions import HEADER, Owner, Pair, Played, frame, typed

from portway.errors import LocalProtocolError, RemoteProtocolError, SessionClosed, StreamLimit
from portway.net.dial import dial
from portway.session import FIRST_LIMIT, PORTWAY, Role, Session, Stream, StreamType, authenticate
from portway.wire.messages import Auth, AuthExtra, AuthResp, encode

PROXY = typed(StreamType.PROXY)


def proxy(body: bytes, after: bytes = b"") -> bytes:
    """Return the opening of a visitor's stream with this header."""
    return PROXY + len(body).to_bytes(8, "little") + body + after


class Faulty(Recorder):
    """A Sink that fails at its first byte."""

    def on_data(self, view: memoryview) -> None:
        raise ValueError("a fault of the sink")


# -- visitors' streams ---------------------------------------------------------------------------------


@pytest.mark.row("S4", "S24")
@on_fake_clock
async def test_a_visitors_stream_opens_in_one_frame_with_its_first_bytes(certs: Certs) -> None:
    played = Played(certs, Role.SERVICE)
    await played.secure()
    played.session.admit(Auth())
    stream = played.session.open_proxy(HEADER, Recorder(played.bell), b"first")
    await played.until(lambda: bool(played.peer.of(stream.id)))
    assert played.peer.of(stream.id) == [(1, 2, proxy(encode(HEADER), b"first"))]
    assert stream.id == 4
    assert json.loads(encode(HEADER))["EdgeType"] == "0"
    await played.close()


@on_fake_clock
async def test_first_bytes_are_bounded(certs: Certs) -> None:
    pair = Pair(certs)
    await pair.secure()
    pair.service.open_proxy(HEADER, Recorder(pair.bell), bytes(FIRST_LIMIT))
    with pytest.raises(LocalProtocolError):
        pair.service.open_proxy(HEADER, Recorder(pair.bell), bytes(FIRST_LIMIT + 1))
    await pair.close()


@on_fake_clock
async def test_the_agent_takes_a_visitor_with_its_header(certs: Certs) -> None:
    pair = Pair(certs)
    sink = Recorder(pair.bell)

    def take(stream: Stream) -> Recorder:
        sink.pipe = stream
        return sink

    pair.agent_owner.take = take
    await pair.secure()
    ours = Recorder(pair.bell)
    stream = pair.service.open_proxy(HEADER, ours, b"hello")
    ours.pipe = stream
    await pair.bell.until(lambda: sink.data.startswith(b"hello"))
    assert pair.agent_owner.headers == [HEADER]
    pair.agent_owner.streams[0].send(b"world")
    pair.agent_owner.streams[0].end()
    await pair.bell.until(lambda: ours.data.startswith(b"world") and ours.ends == 1)
    stream.end()
    await pair.bell.until(lambda: sink.ends == 1)
    assert pair.service.connection.streams == pair.agent.connection.streams == 0
    await pair.close()


@pytest.mark.row("A15")
@on_fake_clock
async def test_a_visitor_that_the_agent_does_not_take_is_ended_without_a_byte(certs: Certs) -> None:
    played = Played(certs, Role.AGENT)
    await played.secure()
    played.peer.send(frame(1, 2, 2, proxy(encode(HEADER), b"early")), frame(1, 0, 2, b"late"))
    await played.until(lambda: bool(played.peer.of(2)))
    played.peer.send(frame(1, 1, 2))
    played.peer.send(frame(1, 2, 4, typed(StreamType.HEARTBEAT, b"beat")))
    await played.until(lambda: played.peer.data(4) == b"beat")
    assert played.peer.of(2) == [(1, 1, b"")]
    assert played.session.connection.streams == 1
    await played.close()


@pytest.mark.row("A6", "A16")
@on_fake_clock
async def test_a_faulty_opening_costs_its_stream_alone(
    certs: Certs, caplog: pytest.LogCaptureFixture
) -> None:
    """Header unreadable, too long, of a negative length; an unknown type; an end before the type."""
    played = Played(certs, Role.AGENT)
    await played.secure()
    openings = [
        proxy(b"[]"),
        proxy(b'{"EdgeType":0}'),
        PROXY + (1 << 20).to_bytes(8, "little"),
        PROXY + (-1).to_bytes(8, "little", signed=True),
        typed(77, b"whatever"),
        typed(StreamType.AUTH, b"{}"),
    ]
    ids = range(2, 2 + 2 * len(openings), 2)
    for number, opening in zip(ids, openings, strict=True):
        played.peer.send(frame(1, 2, number, opening))
    await played.until(lambda: all(played.peer.of(number) for number in ids))
    assert all(played.peer.of(number) == [(1, 1, b"")] for number in ids)
    played.peer.send(frame(1, 2, 50, b"\0\0"), frame(1, 1, 50))  # the end before the type
    played.peer.send(frame(1, 2, 60, PROXY))  # a header that is never completed
    played.peer.send(frame(1, 2, 62, typed(StreamType.HEARTBEAT, b"beat")))
    await played.until(lambda: played.peer.data(62) == b"beat")  # stalls nobody
    assert not played.session.closed
    assert caplog.text.count("a visitor was dropped") == 4
    await played.close()


@on_fake_clock
async def test_a_service_takes_no_visitor_and_no_command(certs: Certs) -> None:
    played = Played(certs, Role.SERVICE)
    await played.secure()
    played.peer.send(frame(1, 2, 3, proxy(encode(HEADER))), frame(1, 2, 5, typed(StreamType.STOP, b"{}")))
    await played.until(lambda: bool(played.peer.of(3) and played.peer.of(5)))
    assert played.peer.of(3) == played.peer.of(5) == [(1, 1, b"")]
    assert played.owner.heard == ["ready"]
    await played.close()


@pytest.mark.row("S11")
@on_fake_clock
async def test_an_official_agent_never_gets_512_streams(certs: Certs) -> None:
    played = Played(certs, Role.SERVICE)
    await played.secure()
    played.session.admit(Auth(extra=AuthExtra(user_agent="ngrok-python/1.4.0 ngrok-rust/0.14.0")))
    for number in range(3, 23, 2):
        played.peer.send(frame(1, 2, number, typed(StreamType.HEARTBEAT, b"beat")))
    await played.until(lambda: played.peer.data(21) == b"beat")
    while played.session.connection.streams < 480:
        played.session.open_proxy(HEADER, Recorder(Bell()))
    with pytest.raises(StreamLimit):
        played.session.open_proxy(HEADER, Recorder(Bell()))
    played.session.notify(StreamType.STOP_TUNNEL, b"{}")  # commands still pass
    await played.close()


@pytest.mark.row("S10")
@pytest.mark.parametrize(
    ("user_agent", "cut"),
    [
        ("ngrok-rust/0.18.0", [(1, 1, b""), (0, 0, (6).to_bytes(4, "big"))]),
        ("ngrok-go/2.1.1", [(1, 1, b""), (0, 0, (6).to_bytes(4, "big"))]),
        ("portway/0.1.0", [(0, 0, (6).to_bytes(4, "big"))]),
    ],
)
def test_a_visitor_is_cut_in_the_way_that_its_agent_understands(
    certs: Certs, user_agent: str, cut: list[tuple[int, int, bytes]]
) -> None:
    """Official agents leak a stream that is only reset; ours must not take a cut for an end."""

    @on_fake_clock
    async def scenario() -> None:
        played = Played(certs, Role.SERVICE)
        await played.secure()
        played.session.admit(Auth(extra=AuthExtra(user_agent=user_agent)))
        stream = played.session.open_proxy(HEADER, Recorder(played.bell))
        stream.abort()
        await played.until(lambda: len(played.peer.of(stream.id)) > 1)
        assert played.peer.of(stream.id)[1:] == cut
        await played.close()

    scenario()


@pytest.mark.row("S12")
@on_fake_clock
async def test_a_busy_agent_costs_one_visitor(certs: Certs) -> None:
    """RST 9 on a new stream is for who opened it; the session goes on."""
    played = Played(certs, Role.SERVICE)
    await played.secure()
    played.session.admit(Auth())
    sink = Recorder(played.bell)
    stream = played.session.open_proxy(HEADER, sink)
    await played.until(lambda: bool(played.peer.of(stream.id)))
    played.peer.send(frame(0, 0, stream.id, (9).to_bytes(4, "big")))
    await played.until(lambda: bool(sink.resets))
    assert sink.resets == [9]
    assert not played.session.closed
    again = played.session.open_proxy(HEADER, Recorder(played.bell))
    await played.until(lambda: bool(played.peer.of(again.id)))
    await played.close()


# -- containment ---------------------------------------------------------------------------------------


@on_fake_clock
async def test_a_sinks_fault_costs_its_stream_alone(certs: Certs, caplog: pytest.LogCaptureFixture) -> None:
    pair = Pair(certs)
    await pair.secure()
    first, second = Recorder(pair.bell), Recorder(pair.bell)
    sinks = [Faulty(pair.bell), Recorder(pair.bell)]
    pair.agent_owner.take = lambda stream: sinks[len(pair.agent_owner.streams) - 1]
    pair.service.open_proxy(HEADER, first, b"x")
    pair.service.open_proxy(HEADER, second, b"y")
    await pair.bell.until(lambda: bool(first.resets) and sinks[1].data.startswith(b"y"))
    assert first.resets == [2]
    assert not pair.agent.closed
    assert not second.resets
    assert "a fault of the sink" in caplog.text
    await pair.close()


@on_fake_clock
async def test_a_handlers_faults_are_contained(certs: Certs, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Owner):
        def on_ready(self, session: Session, /) -> None:
            raise ValueError("ready broke")

        def on_heartbeat(self, session: Session, latency: float, /) -> None:
            raise ValueError("heartbeat broke")

        def on_closed(self, session: Session, cause: object, /) -> None:
            raise ValueError("closed broke")

    def take(stream: Stream) -> Recorder:
        raise ValueError("take broke")

    pair = Pair(certs, agent_owner=Broken())
    pair.agent_owner.take = take
    await pair.secure()
    pair.agent.start_heartbeats(1, 2)
    visitor = Recorder(pair.bell)
    pair.service.open_proxy(HEADER, visitor)
    await pair.bell.until(lambda: bool(visitor.resets))
    await pass_time(5)
    assert not pair.agent.closed
    await pair.close()
    for what in ("ready", "heartbeat", "closed", "take"):
        assert f"{what} broke" in caplog.text


@on_fake_clock
async def test_a_sink_may_close_the_session(certs: Certs) -> None:
    """From inside `feed`: nothing after it is delivered."""

    class Closer(Recorder):
        def on_data(self, view: memoryview) -> None:
            super().on_data(view)
            played.session.close()

    played = Played(certs, Role.AGENT)
    sinks = [Closer(played.bell), Recorder(played.bell)]
    played.owner.take = lambda stream: sinks[len(played.owner.streams) - 1]
    await played.secure()
    played.peer.send(
        frame(1, 2, 2, proxy(encode(HEADER))), frame(1, 2, 4, proxy(encode(HEADER))), frame(1, 0, 2, b"x")
    )
    played.peer.send(frame(1, 0, 4, b"y"))
    await played.until(lambda: played.peer.ended)
    assert sinks[0].data == b"x"
    assert sinks[1].data == b""
    assert sinks[0].resets == sinks[1].resets == [14]
    await played.close()


# -- draining ------------------------------------------------------------------------------------------


@on_fake_clock
async def test_drain_waits_for_running_visitors_and_opens_none(certs: Certs) -> None:
    pair = Pair(certs)
    sink = Recorder(pair.bell)
    pair.agent_owner.take = lambda stream: sink
    await pair.secure()
    pair.service.admit(Auth())
    stream = pair.service.open_proxy(HEADER, Recorder(pair.bell), b"x")
    await pair.bell.until(lambda: sink.data.startswith(b"x"))
    loop = asyncio.get_running_loop()
    start = loop.time()
    draining = asyncio.ensure_future(pair.service.drain(60))
    await pass_time(3)
    assert not draining.done()
    with pytest.raises(SessionClosed):
        pair.service.open_proxy(HEADER, Recorder(pair.bell))
    stream.end()
    pair.agent_owner.streams[0].end()
    await draining
    assert loop.time() == pytest.approx(start + 3, abs=0.2)
    assert not pair.service.closed
    await pair.close()


@on_fake_clock
async def test_drain_gives_up_after_its_time_and_when_the_session_ends(certs: Certs) -> None:
    pair = Pair(certs)
    pair.agent_owner.take = lambda stream: Recorder(pair.bell)
    await pair.secure()
    pair.service.admit(Auth())
    pair.service.open_proxy(HEADER, Recorder(pair.bell))
    loop = asyncio.get_running_loop()
    start = loop.time()
    await pair.service.drain(5)
    assert loop.time() == pytest.approx(start + 5)
    draining = asyncio.ensure_future(pair.service.drain(500))
    await pass_time(1)
    await pair.close()
    await draining
    assert loop.time() < start + 10


@on_fake_clock
async def test_a_draining_agent_takes_no_visitor(certs: Certs) -> None:
    pair = Pair(certs)
    await pair.secure()
    await pair.agent.drain(1)
    visitor = Recorder(pair.bell)
    pair.service.open_proxy(HEADER, visitor)
    await pair.bell.until(lambda: bool(visitor.resets))
    assert visitor.resets == [5]
    assert pair.agent_owner.headers == []
    await pair.close()


@on_fake_clock
async def test_heartbeats_start_once(certs: Certs) -> None:
    pair = Pair(certs)
    await pair.secure()
    pair.agent.start_heartbeats(10, 15)
    with pytest.raises(LocalProtocolError):
        pair.agent.start_heartbeats(10, 15)
    await pair.close()


# -- two sessions as one Pipe --------------------------------------------------------------------------


async def joined(agent: Session, service: Session, owner: Owner) -> Ends:
    """Return the two ends of one visitor's stream between two sessions."""
    bell = owner.bell
    sinks: list[Recorder] = []

    def take(stream: Stream) -> Recorder:
        sinks.append(Recorder(bell))
        sinks[-1].pipe = stream
        return sinks[-1]

    owner.take = take
    ours = Recorder(bell)
    stream = service.open_proxy(HEADER, ours)
    await bell.until(lambda: bool(sinks))
    return Ends(End(stream, ours), End(owner.streams[-1], sinks[0]), bell)


class SocketPair:
    """An agent's and a service's session over TLS on loopback."""

    def __init__(self) -> None:
        self.bell = Bell()
        self.agent_owner = Owner(self.bell)
        self.service_owner = Owner(self.bell)
        self.services: list[Session] = []

    async def start(self, certs: Certs) -> None:
        """Listen, dial, authenticate."""

        def accept() -> Session:
            self.services.append(Session(Role.SERVICE, self.service_owner, certs.server))
            return self.services[-1]

        async def admit(session: Session, kind: int, body: bytes) -> bytes:
            session.admit(Auth(extra=AuthExtra(user_agent="portway/0")))
            return encode(AuthResp(client_id="c"))

        self.service_owner.answer = admit
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(accept, "127.0.0.1", 0)
        port = self.server.sockets[0].getsockname()[1]
        _, self.agent = await dial(
            "127.0.0.1",
            port,
            lambda: Session(Role.AGENT, self.agent_owner, certs.client, server_hostname="127.0.0.1"),
        )
        await authenticate(self.agent, Auth())
        self.agent.configure(PORTWAY)

    async def stop(self) -> None:
        """Close all."""
        self.server.close()
        self.agent.close()
        for session in self.services:
            session.close()
            await session.wait_closed()
        await self.agent.wait_closed()
        await self.server.wait_closed()


class TestPipeOverLoopback(PipeContract):
    """The contract of Pipe and Sink, kept by two sessions over TLS on loopback."""

    @pytest.fixture
    async def ends(self, certs: Certs) -> AsyncIterator[Ends]:
        """Return the ends of one visitor's stream."""
        sockets = SocketPair()
        await sockets.start(certs)
        yield await joined(sockets.agent, sockets.services[0], sockets.agent_owner)
        await sockets.stop()


class TestPipeTowardAStranger(PipeContract):
    """The same in the strictest profile, which suits every official agent: FIN, then RST."""

    @pytest.fixture
    async def ends(self, certs: Certs) -> AsyncIterator[Ends]:
        """Return the ends of one visitor's stream in memory."""
        pair = Pair(certs)
        await pair.secure()
        yield await joined(pair.agent, pair.service, pair.agent_owner)
        await pair.close()

    async def test_abort_after_an_end(self, ends: Ends) -> None:
        """The FIN that goes before the RST is then the end of both: nothing is left to be cut."""
        ends.a.pipe.end()
        await ends.until(lambda: ends.b.sink.ends == 1)
        ends.b.pipe.abort()
        await ends.until(lambda: ends.a.sink.ends == 1)


async def test_heartbeats_and_many_streams_over_loopback(certs: Certs) -> None:
    """A thousand streams at once, each with its own bytes both ways, and nothing left at the end."""
    sockets = SocketPair()
    await sockets.start(certs)
    service = sockets.services[0]

    class Back(Recorder):
        """Sends back what it gets."""

        def __init__(self, stream: Stream) -> None:
            super().__init__(sockets.bell)
            self.pipe = stream

        def on_data(self, view: memoryview) -> None:
            assert self.pipe is not None
            self.pipe.send(bytes(view))
            super().on_data(view)

        def on_end(self) -> None:
            assert self.pipe is not None
            self.pipe.end()
            super().on_end()

    sockets.agent_owner.take = Back
    sinks: list[Recorder] = []
    for number in range(1000):
        sink = Recorder(sockets.bell)
        sinks.append(sink)
        sink.pipe = service.open_proxy(HEADER, sink, b"%d " % number)
        assert sink.pipe.send(b"x" * (number % 100)) == number % 100
        sink.pipe.end()
    await sockets.bell.until(lambda: all(sink.ends for sink in sinks))
    for number, sink in enumerate(sinks):
        assert sink.data == b"%d " % number + b"x" * (number % 100)
    await sockets.bell.until(lambda: bool(sockets.agent_owner.latencies))
    await sockets.bell.until(lambda: bool(sockets.service_owner.latencies))
    assert 0 < sockets.agent_owner.latencies[0] < 5
    assert service.connection.proxied == sockets.agent.connection.proxied == 0
    assert "127.0.0.1:" in service.peername
    await sockets.stop()


async def test_a_peer_that_breaks_the_rules_over_a_real_socket(certs: Certs) -> None:
    """GOAWAY reaches it although it has bytes under way: the socket is not reset."""
    sockets = SocketPair()
    await sockets.start(certs)
    sockets.agent.connection.output.put_first(frame(1, 2, 0, b"x"))
    for _ in range(20):
        sockets.agent.connection.output.put_first(frame(9, 0, 0, bytes(60_000)))
    await sockets.bell.until(lambda: bool(sockets.agent_owner.closed and sockets.service_owner.closed))
    assert isinstance(sockets.service_owner.closed[0], RemoteProtocolError)
    assert "code 1" in str(sockets.agent_owner.closed[0])
    await sockets.stop()
