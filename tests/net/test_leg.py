"""Plain legs: the contract of Pipes through real sockets, and what is particular to legs."""

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator
from typing import cast

import pytest
import pytest_asyncio
from tests.kit.legs import LegWatch, joined_legs, plain_legs, settled
from tests.kit.pipes import Bell, End, Ends, PipeContract, Recorder, spin_until, turns

from portway.net.dial import dial
from portway.net.leg import Leg, hand_over
from portway.net.listen import Listener, listen
from portway.net.memory import MemoryPipe, memory_pair


class TestJoinedLegs(PipeContract):
    """The contract, through two legs and a TCP socket, joined before they are connected."""

    deaf_after_end = True
    carries_codes = False  # a socket's reset has none
    bound = 1 << 26  # the kernel's buffers grow

    @pytest_asyncio.fixture
    async def ends(self) -> AsyncIterator[Ends]:
        """Join two legs."""
        bell = Bell()
        async with joined_legs(*plain_legs(), bell) as ends:
            yield ends


class TestLateLegs(TestJoinedLegs):
    """The same where the accepted leg gets its Pipe after its socket."""

    @pytest_asyncio.fixture
    async def ends(self) -> AsyncIterator[Ends]:
        """Join two legs, one late."""
        bell = Bell()
        async with joined_legs(*plain_legs(), bell, late=True) as ends:
            yield ends


class Rig:
    """One leg between a Pipe in memory and a plain blocking-free socket of the test's."""

    def __init__(self, leg: Leg, pipe: MemoryPipe, end: End, bell: Bell, peer: socket.socket) -> None:
        """Hold the parts."""
        self.leg = leg
        self.inner = pipe
        self.end = end
        self.bell = bell
        self.peer = peer
        self.loop = asyncio.get_running_loop()

    async def peer_reads(self, n: int) -> bytes:
        """Read exactly n bytes at the far end of the socket, fewer at its end."""
        data = bytearray()
        async with asyncio.timeout(10):
            while len(data) < n:
                piece = await self.loop.sock_recv(self.peer, min(n - len(data), 1 << 20))
                if not piece:
                    break
                data += piece
        return bytes(data)

    async def peer_writes(self, data: bytes) -> None:
        """Write at the far end of the socket."""
        async with asyncio.timeout(10):
            await self.loop.sock_sendall(self.peer, data)


@pytest.fixture
def bell() -> Bell:
    """The bell of a test."""
    return Bell()


@pytest.fixture
def watch(bell: Bell) -> LegWatch:
    """Who was closed."""
    return LegWatch(bell)


@pytest_asyncio.fixture
async def rig(bell: Bell, watch: LegWatch) -> AsyncIterator[Rig]:
    """A leg, joined and connected."""
    leg = Leg(on_closed=watch)
    accepted: list[Leg] = []

    def accept() -> Leg:
        accepted.append(leg)
        return leg

    listener = await listen("127.0.0.1", 0, accept)
    peer = socket.socket()
    peer.setblocking(False)
    await asyncio.get_running_loop().sock_connect(peer, ("127.0.0.1", listener.port))
    await spin_until(lambda: leg.transport is not None)
    outer, inner = memory_pair()
    end = End(outer, Recorder(bell))
    outer.attach(end.sink)
    inner.attach(leg)
    leg.join(inner)
    yield Rig(leg, inner, end, bell, peer)
    peer.close()
    leg.abort()
    await settled(leg)
    listener.close()


async def test_counts_and_peername_survive_the_end(rig: Rig, watch: LegWatch) -> None:
    """After both ends a leg closes itself, once, with its counters."""
    name = "{}:{}".format(*rig.peer.getsockname())
    assert rig.leg.peername == name
    await rig.peer_writes(b"question")
    rig.peer.shutdown(socket.SHUT_WR)
    await rig.bell.until(lambda: rig.end.sink.ends == 1)
    await rig.end.put(b"the answer")
    rig.end.pipe.end()
    assert await rig.peer_reads(100) == b"the answer"
    await rig.bell.until(lambda: watch.closed == [rig.leg])
    assert (rig.leg.bytes_in, rig.leg.bytes_out) == (8, 10)
    assert rig.leg.error is None
    assert rig.leg.peername == name
    assert "closed" in repr(rig.leg)


async def test_the_answer_is_sent_whole_before_the_socket_closes(rig: Rig, watch: LegWatch) -> None:
    """Both directions have ended, yet megabytes wait for a slow peer: nothing is lost."""
    rig.peer.shutdown(socket.SHUT_WR)
    await rig.bell.until(lambda: rig.end.sink.ends == 1)
    answer = random.Random(1).randbytes(5_000_000)

    async def write() -> None:
        await rig.end.put(answer)
        rig.end.pipe.end()

    _, got = await asyncio.gather(write(), rig.peer_reads(len(answer) + 1))
    assert got == answer
    await rig.bell.until(lambda: watch.closed == [rig.leg])


