"""Auth from both sides, and what is allowed before it."""

import asyncio
import json

import pytest
from tests.kit.certs import Certs
from tests.kit.clock import on_fake_clock, pass_time
from tests.kit.sessions import Pair, Played, frame, typed

from portway.errors import ConnectError, Error, SessionClosed
from portway.session import PORTWAY, Role, Session, StreamType, authenticate
from portway.session.handshake import AUTH_TIMEOUT, REFUSED_LINGER, Gate
from portway.wire.messages import (
    Auth,
    AuthExtra,
    AuthResp,
    AuthRespExtra,
    SrvInfoResp,
    decode,
    encode,
)
from portway.wire.profile import OFFICIAL_GO, OFFICIAL_RUST, OFFICIAL_SERVICE


async def serve(session: Session, kind: int, body: bytes) -> bytes:
    """Answer as a service of one account whose only authtoken is "good"."""
    if kind == StreamType.SRV_INFO:
        return encode(SrvInfoResp(region="local"))
    auth = decode(Auth, body)
    if auth.extra.authtoken != "good":
        raise Error("The authtoken is wrong.", 107)
    session.admit(auth)
    return encode(AuthResp(client_id="c1", extra=AuthRespExtra(version="portway/9.9")))


def agent_auth(token: str = "good", user_agent: str = "app/1 portway/9.9") -> Auth:
    """Return what an agent says of itself."""
    return Auth(extra=AuthExtra(authtoken=token, user_agent=user_agent))


@on_fake_clock
async def test_an_agent_authenticates(certs: Certs) -> None:
    pair = Pair(certs)
    pair.service_owner.answer = serve
    pair.join()
    answer = await authenticate(pair.agent, agent_auth())
    assert answer.client_id == "c1"
    assert pair.agent.connection.profile is pair.service.connection.profile is PORTWAY
    await pass_time(AUTH_TIMEOUT * 10)
    assert not pair.agent.closed
    assert not pair.service.closed
    assert len(pair.agent_owner.latencies) > 10
    assert len(pair.service_owner.latencies) > 10
    await pair.close()


@on_fake_clock
async def test_a_refused_agent_hears_why_and_is_closed_soon(certs: Certs) -> None:
    pair = Pair(certs)
    pair.service_owner.answer = serve
    pair.join()
    start = asyncio.get_running_loop().time()
    with pytest.raises(Error) as caught:
        await authenticate(pair.agent, agent_auth("bad"))
    assert caught.value.code == "ERR_NGROK_107"
    assert caught.value.message == "The authtoken is wrong."
    await pair.bell.until(lambda: bool(pair.service_owner.closed))
    assert asyncio.get_running_loop().time() == pytest.approx(start + REFUSED_LINGER)
    await pair.close()


@pytest.mark.row("A1", "A3", "S2")
@on_fake_clock
async def test_an_agent_opens_its_heartbeat_then_auth(certs: Certs) -> None:
    """Without waiting for anything; odd ids from 3; the same on a service that is not ours."""
    played = Played(certs, Role.AGENT)
    asking = asyncio.ensure_future(authenticate(played.session, agent_auth()))
    await played.secure()
    await played.until(lambda: bool(played.peer.of(5)))
    assert played.peer.of(3)[0] == (1, 2, typed(StreamType.HEARTBEAT))
    assert played.peer.of(5) == [(1, 2, typed(StreamType.AUTH, encode(agent_auth())))]
    played.peer.send(frame(1, 0, 5, b'{"clientid":"x","Extra":null}'))
    assert (await asking).client_id == "x"
    assert played.session.connection.profile is OFFICIAL_SERVICE
    await played.close()


@on_fake_clock
async def test_an_agent_gives_up_a_silent_service(certs: Certs) -> None:
    played = Played(certs, Role.AGENT)
    await played.secure()
    start = asyncio.get_running_loop().time()
    with pytest.raises(ConnectError, match="no answer to Auth within 7 s") as caught:
        await authenticate(played.session, agent_auth(), timeout=7)
    assert caught.value.step == "muxado"
    assert asyncio.get_running_loop().time() == start + 7
    await played.close()


@on_fake_clock
async def test_an_agent_gives_up_a_service_that_does_not_speak_tls(certs: Certs) -> None:
    pair = Pair(certs)
    pair.agent_end.join(pair.service_end)  # the other end never begins
    with pytest.raises(ConnectError, match="no answer"):
        await authenticate(pair.agent, agent_auth())
    pair.agent.close()
    await pair.agent.wait_closed()
    pair.service.close()


@on_fake_clock
async def test_an_agent_hears_of_a_session_that_ends_meanwhile(certs: Certs) -> None:
    played = Played(certs, Role.AGENT)
    await played.secure()
    asking = asyncio.ensure_future(authenticate(played.session, agent_auth()))
    await played.until(lambda: bool(played.peer.of(5)))
    played.peer.close()
    with pytest.raises(SessionClosed):
        await asking
    await played.close()


