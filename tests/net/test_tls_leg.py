"""TLS legs: the contract of Pipes through TLS, and what is particular to it."""

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncIterator
from typing import cast

import pytest
import pytest_asyncio
from tests.kit.certs import Certs
from tests.kit.legs import LegWatch, joined_legs, settled, socket_between, tls_legs
from tests.kit.pipes import Bell, End, Ends, PipeContract, Recorder, turns

from portway.errors import ConnectError
from portway.net.dial import dial
from portway.net.leg import hand_over
from portway.net.listen import listen
from portway.net.memory import memory_pair
from portway.net.tls import TlsPump, agent_context
from portway.net.tls_leg import TlsLeg


class TestJoinedTlsLegs(PipeContract):
    """The contract, through TLS."""

    deaf_after_end = True
    carries_codes = False
    bound = 1 << 26

    @pytest_asyncio.fixture
    async def ends(self, certs: Certs) -> AsyncIterator[Ends]:
        """Join a TLS client and a TLS server."""
        bell = Bell()
        async with joined_legs(*tls_legs(certs), bell) as ends:
            yield ends


class TestLateTlsLegs(TestJoinedTlsLegs):
    """The same where the server's leg gets its Pipe later."""

    @pytest_asyncio.fixture
    async def ends(self, certs: Certs) -> AsyncIterator[Ends]:
        """Join, one late."""
        bell = Bell()
        async with joined_legs(*tls_legs(certs), bell, late=True) as ends:
            yield ends


class TestTls12(TestJoinedTlsLegs):
    """The same with TLS 1.2."""

    @pytest_asyncio.fixture
    async def ends(self, certs: Certs) -> AsyncIterator[Ends]:
        """Join by TLS 1.2."""
        client = agent_context(certs.ca)
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        bell = Bell()
        near = TlsLeg(TlsPump(client, server_side=False, server_hostname="127.0.0.1"))
        far = TlsLeg(TlsPump(certs.server, server_side=True))
        async with joined_legs(near, far, bell) as ends:
            yield ends
        assert far.pump.version in ("TLSv1.2", "")


class Server:
    """A TLS leg that accepts, a Pipe behind it, and asyncio's own TLS before it."""

    def __init__(self, certs: Certs, bell: Bell, watch: LegWatch) -> None:
        """Make the leg."""
        self.certs = certs
        self.leg = TlsLeg(TlsPump(certs.server, server_side=True), on_closed=watch)
        outer, self.inner = memory_pair()
        self.end = End(outer, Recorder(bell))
        outer.attach(self.end.sink)
        self.inner.attach(self.leg)
        self.leg.join(self.inner)


@pytest.fixture
def bell() -> Bell:
    """The bell of a test."""
    return Bell()


@pytest.fixture
def watch(bell: Bell) -> LegWatch:
    """Who was closed."""
    return LegWatch(bell)


async def test_asyncios_own_client_talks_to_a_tls_leg(certs: Certs, bell: Bell, watch: LegWatch) -> None:
    """Megabytes both ways against another implementation of the pump."""
    server = Server(certs, bell, watch)
    listener = await listen("127.0.0.1", 0, lambda: server.leg)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", listener.port, ssl=certs.client, server_hostname="localhost"
    )
    there, back = random.Random(1).randbytes(3_000_000), random.Random(2).randbytes(3_000_000)
    writer.write(there)
    await server.end.put(back)
    assert await reader.readexactly(len(back)) == back
    await bell.until(lambda: len(server.end.sink.data) == len(there))
    assert server.end.sink.data == there
    assert (server.leg.bytes_in, server.leg.bytes_out) == (len(there), len(back))
    server.end.pipe.end()
    assert await reader.read() == b""
    writer.close()
    await bell.until(lambda: watch.closed == [server.leg])
    assert server.end.sink.ends == 1
    assert not server.leg.truncated
    listener.close()


async def test_truncation_is_an_end_and_is_told(certs: Certs, bell: Bell, watch: LegWatch) -> None:
    """A FIN without close_notify: the Pipe ends in order, `truncated` says so."""
    server = Server(certs, bell, watch)
    listener = await listen("127.0.0.1", 0, lambda: server.leg)
    loop = asyncio.get_running_loop()
    pump = TlsPump(certs.client, server_side=False, server_hostname="localhost")
    with socket.socket() as peer:
        peer.setblocking(False)
        await loop.sock_connect(peer, ("127.0.0.1", listener.port))
        while not pump.handshake():
            await loop.sock_sendall(peer, pump.output())
            pump.received(await loop.sock_recv(peer, 65_536))
        pump.write(b"last words")
        await loop.sock_sendall(peer, pump.output())
        peer.shutdown(socket.SHUT_WR)
        await bell.until(lambda: server.end.sink.ends == 1)
        assert server.end.sink.data == b"last words"
        assert server.leg.truncated
        server.end.pipe.end()
        await bell.until(lambda: watch.closed == [server.leg])
    assert server.leg.error is None
    listener.close()


async def test_a_wrong_name_is_refused_by_the_client(certs: Certs, bell: Bell, watch: LegWatch) -> None:
    """The client says why, sends its alert, and both Pipes are aborted."""
    server = Server(certs, bell, watch)
    client = TlsLeg(
        TlsPump(certs.client, server_side=False, server_hostname="elsewhere.example"), on_closed=watch
    )
    outer, inner = memory_pair()
    sink = Recorder(bell)
    outer.attach(sink)
    inner.attach(client)
    client.join(inner)
    async with socket_between(client, server.leg):
        await bell.until(lambda: len(watch.closed) == 2)
    assert isinstance(client.error, ConnectError)
    assert client.error.step == "tls"
    assert "elsewhere.example" in str(client.error)
    assert isinstance(server.leg.error, ConnectError)
    assert "alert" in str(server.leg.error)
    await bell.until(lambda: sink.resets == [6] and server.end.sink.resets == [6])