async def test_a_reset_by_the_pipe_reaches_the_peer_as_a_reset(rig: Rig, watch: LegWatch) -> None:
    """A FIN would let a cut-off answer pass for a complete one."""
    await rig.end.put(b"part of an answer")
    assert await rig.peer_reads(17) == b"part of an answer"
    rig.end.pipe.abort()
    with pytest.raises(ConnectionResetError):
        await rig.peer_reads(1)
    await rig.bell.until(lambda: watch.closed == [rig.leg])


async def test_a_kernel_that_closes_a_leg_resets_it_until_its_end_is_due(rig: Rig) -> None:
    """A process that is killed has its sockets closed: that must not look like the end of an answer."""
    assert rig.leg.transport is not None
    sock = rig.leg.transport.get_extra_info("socket")

    def resets() -> bool:
        on, seconds = struct.unpack("ii", sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))
        return bool(on) and seconds == 0

    await rig.end.put(b"part of an answer")
    assert await rig.peer_reads(17) == b"part of an answer"
    assert resets()
    rig.end.pipe.end()
    assert await rig.peer_reads(1) == b""
    assert not resets()


async def test_a_lost_socket_aborts_the_pipe(rig: Rig, watch: LegWatch) -> None:
    """The peer resets: the other end hears on_reset, and the leg says why."""
    await rig.peer_writes(b"x")
    await rig.bell.until(lambda: bytes(rig.end.sink.data) == b"x")
    rig.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    rig.peer.close()
    await rig.bell.until(lambda: rig.end.sink.resets == [6])
    assert watch.closed == [rig.leg]
    assert isinstance(rig.leg.error, ConnectionResetError)


async def test_an_end_toward_a_peer_that_has_just_reset(rig: Rig, watch: LegWatch) -> None:
    """The reset is in the kernel, unread: shutting down fails, and nobody is hurt by that."""
    rig.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    rig.peer.close()
    rig.leg.on_end()
    await rig.bell.until(lambda: rig.end.sink.resets == [6])
    assert watch.closed == [rig.leg]
    assert isinstance(rig.leg.error, OSError)