# -- the gate ------------------------------------------------------------------------------------------


@pytest.mark.row("S19")
@on_fake_clock
async def test_srv_info_is_answered_before_auth_and_all_else_is_refused(certs: Certs) -> None:
    played = Played(certs, Role.SERVICE)
    played.owner.answer = serve
    await played.secure()
    others = (1, 2, 7, 10)
    played.peer.send(frame(1, 2, 3, typed(StreamType.SRV_INFO)), frame(1, 0, 3, b"{}\n"))
    played.peer.send(*(frame(1, 2, 11 + 2 * kind, typed(kind, b"{}")) for kind in others))
    await played.until(lambda: all(played.peer.data(11 + 2 * kind) for kind in others))
    assert played.peer.of(3) == [(1, 0, b'{"Region":"local"}'), (1, 1, b"")]
    for kind in others:
        assert "not authenticated" in json.loads(played.peer.data(11 + 2 * kind))["Error"]
        assert played.peer.of(11 + 2 * kind)[-1] == (1, 1, b"")
    assert [kind for kind, _ in played.owner.requests] == [StreamType.SRV_INFO]
    await played.close()


@pytest.mark.row("S19")
@on_fake_clock
async def test_a_session_that_never_authenticates_is_closed(certs: Certs) -> None:
    """Fifteen seconds from the connection, whatever it does meanwhile, SrvInfo included."""
    played = Played(certs, Role.SERVICE)
    played.owner.answer = serve
    start = asyncio.get_running_loop().time()
    await played.secure()
    played.peer.send(frame(1, 2, 3, typed(StreamType.HEARTBEAT)))
    for second in range(14):
        await pass_time(1)
        played.peer.send(frame(1, 2, 5 + 2 * second, typed(StreamType.SRV_INFO, b"{}")))
    assert not played.session.closed
    await played.until(lambda: bool(played.owner.closed))
    assert asyncio.get_running_loop().time() == start + AUTH_TIMEOUT
    assert "did not authenticate" in str(played.owner.closed[0])
    assert played.peer.frames[-1][0] == 3
    await played.close()


@on_fake_clock
async def test_a_connection_without_tls_is_closed_too(certs: Certs) -> None:
    pair = Pair(certs)
    pair.service_end.join(pair.agent_end)
    start = asyncio.get_running_loop().time()
    await pair.service.wait_closed()
    assert start + AUTH_TIMEOUT <= asyncio.get_running_loop().time() < start + AUTH_TIMEOUT + 1
    pair.agent.close()


@pytest.mark.row("S2")
@pytest.mark.parametrize(("beat", "auth"), [(3, 5), (5, 3)])
def test_heartbeat_and_auth_may_come_in_any_order(certs: Certs, beat: int, auth: int) -> None:
    @on_fake_clock
    async def scenario() -> None:
        played = Played(certs, Role.SERVICE)
        played.owner.answer = serve
        await played.secure()
        played.peer.send(
            frame(1, 2, 3, typed(StreamType.HEARTBEAT if beat == 3 else StreamType.AUTH)),
            frame(1, 2, 5, typed(StreamType.HEARTBEAT if beat == 5 else StreamType.AUTH)),
            frame(1, 0, beat, b"beat"),
            frame(1, 0, auth, encode(agent_auth())),
        )
        await played.until(lambda: (1, 1, b"") in played.peer.of(auth))
        assert json.loads(played.peer.data(auth))["ClientId"] == "c1"
        assert played.peer.data(beat) == b"beat"
        await played.close()

    scenario()


@pytest.mark.parametrize(
    ("user_agent", "profile"),
    [
        ("ngrok-python/1.4.0 ngrok-rust/0.14.0-pre.14", OFFICIAL_RUST),
        ("my#app-x/1.2.3 (one; two) ngrok-go/2.1.1", OFFICIAL_GO),
        ("app/1 portway/0.1.0", PORTWAY),
    ],
)
def test_auth_chooses_the_profile(certs: Certs, user_agent: str, profile: object) -> None:
    @on_fake_clock
    async def scenario() -> None:
        pair = Pair(certs)
        pair.service_owner.answer = serve
        pair.join()
        await authenticate(pair.agent, agent_auth(user_agent=user_agent))
        assert pair.service.connection.profile is profile
        await pair.close()

    scenario()


def test_the_gate_lets_one_auth_through() -> None:
    gate = Gate(100.0)
    assert gate.refuse(StreamType.AUTH) is None
    assert "already" in str(gate.refuse(StreamType.AUTH))
    gate.open()
    assert gate.refuse(StreamType.BIND) is None
    assert gate.refuse(StreamType.AUTH) is not None
    gate.answered(StreamType.AUTH, 101.0)
    assert gate.deadline is None


def test_the_gate_never_gives_a_refused_agent_more_time_than_it_had() -> None:
    gate = Gate(100.0)
    gate.answered(StreamType.SRV_INFO, 114.5)
    gate.answered(StreamType.AUTH, 114.5)
    assert gate.deadline == 115.0
