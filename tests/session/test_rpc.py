"""Requests both ways: what goes over the wire, what comes back, what can go wrong."""

import asyncio
import json

import pytest
from tests.kit.certs import Certs
from tests.kit.clock import on_fake_clock, pass_time
from tests.kit.sessions import Pair, Played, frame, typed

from portway.errors import Error, MessageError, PortwayError, SessionClosed, StreamReset
from portway.session import Role, Session, StreamType
from portway.session.rpc import CALL_TIMEOUT, NOTICE_LINGER
from portway.wire.messages import Auth

STOP, AUTH, BIND = StreamType.STOP, StreamType.AUTH, StreamType.BIND


# -- asking --------------------------------------------------------------------------------------------


@pytest.mark.row("S4", "S28")
@on_fake_clock
async def test_a_service_asks_in_one_frame_and_frees_the_stream(certs: Certs) -> None:
    """One value is the whole answer: no FIN is waited for. Then FIN and RST 6."""
    played = Played(certs, Role.SERVICE)
    await played.secure()
    asking = asyncio.ensure_future(played.session.call(STOP, b"{}"))
    await played.until(lambda: bool(played.peer.of(2)))
    assert played.peer.of(2) == [(1, 2, typed(STOP, b"{}"))]
    played.peer.send(frame(1, 0, 2, b' {"Err'), frame(1, 0, 2, b'or":"}"}\n'))
    assert json.loads(await asking) == {"Error": "}"}
    await played.until(lambda: len(played.peer.of(2)) == 3)
    assert played.peer.of(2)[1:] == [(1, 1, b""), (0, 0, (6).to_bytes(4, "big"))]
    await played.close()


@pytest.mark.row("A1", "A5")
@pytest.mark.parametrize("fin", [0, 1])
def test_an_agent_asks_and_does_not_end_before_the_answer(certs: Certs, fin: int) -> None:
    @on_fake_clock
    async def scenario() -> None:
        played = Played(certs, Role.AGENT)
        await played.secure()
        asking = asyncio.ensure_future(played.session.call(AUTH, b'{"a":1}'))
        await played.until(lambda: bool(played.peer.of(3)))
        await pass_time(100)
        assert played.peer.of(3) == [(1, 2, typed(AUTH, b'{"a":1}'))]
        played.peer.send(frame(1, fin, 3, b'{"b":2}'))
        assert await asking == b'{"b":2}'
        await played.until(lambda: len(played.peer.of(3)) == 2)
        assert played.peer.of(3)[1] == (1, 1, b"")
        played.peer.send(frame(1, 1, 3)) if not fin else None
        asking = asyncio.ensure_future(played.session.call(BIND, b"{}"))
        await played.until(lambda: bool(played.peer.of(5)))  # odd ids, two apart
        asking.cancel()
        await played.close()

    scenario()


@pytest.mark.row("S28")
@on_fake_clock
async def test_a_service_waits_ten_seconds(certs: Certs) -> None:
    played = Played(certs, Role.SERVICE)
    await played.secure()
    start = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError):
        await played.session.call(STOP, b"{}")
    assert asyncio.get_running_loop().time() == pytest.approx(start + CALL_TIMEOUT)
    await played.until(lambda: len(played.peer.of(2)) == 3)
    assert not played.session.closed
    await played.close()


@pytest.mark.parametrize(
    ("frames", "error"),
    [
        ([frame(1, 0, 2, b"[]")], MessageError),
        ([frame(1, 1, 2, b'{"a"')], MessageError),
        ([frame(1, 1, 2)], MessageError),
        ([frame(1, 0, 2, b'{"a":"' + b"x" * 65_536)], MessageError),
        ([frame(0, 0, 2, (5).to_bytes(4, "big"))], StreamReset),
    ],
)
def test_what_is_no_answer_is_an_error_of_the_call_alone(
    certs: Certs, frames: list[bytes], error: type[PortwayError]
) -> None:
    @on_fake_clock
    async def scenario() -> None:
        played = Played(certs, Role.SERVICE)
        await played.secure()
        asking = asyncio.ensure_future(played.session.call(STOP, b"{}"))
        await played.until(lambda: bool(played.peer.of(2)))
        played.peer.send(*frames)
        with pytest.raises(error):
            await asking
        assert not played.session.closed
        await played.close()

    scenario()


@on_fake_clock
async def test_calls_fail_when_the_session_ends(certs: Certs) -> None:
    played = Played(certs, Role.AGENT)
    await played.secure()
    asking = asyncio.ensure_future(played.session.call(BIND, b"{}"))
    await played.until(lambda: bool(played.peer.of(3)))
    played.peer.close()
    with pytest.raises(SessionClosed):
        await asking
    with pytest.raises(SessionClosed):
        await played.session.call(BIND, b"{}")
    await played.close()