async def test_a_transport_handed_over_while_full(bell: Bell, watch: LegWatch) -> None:
    """Its old protocol wrote more than the peer reads: the leg consumes nothing until that is out."""
    leg = Leg(on_closed=watch)
    outer, inner = memory_pair()
    end = End(outer, Recorder(bell))
    outer.attach(end.sink)
    inner.attach(leg)
    before = random.Random(9).randbytes(8_000_000)

    class Flood(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            full = cast("asyncio.Transport", transport)
            full.write(before)
            hand_over(full, leg)
            leg.join(inner)

    listener = await listen("127.0.0.1", 0, Flood)
    loop = asyncio.get_running_loop()
    with socket.socket() as peer:
        peer.setblocking(False)
        await loop.sock_connect(peer, ("127.0.0.1", listener.port))
        await spin_until(lambda: leg.transport is not None)
        sent = end.put_until_parked(1_000_000)
        await turns(50)
        assert inner.outstanding == len(sent) == 262_144
        got = bytearray()
        async with asyncio.timeout(10):
            while len(got) < len(before) + len(sent):
                got += await loop.sock_recv(peer, 1 << 20)
        assert got == before + sent
        await bell.until(lambda: end.sink.rooms > 0)
        assert inner.outstanding == 0
        leg.abort()
        await settled(leg)
    listener.close()


async def test_a_stalled_peer_holds_back_the_pipe(rig: Rig) -> None:
    """What the socket has not taken is not consumed: memory stays at window + high water."""
    sent = bytearray()
    for _ in range(2000):
        sent += rig.end.put_until_parked(1 << 26)
        rooms = rig.end.sink.rooms
        await turns(50)
        if rig.end.sink.rooms == rooms:
            break
    else:
        pytest.fail("never stopped")
    assert rig.leg.transport is not None
    unsent = rig.leg.transport.get_write_buffer_size()
    assert unsent <= 65_536 + 262_144
    assert rig.inner.outstanding > 0
    assert await rig.peer_reads(len(sent)) == sent
    await rig.bell.until(lambda: rig.end.sink.rooms > rooms)
    assert rig.inner.outstanding == 0


async def test_a_parked_leg_keeps_what_came_and_sends_it_first(rig: Rig) -> None:
    """Out of credit, the spill takes one read; then order is kept, and the end comes last."""
    rig.end.sink.consuming = False
    data = random.Random(3).randbytes(262_144 + 100_000)
    await rig.peer_writes(data)
    rig.peer.shutdown(socket.SHUT_WR)
    await rig.bell.until(lambda: len(rig.end.sink.data) == 262_144)
    await turns(50)
    assert len(rig.end.sink.data) == 262_144
    assert rig.leg.bytes_in <= 262_144 + 4096
    rig.end.sink.consume_all()
    await rig.bell.until(lambda: rig.end.sink.ends == 1)
    assert rig.end.sink.data == data


async def test_a_leg_without_a_pipe_waits(bell: Bell, watch: LegWatch) -> None:
    """A visitor speaks before its endpoint is known: at most a spill is read; nothing is lost."""
    leg = Leg(on_closed=watch)
    listener = await listen("127.0.0.1", 0, lambda: leg)
    peer = socket.socket()
    peer.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(peer, ("127.0.0.1", listener.port))
    await loop.sock_sendall(peer, b"a" * 10_000)
    peer.shutdown(socket.SHUT_WR)
    await spin_until(lambda: leg.bytes_in > 0)
    await turns(50)
    assert leg.bytes_in <= 4096
    outer, inner = memory_pair()
    end = End(outer, Recorder(bell))
    outer.attach(end.sink)
    inner.attach(leg)
    leg.join(inner, b"first ")
    await bell.until(lambda: end.sink.ends == 1)
    assert end.sink.data == b"first " + b"a" * 10_000
    peer.close()
    leg.abort()
    await settled(leg)
    listener.close()
    assert watch.closed == [leg]


async def test_a_visitor_that_left_before_its_pipe_aborts_it(bell: Bell, watch: LegWatch) -> None:
    """Joining a leg whose socket is lost cuts the Pipe at once."""
    leg = Leg(on_closed=watch)
    leg.connection_lost(ConnectionResetError())
    assert watch.closed == [leg]
    outer, inner = memory_pair()
    sink = Recorder(bell)
    outer.attach(sink)
    inner.attach(leg)
    leg.join(inner)
    await bell.until(lambda: sink.resets == [6])


async def test_a_refusal_answers_ends_and_discards(bell: Bell, watch: LegWatch) -> None:
    """An upstream that cannot be dialled: what came is consumed, the answer goes out, then the end."""
    leg = Leg(on_closed=watch)
    outer, inner = memory_pair()
    end = End(outer, Recorder(bell))
    outer.attach(end.sink)
    inner.attach(leg)
    leg.join(inner)
    await end.put(b"q" * 200_000)
    await turns(5)
    leg.refuse(b"502 sorry")
    await bell.until(lambda: end.sink.ends == 1)
    assert end.sink.data == b"502 sorry"
    await end.put(b"q" * 400_000)  # more than a window: so it is consumed
    assert not watch.closed
    end.pipe.end()
    await bell.until(lambda: watch.closed == [leg])


async def test_a_refused_peer_that_never_stops_is_cut(bell: Bell, watch: LegWatch) -> None:
    """Discarding is bounded."""
    leg = Leg(on_closed=watch)
    outer, inner = memory_pair()
    end = End(outer, Recorder(bell))
    outer.attach(end.sink)
    inner.attach(leg)
    leg.join(inner)
    leg.refuse()
    await end.put(b"q" * 1_048_576)
    outer.send(b"q")
    await bell.until(lambda: end.sink.resets == [6])
    assert watch.closed == [leg]


async def test_a_reset_while_dialling_is_told_at_once(bell: Bell, watch: LegWatch) -> None:
    """The owner may cancel its dial; if the socket comes nevertheless it is reset."""
    leg = Leg(on_closed=watch)
    outer, inner = memory_pair()
    inner.attach(leg)
    leg.join(inner)
    outer.abort()
    await bell.until(lambda: watch.closed == [leg])
    lost = asyncio.Event()

    class Peer(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            lost.set()

    listener = await listen("127.0.0.1", 0, Peer)
    await dial("127.0.0.1", listener.port, lambda: leg)
    await lost.wait()
    listener.close()
    assert watch.closed == [leg]


class FirstBytes(asyncio.BufferedProtocol):
    """A listener's protocol: it reads first bytes by itself, then hands its transport over."""

    def __init__(self, leg: Leg, pipe: MemoryPipe, enough: int) -> None:
        """Hand over to `leg` after `enough` bytes."""
        self.leg = leg
        self.pipe = pipe
        self.enough = enough
        self.space = memoryview(bytearray(65_536))
        self.had = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are not instances of it

    def get_buffer(self, sizehint: int) -> memoryview:
        """Offer our own space."""
        return self.space

    def buffer_updated(self, nbytes: int) -> None:
        """Collect, then hand over from within the callback."""
        self.had += self.space[:nbytes]
        if len(self.had) >= self.enough:
            hand_over(self.transport, self.leg)
            self.leg.join(self.pipe, bytes(self.had))


class FirstBytesPlain(asyncio.Protocol):
    """The same with an ordinary protocol, which gets bytes."""

    def __init__(self, leg: Leg, pipe: MemoryPipe, enough: int) -> None:
        """Hand over to `leg` after `enough` bytes."""
        self.leg = leg
        self.pipe = pipe
        self.enough = enough
        self.had = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are not instances of it

    def data_received(self, data: bytes) -> None:
        """Collect, then hand over from within the callback."""
        self.had += data
        if len(self.had) >= self.enough:
            hand_over(self.transport, self.leg)
            self.leg.join(self.pipe, bytes(self.had))


@pytest.mark.parametrize("first_protocol", [FirstBytes, FirstBytesPlain])
async def test_a_transport_is_handed_over_with_its_first_bytes(
    bell: Bell, watch: LegWatch, first_protocol: type[FirstBytes] | type[FirstBytesPlain]
) -> None:
    """Order is kept over the change of protocols, in both directions, and ends still work."""
    leg = Leg(on_closed=watch)
    outer, inner = memory_pair()
    end = End(outer, Recorder(bell))
    outer.attach(end.sink)
    inner.attach(leg)
    listener = await listen("127.0.0.1", 0, lambda: first_protocol(leg, inner, 10))
    loop = asyncio.get_running_loop()
    with socket.socket() as peer:
        peer.setblocking(False)
        await loop.sock_connect(peer, ("127.0.0.1", listener.port))
        await loop.sock_sendall(peer, b"01234")
        await asyncio.sleep(0)
        data = random.Random(7).randbytes(900_000)
        await loop.sock_sendall(peer, b"56789" + data)
        await bell.until(lambda: len(end.sink.data) == 10 + len(data))
        assert end.sink.data == b"0123456789" + data
        await end.put(b"answer")
        end.pipe.end()
        async with asyncio.timeout(10):
            assert await loop.sock_recv(peer, 100) == b"answer"
            assert await loop.sock_recv(peer, 100) == b""
        peer.shutdown(socket.SHUT_WR)
        await bell.until(lambda: watch.closed == [leg])
    assert end.sink.ends == 1
    listener.close()


async def test_a_leg_over_a_unix_socket(bell: Bell, watch: LegWatch) -> None:
    """Legs do not care for the family; a reset becomes whatever the family has."""
    ours, peer = socket.socketpair()
    ours.setblocking(False)
    peer.setblocking(False)
    listener = Listener([], Leg, what="none")
    leg = Leg(on_closed=watch)
    outer, inner = memory_pair()
    end = End(outer, Recorder(bell))
    outer.attach(end.sink)
    inner.attach(leg)
    leg.join(inner)
    loop = asyncio.get_running_loop()
    await loop.connect_accepted_socket(lambda: leg, ours)
    await loop.sock_sendall(peer, b"over unix")
    await bell.until(lambda: bytes(end.sink.data) == b"over unix")
    end.pipe.abort()
    await bell.until(lambda: watch.closed == [leg])
    async with asyncio.timeout(10):
        assert await loop.sock_recv(peer, 10) == b""
    peer.close()
    listener.close()
    await settled(leg)


@pytest.mark.parametrize("last", ["leg", "protocol"])
async def test_first_bytes_are_fed_to_any_protocol(bell: Bell, watch: LegWatch, last: str) -> None:
    """As if they came from the socket: through a change of protocols, beyond a spill, in order."""
    leg = Leg(on_closed=watch)
    outer, inner = memory_pair()
    end = End(outer, Recorder(bell))
    outer.attach(end.sink)
    inner.attach(leg)
    data = random.Random(8).randbytes(300_000)

    class Early(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.Transport", transport)

        def data_received(self, data: bytes) -> None:
            protocol = FirstBytes(leg, inner, 10) if last == "protocol" else leg
            hand_over(self.transport, protocol, data)

    if last == "leg":
        leg.join(inner)
    listener = await listen("127.0.0.1", 0, Early)
    loop = asyncio.get_running_loop()
    with socket.socket() as peer:
        peer.setblocking(False)
        await loop.sock_connect(peer, ("127.0.0.1", listener.port))
        await loop.sock_sendall(peer, data)
        peer.shutdown(socket.SHUT_WR)
        await bell.until(lambda: end.sink.ends == 1)
        assert end.sink.data == data
        end.pipe.end()
        await bell.until(lambda: watch.closed == [leg])
    listener.close()
