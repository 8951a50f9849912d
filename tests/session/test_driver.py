"""The driver: TLS, flushes, back-pressure, faults and ends, on a connection in memory."""

import asyncio
import socket
import ssl
from typing import Any

import pytest
from tests.kit.certs import Certs, make_certs
from tests.kit.clock import on_fake_clock, pass_time
from tests.kit.pipes import Bell, Recorder
from tests.kit.sessions import HEADER, MemoryTransport, Owner, Pair, Played, frame, typed

from portway.errors import ConnectError, RemoteProtocolError, SessionClosed
from portway.net.buffers import buffers
from portway.session import (
    OFFICIAL_GO,
    OFFICIAL_RUST,
    PORTWAY,
    STRICT,
    Profile,
    Role,
    Session,
    StreamType,
)
from portway.session.driver import LINGER, QUICK_ACK
from portway.wire.messages import Auth

ROLES = pytest.mark.parametrize("role", list(Role))


@on_fake_clock
async def test_tls_then_ready(certs: Certs) -> None:
    pair = Pair(certs)
    await pair.secure()
    assert pair.agent_owner.heard == pair.service_owner.heard == ["ready"]
    assert pair.agent.tls_version == pair.service.tls_version == "TLSv1.3"
    assert pair.agent.tls_cipher
    assert pair.agent.peer_certificate.startswith(b"\x30")
    assert pair.service.peername == "10.9.8.7:6543"
    assert "agent 10.9.8.7:6543 open" in repr(pair.agent)
    await pair.close()
    assert pair.agent_owner.closed == pair.service_owner.closed == [None]


@pytest.mark.row("S1")
@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_with_and_without_sni_and_without_alpn(certs: Certs, name: str, version: ssl.TLSVersion) -> None:
    """A client sends no SNI for an address. It trusts only the configured authority."""

    @on_fake_clock
    async def scenario() -> None:
        issued = make_certs()
        issued.client.maximum_version = version
        pair = Pair(issued, server_hostname=name)
        await pair.secure()
        assert pair.service.tls_version == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
        await pair.close()

    scenario()


@on_fake_clock
async def test_a_certificate_of_a_stranger_fails_at_the_tls_step(certs: Certs) -> None:
    pair = Pair(certs)
    pair.agent = Session(Role.AGENT, pair.agent_owner, make_certs().client, server_hostname="localhost")
    pair.agent_end = MemoryTransport(pair.agent)
    pair.join()
    with pytest.raises(ConnectError) as caught:
        await pair.agent.ready()
    assert caught.value.step == "tls"
    await pair.agent.wait_closed()
    await pair.service.wait_closed()
    assert pair.agent_owner.closed == [caught.value]
    assert isinstance(pair.service_owner.closed[0], ConnectError)  # the alert has arrived
    assert pair.service_owner.heard == ["closed"]


def test_a_name_that_no_server_can_have(certs: Certs) -> None:
    @on_fake_clock
    async def scenario() -> None:
        with pytest.raises(ConnectError):
            Session(Role.AGENT, Owner(), certs.client, server_hostname="")

    scenario()


@on_fake_clock
async def test_one_flush_a_turn(certs: Certs) -> None:
    """Frames of many streams share one write, one TLS record if they are small."""
    played = Played(certs, Role.SERVICE)
    await played.secure()
    played.session.admit(Auth())
    await played.until(lambda: len(played.peer.of(2)) == 2)
    before = played.session_end.written
    for _ in range(50):
        played.session.open_proxy(HEADER, Recorder(Bell()), b"x" * 100)
    await played.until(lambda: bool(played.peer.frames[-1][2] == 102))
    written = played.session_end.written - before
    frames = sum(8 + len(body) for _, _, number, body in played.peer.frames if number > 2)
    assert written - frames < 50  # a record costs 22 bytes: one or two were used
    await played.close()


class Options:
    """A socket that remembers which options were set."""

    def __init__(self) -> None:
        self.set: list[tuple[int, int]] = []

    def setsockopt(self, level: int, option: int, value: int) -> None:
        assert value == 1
        self.set.append((level, option))


@pytest.mark.skipif(QUICK_ACK is None, reason="an option of Linux")
@pytest.mark.parametrize("profile", [STRICT, OFFICIAL_RUST, OFFICIAL_GO, PORTWAY])
def test_who_holds_small_writes_back_is_acknowledged_at_once(certs: Certs, profile: Profile) -> None:
    """Else each answer of an agent that credits a request before it answers takes 40 ms more."""

    @on_fake_clock
    async def scenario() -> None:
        pair = Pair(certs)
        await pair.secure()
        options = Options()
        pair.service_end.extra["socket"] = options
        pair.service.configure(profile)
        await pair.agent.call(StreamType.AUTH, b"{}")
        assert set(options.set) <= {(socket.IPPROTO_TCP, QUICK_ACK)}
        assert bool(options.set) == (profile in (STRICT, OFFICIAL_RUST))
        await pair.close()

    scenario()