@on_fake_clock
async def test_a_cancelled_call_cuts_its_stream(certs: Certs) -> None:
    played = Played(certs, Role.AGENT)
    await played.secure()
    asking = asyncio.ensure_future(played.session.call(BIND, b"{}"))
    await played.until(lambda: bool(played.peer.of(3)))
    asking.cancel()
    await played.until(lambda: (0, 0, (6).to_bytes(4, "big")) in played.peer.of(3))
    await played.close()


@on_fake_clock
async def test_a_request_that_fits_no_frame_is_refused_here(certs: Certs) -> None:
    played = Played(certs, Role.AGENT)
    await played.secure()
    with pytest.raises(MessageError, match="too long"):
        await played.session.call(BIND, b" " * 65_533)
    await played.close()


@on_fake_clock
async def test_many_requests_at_once(certs: Certs) -> None:
    pair = Pair(certs)

    async def answer(session: Session, kind: int, body: bytes) -> bytes:
        number: int = json.loads(body)["n"]
        await pass_time((number * 7) % 5)
        return json.dumps({"n": number, "pad": "x" * number * 200}).encode()

    pair.service_owner.answer = answer
    await pair.secure()
    pair.service.admit(Auth())
    answers = await asyncio.gather(*(pair.agent.call(BIND, b'{"n":%d}' % n) for n in range(100)))
    assert [json.loads(body)["n"] for body in answers] == list(range(100))
    await pair.bell.until(lambda: pair.service.connection.streams == 1)  # the heartbeat
    assert pair.agent.connection.streams == 1
    await pair.close()


# -- answering -----------------------------------------------------------------------------------------


@pytest.mark.row("S17", "S16")
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_service_answers_without_waiting_for_fin_and_sends_fin(certs: Certs, end: bytes) -> None:
    @on_fake_clock
    async def scenario() -> None:
        played = Played(certs, Role.SERVICE)
        await played.secure()
        played.session.admit(Auth())
        played.peer.send(frame(1, 2, 3, typed(BIND)), frame(1, 0, 3, b'{"Id":""}' + end))
        await played.until(lambda: len(played.peer.of(3)) == 2)
        assert played.peer.of(3) == [(1, 0, b"{}"), (1, 1, b"")]
        assert played.owner.requests == [(BIND, b'{"Id":""}')]
        await played.close()

    scenario()


@pytest.mark.row("S16")
@on_fake_clock
async def test_a_request_may_come_byte_by_byte(certs: Certs) -> None:
    played = Played(certs, Role.SERVICE)
    await played.secure()
    played.session.admit(Auth())
    opening = typed(BIND, b'{"Id":"}"}')
    played.peer.send(frame(1, 2, 3))
    for byte in opening:
        played.peer.send(frame(1, 0, 3, bytes([byte])))
    await played.until(lambda: len(played.peer.of(3)) == 2)
    assert played.owner.requests == [(BIND, b'{"Id":"}"}')]
    await played.close()


@pytest.mark.row("A13")
@pytest.mark.parametrize("kind", [StreamType.STOP, StreamType.RESTART, StreamType.UPDATE])
def test_an_agent_answers_commands_with_one_object_and_fin(certs: Certs, kind: StreamType) -> None:
    @on_fake_clock
    async def scenario() -> None:
        played = Played(certs, Role.AGENT)
        await played.secure()
        played.peer.send(frame(1, 2, 2, typed(kind, b"{}")))
        await played.until(lambda: len(played.peer.of(2)) == 2)
        assert played.peer.of(2) == [(1, 0, b"{}"), (1, 1, b"")]
        await played.close()

    scenario()


@pytest.mark.row("A13")
@on_fake_clock
async def test_an_agent_ends_a_stop_tunnel_without_an_answer(certs: Certs) -> None:
    """Even when its handler fails or the message is unreadable."""

    async def fail(session: Session, kind: int, body: bytes) -> bytes:
        raise Error("no")

    played = Played(certs, Role.AGENT)
    await played.secure()
    played.owner.answer = fail
    played.peer.send(
        frame(1, 2, 2, typed(StreamType.STOP_TUNNEL, b"{}")),
        frame(1, 2, 4, typed(StreamType.STOP_TUNNEL, b"[]")),
    )
    await played.until(lambda: bool(played.peer.of(2) and played.peer.of(4)))
    assert played.peer.of(2) == played.peer.of(4) == [(1, 1, b"")]
    await played.close()