async def test_what_is_not_tls_is_refused(certs: Certs, bell: Bell, watch: LegWatch) -> None:
    """Plain HTTP to a TLS port: an alert, an end, an aborted Pipe."""
    server = Server(certs, bell, watch)
    listener = await listen("127.0.0.1", 0, lambda: server.leg)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = await reader.read()
    assert answer[:1] in (b"", b"\x15")  # nothing, or an alert record
    writer.close()
    await writer.wait_closed()
    await bell.until(lambda: server.end.sink.resets == [6])
    assert watch.closed == [server.leg]
    listener.close()


async def test_an_end_during_the_handshake_is_a_failure(certs: Certs, bell: Bell, watch: LegWatch) -> None:
    """Nobody mistakes it for an empty request."""
    server = Server(certs, bell, watch)
    listener = await listen("127.0.0.1", 0, lambda: server.leg)
    _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(b"\x16\x03\x01")
    writer.write_eof()
    await bell.until(lambda: watch.closed == [server.leg])
    assert "during the TLS handshake" in str(server.leg.error)
    assert not server.end.sink.ends
    writer.close()
    await writer.wait_closed()
    listener.close()


async def test_a_handshake_has_a_deadline(certs: Certs, bell: Bell, watch: LegWatch) -> None:
    """A silent peer is cut when the clock says so; the clock stops with the handshake."""
    leg = TlsLeg(TlsPump(certs.server, server_side=True), on_closed=watch, handshake_timeout=0.01)
    listener = await listen("127.0.0.1", 0, lambda: leg)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    assert await reader.read() == b""
    await bell.until(lambda: watch.closed == [leg])
    assert "no TLS handshake within 0.01 s" in str(leg.error)
    writer.close()
    await writer.wait_closed()
    listener.close()


class Hello(asyncio.BufferedProtocol):
    """Reads the first bytes raw, then hands over to a TLS leg, as the TLS listener does."""

    def __init__(self, leg: TlsLeg, enough: int) -> None:
        """Hand over after `enough` bytes."""
        self.leg = leg
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
        """Hand over with what was read: the pump gets it first."""
        self.had += self.space[:nbytes]
        if len(self.had) >= self.enough:
            self.leg.pump.received(self.had)
            hand_over(self.transport, self.leg)


@pytest.mark.parametrize("enough", [1, 100])
async def test_a_client_hello_that_was_read_before(
    certs: Certs, bell: Bell, watch: LegWatch, enough: int
) -> None:
    """The first bytes name the endpoint; the pump is fed with them, and nothing is lost."""
    server = Server(certs, bell, watch)
    listener = await listen("127.0.0.1", 0, lambda: Hello(server.leg, enough))
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", listener.port, ssl=certs.client, server_hostname="localhost"
    )
    writer.write(b"q" * 100_000)
    await bell.until(lambda: len(server.end.sink.data) == 100_000)
    await server.end.put(b"answer")
    assert await reader.readexactly(6) == b"answer"
    server.leg.abort()
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    await settled(server.leg)
    listener.close()


async def test_a_parked_tls_leg_piles_up_one_read_at_most(certs: Certs, bell: Bell, watch: LegWatch) -> None:
    """Ciphertext stays in the kernel while the Pipe is parked."""
    server = Server(certs, bell, watch)
    server.end.sink.consuming = False
    listener = await listen("127.0.0.1", 0, lambda: server.leg)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", listener.port, ssl=certs.client, server_hostname="localhost"
    )
    data = random.Random(4).randbytes(2_000_000)
    writer.write(data)
    await bell.until(lambda: len(server.end.sink.data) == 262_144)
    for _ in range(100):
        await asyncio.sleep(0)
        assert server.leg.pump.unread <= 65_536 + 16_384
    assert len(server.end.sink.data) == 262_144
    server.end.sink.consume_all()
    await bell.until(lambda: len(server.end.sink.data) == len(data))
    assert server.end.sink.data == data
    server.leg.abort()
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    await settled(server.leg)
    listener.close()


async def test_a_failed_upstream_can_be_answered_for(certs: Certs, bell: Bell, watch: LegWatch) -> None:
    """`refuse` in `on_insecure`: the page goes out whole, then the end; the socket just goes."""

    class Upstream(TlsLeg):
        def on_insecure(self, error: ConnectError) -> None:
            self.refuse(b"502 " + str(error).encode())

    class NotTls(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            cast("asyncio.Transport", transport).write(b"220 smtp.example ready\r\n")

    leg = Upstream(TlsPump(certs.client, server_side=False, server_hostname="localhost"), on_closed=watch)
    outer, inner = memory_pair()
    end = End(outer, Recorder(bell))
    outer.attach(end.sink)
    inner.attach(leg)
    leg.join(inner)
    await end.put(b"q" * 100_000)
    listener = await listen("127.0.0.1", 0, NotTls)
    await dial("127.0.0.1", listener.port, lambda: leg)
    await bell.until(lambda: end.sink.ends == 1)
    assert bytes(end.sink.data).startswith(b"502 TLS failed: ")
    await end.put(b"q" * 400_000)  # more than a window: what comes is consumed
    assert not watch.closed
    assert not end.sink.resets
    end.pipe.end()
    await bell.until(lambda: watch.closed == [leg])
    await turns(3)
    listener.close()
