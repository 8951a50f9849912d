"""TLS between a Pipe and a Sink: the suite of all Pipes, then what only TLS can get wrong."""

import asyncio
import ssl
from collections.abc import Callable

import pytest
import pytest_asyncio
from tests.kit import mutual
from tests.kit.certificates import Authority
from tests.kit.certs import Certs, make_certs
from tests.kit.pipes import Bell, End, Ends, PipeContract, Recorder, spin_until, turns

from portway.errors import ConnectError
from portway.net import tls_filter
from portway.net.memory import MemoryPipe, memory_pair
from portway.net.tls import TlsPump
from portway.net.tls_filter import TlsFilter
from portway.pipe import Sink


@pytest.fixture(scope="module")
def certs() -> Certs:
    """Return the certificates of this module."""
    return make_certs()


class Side:
    """One end of TLS: a filter over its end of a memory pair, and who is served."""

    def __init__(
        self, pipe: MemoryPipe, pump: TlsPump, bell: Bell, *, serves: bool = True, timeout: float = 60.0
    ) -> None:
        self.sink = Recorder(bell)
        self.begun = 0
        self.failed: ConnectError | None = None
        self.filter = TlsFilter(
            pipe, pump, self._begin if serves else self._refuse, timeout=timeout, on_failed=self._on_failed
        )
        self.sink.pipe = self.filter
        pipe.attach(self.filter)

    def _begin(self, pipe: TlsFilter) -> Sink:
        assert pipe is self.filter
        self.begun += 1
        return self.sink

    def _refuse(self, pipe: TlsFilter) -> Sink | None:
        self.begun += 1
        return None

    def _on_failed(self, error: ConnectError) -> None:
        self.failed = error


def joined(certs: Certs, bell: Bell) -> tuple[Side, Side]:
    """Return server and client, before their handshake."""
    one, two = memory_pair()
    server = Side(one, TlsPump(certs.server, server_side=True), bell)
    client = Side(two, TlsPump(certs.client, server_side=False, server_hostname="localhost"), bell)
    client.filter.start()
    return server, client


async def secured(certs: Certs, bell: Bell) -> tuple[Side, Side]:
    """Return server and client after their handshake, tickets and all."""
    server, client = joined(certs, bell)
    await spin_until(lambda: bool(server.begun and client.begun))
    await turns(20)
    return server, client


class TestServerAsPipe(PipeContract):
    """The contract; A is the server."""

    carries_codes = True

    @pytest_asyncio.fixture
    async def ends(self, certs: Certs) -> Ends:
        """Join two ends."""
        bell = Bell()
        server, client = await secured(certs, bell)
        return Ends(End(server.filter, server.sink), End(client.filter, client.sink), bell)