@pytest.mark.row("S27")
@on_fake_clock
async def test_refusals_and_faults_of_a_handler_are_answers(
    certs: Certs, caplog: pytest.LogCaptureFixture
) -> None:
    faults: list[Exception] = [Error("Taken.", 334), MessageError("Bind.Id: wrong"), ValueError("secret")]

    async def fail(session: Session, kind: int, body: bytes) -> bytes:
        raise faults[len(played.owner.requests) - 1]

    played = Played(certs, Role.SERVICE)
    await played.secure()
    played.session.admit(Auth())
    played.owner.answer = fail
    texts: list[str] = []
    for number in (3, 5, 7):
        played.peer.send(frame(1, 2, number, typed(BIND, b"{}")))
        await played.until(lambda number=number: len(played.peer.of(number)) == 2)
        texts.append(json.loads(played.peer.data(number))["Error"])
    assert texts == ["Taken.\r\n\r\nERR_NGROK_334\r\n", "Bind.Id: wrong", "An internal error occurred."]
    assert "ValueError: secret" in caplog.text
    assert not played.session.closed
    await played.close()


@pytest.mark.row("S16")
@pytest.mark.parametrize(
    "body", [b"[1]", b'{"a":' * 20 + b"1", b'{"a":"' + b"x" * 70_000], ids=["list", "deep", "long"]
)
def test_an_unreadable_request_is_refused_and_the_session_lives(certs: Certs, body: bytes) -> None:
    @on_fake_clock
    async def scenario() -> None:
        played = Played(certs, Role.SERVICE)
        await played.secure()
        played.session.admit(Auth())
        played.peer.send(frame(1, 2, 3, typed(BIND, body)))
        await played.until(lambda: len([f for f in played.peer.of(3) if f[0] == 1]) == 2)  # beside credit
        assert json.loads(played.peer.data(3))["Error"]
        assert played.owner.requests == []
        assert not played.session.closed
        await played.close()

    scenario()


@on_fake_clock
async def test_running_requests_are_cancelled_when_the_session_ends(certs: Certs) -> None:
    seen: list[str] = []

    async def hang(session: Session, kind: int, body: bytes) -> bytes:
        try:
            await pass_time(1000)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        return b"{}"

    played = Played(certs, Role.SERVICE)
    await played.secure()
    played.session.admit(Auth())
    played.owner.answer = hang
    played.peer.send(frame(1, 2, 3, typed(BIND, b"{}")))
    await played.until(lambda: bool(played.owner.requests))
    await played.close()
    assert seen == ["cancelled"]


@on_fake_clock
async def test_a_long_answer_waits_for_credit(certs: Certs) -> None:
    answer = b'{"a":"' + b"x" * 300_000 + b'"}'

    async def long(session: Session, kind: int, body: bytes) -> bytes:
        return answer

    played = Played(certs, Role.SERVICE)
    await played.secure()
    played.session.admit(Auth())
    played.owner.answer = long
    played.peer.send(frame(1, 2, 3, typed(BIND, b"{}")))
    await played.until(lambda: len(played.peer.data(3)) == 262_144)
    played.peer.send(frame(2, 0, 3, (262_144).to_bytes(4, "big")))
    await played.until(lambda: (1, 1, b"") in played.peer.of(3))
    assert played.peer.data(3) == answer
    await played.close()


# -- notices -------------------------------------------------------------------------------------------


@pytest.mark.row("S4", "S29")
@on_fake_clock
async def test_a_notice_expects_no_answer_and_frees_its_stream_in_the_end(certs: Certs) -> None:
    played = Played(certs, Role.SERVICE)
    await played.secure()
    for _ in range(2):
        played.session.notify(StreamType.STOP_TUNNEL, b'{"Id":"b"}')
    await played.until(lambda: bool(played.peer.of(4)))
    assert played.peer.of(2) == [(1, 2, typed(StreamType.STOP_TUNNEL, b'{"Id":"b"}'))]
    played.peer.send(frame(1, 1, 2))  # one agent ends the stream,
    await played.until(lambda: played.peer.of(2)[1:] == [(1, 1, b"")])
    assert len(played.peer.of(4)) == 1  # another leaves it half open
    await pass_time(NOTICE_LINGER)
    await played.until(lambda: len(played.peer.of(4)) == 3)
    assert played.peer.of(4)[1:] == [(1, 1, b""), (0, 0, (6).to_bytes(4, "big"))]
    assert len(played.peer.of(2)) == 2
    await played.close()