@on_fake_clock
async def test_a_full_transport_parks_the_writers_and_keeps_memory_flat(certs: Certs) -> None:
    played = Played(certs, Role.SERVICE)
    await played.secure()
    played.session.admit(Auth())
    played.session_end.fill()
    before = played.session_end.written
    sinks = [Recorder(played.bell) for _ in range(20)]
    streams = [played.session.open_proxy(HEADER, sink) for sink in sinks]
    taken = [stream.send(b"x" * 200_000) for stream in streams]
    assert sum(taken) < 600_000
    assert taken[-1] == 0
    await pass_time(1)
    assert played.session_end.written == before
    assert not any(sink.rooms for sink in sinks)
    played.session_end.empty()
    await played.until(lambda: all(sink.rooms for sink, n in zip(sinks, taken, strict=True) if n < 200_000))
    await played.close()
    assert buffers().areas.lent == 0


@on_fake_clock
async def test_a_peer_that_provokes_answers_and_reads_none_is_not_read(certs: Certs) -> None:
    """Half a megabyte of probes while nothing can be sent: the answers stay bounded, then all come."""
    played = Played(certs, Role.SERVICE)
    await played.secure()
    played.session.admit(Auth())
    played.session_end.fill()
    for number in range(3, 33, 2):
        played.peer.send(frame(1, 2, number, typed(StreamType.HEARTBEAT)))
        played.peer.send(*(frame(1, 0, number, bytes(4096)) for _ in range(8)))
    await pass_time(1)
    assert not played.session_end.is_reading()
    assert played.session.connection.output.answers < 65_536 + 262_144
    played.session_end.empty()
    ids = range(3, 33, 2)
    await played.until(lambda: all(len(played.peer.data(number)) == 32_768 for number in ids))
    assert played.session_end.is_reading()
    await played.close()


@pytest.mark.row("S8", "A12")
@ROLES
def test_close_sends_goaway_as_the_last_frame(certs: Certs, role: Role) -> None:
    @on_fake_clock
    async def scenario() -> None:
        played = Played(certs, role)
        await played.secure()
        first = 2 if role is Role.SERVICE else 3
        other = 5 - first
        played.peer.send(frame(1, 2, other, typed(StreamType.HEARTBEAT, b"beat")))
        await played.until(lambda: played.peer.data(other) == b"beat")
        played.session.start_heartbeats(10, 15)
        played.session.close()
        played.session.close()
        with pytest.raises(SessionClosed):
            await played.session.call(StreamType.AUTH, b"{}")
        assert played.owner.closed == []  # heard on the next turn
        await played.until(lambda: played.peer.ended)
        assert [f[:3] for f in played.peer.frames if f[2] == first] == [(1, 2, first), (1, 0, first)]
        kind, flags, number, body = played.peer.frames[-1]
        assert (kind, flags, number) == (3, 0, 0)
        assert body == other.to_bytes(4, "big") + bytes(4) + b"no error"
        assert played.owner.closed == [None]
        await played.close()

    scenario()


@pytest.mark.row("S8")
@on_fake_clock
async def test_a_peer_that_does_not_close_is_cut_after_a_moment(certs: Certs) -> None:
    played = Played(certs, Role.SERVICE)
    await played.secure()
    start = asyncio.get_running_loop().time()
    played.session.close(2, "on fire")
    await played.session.wait_closed()
    assert asyncio.get_running_loop().time() == pytest.approx(start + LINGER)
    assert played.peer.frames[-1][3][4:] == (2).to_bytes(4, "big") + b"on fire"
    assert str(played.owner.closed[0]) == "on fire"
    await played.close()


@on_fake_clock
async def test_close_gets_the_last_bytes_out_of_a_full_transport(certs: Certs) -> None:
    """What was written before close is sent before GOAWAY, paused or not."""
    played = Played(certs, Role.SERVICE)
    await played.secure()
    played.session.admit(Auth())
    stream = played.session.open_proxy(HEADER, Recorder(played.bell))
    played.session_end.fill()
    assert stream.send(b"last words") == 10
    stream.end()
    played.session.close()
    await played.until(lambda: played.peer.ended)
    assert played.peer.of(stream.id)[1:] == [(1, 0, b"last words"), (1, 1, b"")]
    assert played.peer.frames[-1][0] == 3
    await played.close()