class Raw:
    """A visitor whose TLS is in the test's hands: a pump at the other end of the pair."""

    def __init__(self, context: ssl.SSLContext, certs: Certs, bell: Bell, **options: object) -> None:
        self.server_pipe, self.pipe = memory_pair()
        self.side = Side(self.server_pipe, TlsPump(certs.server, server_side=True), bell, **options)  # type: ignore[arg-type]
        self.pump = TlsPump(context, server_side=False, server_hostname="localhost")
        self.sink = Recorder(bell)
        self.sink.pipe = self.pipe
        self.seen = 0
        self.pipe.attach(self.sink)

    def turn(self) -> None:
        """Read what came and answer."""
        self.pump.received(bytes(self.sink.data[self.seen :]))
        self.seen = len(self.sink.data)
        if not self.pump.secure:
            self.pump.handshake()
        else:
            self.pump.read_into(memoryview(bytearray(65_536)))
        if self.pump.has_output:
            assert self.pipe.send(out := self.pump.output()) == len(out)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Go on until something is so."""

        def look() -> bool:
            self.turn()
            return condition()

        await spin_until(look)


@pytest.fixture
def bell() -> Bell:
    """Return a bell."""
    return Bell()


async def test_nobody_is_asked_to_serve_before_the_handshake_is_complete(certs: Certs, bell: Bell) -> None:
    raw = Raw(certs.client, certs, bell)
    raw.pump.handshake()
    hello = raw.pump.output()
    for byte in hello:
        assert raw.side.begun == 0
        assert raw.pipe.send(bytes((byte,))) == 1
        await turns(2)
    await raw.until(lambda: raw.side.begun == 1)
    assert raw.side.filter.agreed.version == "TLSv1.3"
    assert "secure" in repr(raw.side.filter)


async def test_what_precedes_comes_first_and_needs_no_credit_of_the_stream(certs: Certs, bell: Bell) -> None:
    raw = Raw(certs.client, certs, bell)
    raw.side.sink.consuming = False
    raw.side.filter.precede(b"PROXY UNKNOWN\r\n")
    await raw.until(lambda: raw.side.begun == 1)
    raw.pump.write(b"hello")
    await raw.until(lambda: raw.side.sink.data.endswith(b"hello"))
    assert raw.side.sink.data == b"PROXY UNKNOWN\r\nhello"
    raw.side.sink.consume_all()
    assert raw.server_pipe.consumed == raw.server_pipe.received


async def test_a_handshake_that_fails_is_told_by_an_alert_and_the_end(certs: Certs, bell: Bell) -> None:
    raw = Raw(certs.client, certs, bell)
    assert raw.pipe.send(b"GET / HTTP/1.1\r\n\r\n" * 4)
    await spin_until(lambda: raw.sink.ends == 1)
    assert isinstance(raw.side.failed, ConnectError)
    assert raw.side.begun == 0
    raw.pipe.end()  # the visitor has read it
    await spin_until(lambda: raw.side.filter.over)
    assert repr(raw.side.filter).startswith("<TlsFilter over")


async def test_a_client_without_a_certificate_is_told_so(certs: Certs, bell: Bell) -> None:
    context = Authority().server_context("localhost")
    context.load_verify_locations(cadata=mutual.authority().pem.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    one, two = memory_pair()
    server = Side(one, TlsPump(context, server_side=True), bell)
    visitor = Side(two, TlsPump(client, server_side=False, server_hostname="localhost"), bell)
    visitor.filter.start()
    await spin_until(lambda: server.failed is not None and bool(visitor.sink.resets))
    assert server.begun == 0


async def test_a_fault_in_the_middle_resets_whoever_serves(certs: Certs, bell: Bell) -> None:
    raw = Raw(certs.client, certs, bell)
    await raw.until(lambda: raw.side.begun == 1)
    raw.pump.write(b"hello")
    cipher = bytearray(raw.pump.output())
    cipher[-1] ^= 1
    raw.pipe.send(cipher)
    await spin_until(lambda: bool(raw.side.sink.resets) and raw.sink.ends == 1)
    assert raw.side.sink.resets == [6]
    assert not raw.side.sink.data
    assert raw.side.filter.lend() is None
    assert raw.side.filter.send(b"x") == 0
    raw.pipe.send(b"junk" * 1000)
    await turns(20)
    assert raw.server_pipe.consumed == raw.server_pipe.received  # dropped, and its credit given back


async def test_who_goes_on_and_on_behind_a_fault_is_cut(
    certs: Certs, bell: Bell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_filter, "DISCARD", 10_000)
    raw = Raw(certs.client, certs, bell)
    raw.pipe.send(b"\0" * 5)
    for _ in range(3):
        raw.pipe.send(b"\0" * 5_000)
    await spin_until(lambda: bool(raw.sink.resets))


async def test_a_handshake_that_takes_too_long_fails(
    certs: Certs, bell: Bell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_filter, "LINGER", 0.01)
    raw = Raw(certs.client, certs, bell, timeout=0.01)
    async with asyncio.timeout(10):
        await bell.until(lambda: bool(raw.sink.resets))
    assert "within" in str(raw.side.failed)
    assert raw.sink.ends == 1


async def test_a_visitor_that_ends_in_its_handshake_is_nobodys(certs: Certs, bell: Bell) -> None:
    raw = Raw(certs.client, certs, bell)
    raw.pump.handshake()
    raw.pipe.send(raw.pump.output()[:50])
    raw.pipe.end()
    await spin_until(lambda: raw.side.failed is not None)
    assert raw.side.begun == 0
    raw.side.filter.abort()


async def test_an_end_without_a_close_notify_is_an_end(certs: Certs, bell: Bell) -> None:
    raw = Raw(certs.client, certs, bell)
    await raw.until(lambda: raw.side.begun == 1)
    raw.pump.write(b"last")
    await raw.until(lambda: bytes(raw.side.sink.data) == b"last")
    raw.pipe.end()
    await spin_until(lambda: raw.side.sink.ends == 1)
    assert raw.side.filter.send(b"answer") == 6
    raw.side.filter.end()
    await spin_until(lambda: raw.sink.ends == 1)


async def test_what_follows_a_close_notify_is_dropped(certs: Certs, bell: Bell) -> None:
    raw = Raw(certs.client, certs, bell)
    await raw.until(lambda: raw.side.begun == 1)
    raw.pump.close_notify()
    raw.pipe.send(raw.pump.output() + b"and more")
    await spin_until(lambda: raw.side.sink.ends == 1)
    raw.pipe.send(b"and more")
    raw.pipe.end()
    await turns(20)
    assert raw.side.sink.ends == 1
    assert not raw.side.sink.resets
    raw.side.filter.abort()


async def test_a_visitor_that_is_refused_is_cut(certs: Certs, bell: Bell) -> None:
    raw = Raw(certs.client, certs, bell, serves=False)
    await raw.until(lambda: bool(raw.sink.resets))
    assert raw.side.begun == 1


async def test_a_reset_before_the_handshake_is_complete_reaches_nobody(certs: Certs, bell: Bell) -> None:
    raw = Raw(certs.client, certs, bell)
    raw.pipe.abort(7)
    await spin_until(lambda: raw.side.filter.over)
    assert not raw.side.sink.resets
    raw.side.filter.abort()
    raw.side.filter.on_end()
    raw.side.filter.on_room()