@pytest.mark.row("S9")
@pytest.mark.parametrize("length", [0, 8, 0xFFFFFF])
def test_goaway_ends_the_session_whatever_its_length_says(certs: Certs, length: int) -> None:
    @on_fake_clock
    async def scenario() -> None:
        played = Played(certs, Role.SERVICE)
        await played.secure()
        head = length.to_bytes(3, "big") + b"\x30" + bytes(4)
        played.peer.send(head + bytes(4) + (1).to_bytes(4, "big") + b"invalid frame", frame(1, 2, 3, BEAT))
        await played.session.wait_closed()
        assert "invalid frame" in str(played.owner.closed[0])
        assert played.peer.frames == []  # nothing is answered
        await played.close()

    scenario()


BEAT = typed(StreamType.HEARTBEAT, b"beat")


@ROLES
@pytest.mark.parametrize("notify", [True, False])
def test_the_peer_closing_is_a_normal_end(
    certs: Certs, role: Role, notify: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """With or without TLS's close_notify."""

    @on_fake_clock
    async def scenario() -> None:
        played = Played(certs, role)
        await played.secure()
        if notify:
            played.peer.close_notify()
        else:
            played.peer.close()
        await played.until(lambda: bool(played.owner.closed))
        assert str(played.owner.closed[0]) == "the peer closed the connection"
        await played.session.wait_closed()
        await played.close()

    scenario()
    assert not caplog.records


@pytest.mark.row("S8")
@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (frame(0, 0, 3, b"12345"), 8),
        (frame(1, 2, 0, b"x"), 1),
        (frame(1, 2, 4, b"x"), 1),
        (frame(2, 0, 3, bytes(4)), 1),
    ],
)
def test_a_broken_rule_is_answered_with_goaway_and_its_code(certs: Certs, bad: bytes, code: int) -> None:
    @on_fake_clock
    async def scenario() -> None:
        played = Played(certs, Role.SERVICE)
        await played.secure()
        played.peer.send(bad, frame(1, 2, 5, BEAT))
        await played.until(lambda: played.peer.ended)
        assert [f[0] for f in played.peer.frames] == [3]
        assert int.from_bytes(played.peer.frames[0][3][4:8], "big") == code
        error = played.owner.closed[0]
        assert isinstance(error, RemoteProtocolError)
        assert error.code == code
        await played.close()

    scenario()


@on_fake_clock
async def test_broken_tls_ends_the_session(certs: Certs) -> None:
    played = Played(certs, Role.SERVICE)
    await played.secure()
    played.peer_end.write(b"GET / HTTP/1.1\r\n\r\n")
    await played.session.wait_closed()
    assert isinstance(played.owner.closed[0], ConnectError)
    await played.close()


@on_fake_clock
async def test_garbage_instead_of_tls_ends_the_session(certs: Certs) -> None:
    pair = Pair(certs)
    pair.service_end.join(pair.agent_end)
    pair.agent_end.join_silently(pair.service_end)
    pair.agent_end.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await pair.service.wait_closed()
    error = pair.service_owner.closed[0]
    assert isinstance(error, ConnectError)
    assert error.step == "tls"
    pair.agent.close()


@pytest.mark.parametrize("politely", [True, False])
def test_an_end_before_the_socket_exists(certs: Certs, politely: bool) -> None:
    @on_fake_clock
    async def scenario() -> None:
        owner = Owner()
        session = Session(Role.AGENT, owner, certs.client, server_hostname="localhost")
        session.close() if politely else session.abort(SessionClosed("given up"))
        await session.wait_closed()
        with pytest.raises(SessionClosed):
            await session.ready()
        late = MemoryTransport(session)
        late.join(MemoryTransport(Pair(certs).service))
        assert late.is_closing()
        assert len(owner.closed) == 1

    scenario()


@on_fake_clock
async def test_abort_says_nothing_and_resets_every_sink(certs: Certs) -> None:
    played = Played(certs, Role.SERVICE)
    await played.secure()
    played.session.admit(Auth())
    sinks = [Recorder(played.bell) for _ in range(3)]
    for sink in sinks:
        played.session.open_proxy(HEADER, sink)
    cause = SessionClosed("the authtoken was revoked")
    played.session.abort(cause)
    assert [sink.resets for sink in sinks] == [[14]] * 3
    await played.session.wait_closed()
    assert played.owner.closed == [cause]
    assert not [f for f in played.peer.frames if f[0] == 3]
    await played.close()


@on_fake_clock
async def test_a_timer_is_kept_while_it_fires_early_enough(certs: Certs) -> None:
    """Frames that come in do not move the timer: it arms itself again when it has fired too early."""
    played = Played(certs, Role.SERVICE)
    await played.secure()
    loop: Any = asyncio.get_running_loop()
    played.session.start_heartbeats(10, 15)
    played.peer.send(frame(1, 2, 3, BEAT))
    await played.until(lambda: played.peer.data(3) == b"beat")
    armed = len(loop._scheduled)
    for _ in range(100):
        played.peer.send(frame(1, 0, 3, b"beat"))
        await pass_time(0.01)
    assert len(loop._scheduled) <= armed + 1
    await played.close()
