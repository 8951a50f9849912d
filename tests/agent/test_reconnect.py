"""Losing a session: what comes back, in which order it is told, and when it is over."""

import asyncio
import json
import socket
from pathlib import Path

import pytest
from tests.kit.fake_service import Arrived, FakeService, agent_of, refusing
from tests.kit.pipes import Bell, Recorder
from tests.kit.traffic import echo
from tests.kit.traffic import server as upstream

from portway import (
    Agent,
    AgentConnectSucceeded,
    AgentDisconnected,
    Endpoint,
    Error,
    Event,
    ListenerClosed,
    NotConnected,
    SessionClosed,
    Upstream,
)
from portway.agent.reconnect import FINAL, is_final
from portway.errors import ConnectError
from portway.wire.messages import Bind, BindResp


class Diary:
    """An event handler that writes down what the agent says of its session."""

    def __init__(self) -> None:
        self.bell = Bell()
        self.lines: list[str] = []
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        match event:
            case AgentConnectSucceeded():
                self.lines.append(f"connected {event.session.id}")
            case AgentDisconnected():
                name = type(event.error).__name__ if event.error else "None"
                self.lines.append(f"disconnected {event.session.id if event.session else '-'} {name}")
            case _:
                return
        self.events.append(event)
        self.bell.ring()

    async def until(self, last: str) -> None:
        """Wait until this line was written last."""
        await self.bell.until(lambda: bool(self.lines) and self.lines[-1] == last)


@pytest.mark.row("G-047", "G-153", "G-154", "G-074", "A9", "A17", "T-029")
async def test_a_loss_is_healed_and_everything_comes_back(service: FakeService) -> None:
    diary = Diary()
    async with agent_of(service, event_handlers=[diary]) as agent:
        listener = await agent.listen("tcp://", name="n", metadata="m", traffic_policy="{}")
        forwarder = await agent.forward(80, url="https://fixed.example")
        urls = [listener.url, forwarder.url]
        first = service.last
        first.drop()
        await diary.until("connected ts_2")
        assert diary.lines == ["connected ts_1", "disconnected ts_1 SessionClosed", "connected ts_2"]
        assert service.last.auth.client_id == "client1"
        assert service.last.auth.extra.cookie == "crumbs"
        again = service.last.binds
        assert [bind.id for bind in again] == [listener.id, forwarder.id]
        assert [bind.extra.token for bind in again] == ["token1", "token2"]
        assert [bind.proto for bind in again] == ["tcp", "https"]
        assert again[0].opts["URL"] == str(listener.url)
        assert again[0].opts["TrafficPolicy"] == "{}"
        assert (again[0].extra.name, again[0].extra.metadata) == ("n", "m")
        assert [listener.url, forwarder.url] == urls
        assert agent.endpoints == [listener, forwarder]
        assert agent.session.id == "ts_2"
        assert listener.tunnel_session_id == "ts_1"
        recorder = Recorder(service.bell)
        recorder.pipe = service.last.visit(listener.id, recorder, b"hello")
        connection = await listener.accept()
        assert await connection.reader.readexactly(5) == b"hello"
        connection.abort()
        assert not listener.done()


@pytest.mark.row("A9")
async def test_every_rebind_says_what_the_first_answer_said(service: FakeService) -> None:
    diary = Diary()
    async with agent_of(service, event_handlers=[diary]) as agent:
        await agent.listen("tcp://")
        for number in (2, 3):
            service.last.drop()
            await diary.until(f"connected ts_{number}")
            assert service.last.binds[0].extra.token == "token1"
            assert service.last.binds[0].opts["URL"] == "tcp://localhost:20001"


@pytest.mark.row("A10")
async def test_refusals_that_may_heal_are_tried_again(service: FakeService) -> None:
    diary = Diary()
    async with agent_of(service, event_handlers=[diary]) as agent:
        await agent.connect()
        service.on_auth = refusing(108)
        service.last.drop()
        await diary.bell.until(lambda: diary.lines.count("disconnected ts_1 Error") >= 3)
        service.on_auth = service.accept
        await diary.bell.until(lambda: agent.connected)


@pytest.mark.row("G-048", "A10", "G-086")
@pytest.mark.parametrize("code", [105, 107, 121, 300, 4018])
async def test_a_refusal_that_cannot_heal_ends_everything(service: FakeService, code: int) -> None:
    diary = Diary()
    async with agent_of(service, event_handlers=[diary]) as agent:
        listener, forwarder = await agent.listen(), await agent.forward(80)
        accepting = asyncio.ensure_future(listener.accept())
        service.on_auth = refusing(code, "revoked")
        service.last.drop()
        await asyncio.gather(listener.wait(), forwarder.wait())
        with pytest.raises(Error, match="revoked") as caught:
            await accepting
        assert caught.value.code == f"ERR_NGROK_{code}"
        for endpoint in (listener, forwarder):
            assert isinstance(endpoint.error, Error)
        last = diary.events[-1]
        assert isinstance(last, AgentDisconnected)
        assert isinstance(last.error, Error)
        assert last.error.code == f"ERR_NGROK_{code}"
        assert agent.endpoints == []
        assert not agent.connected
        with pytest.raises(NotConnected):
            _ = agent.session
        assert repr(agent) == "<Agent not connected>"
        assert len(service.arrived) == 2
        service.on_auth = service.accept
        await agent.listen()
        assert service.last.auth.client_id == ""


def test_which_refusals_are_final() -> None:
    assert {f"ERR_NGROK_{code}" for code in (105, 106, 107, 109, 110, 120, 121, 206, 4018)} <= FINAL
    assert not is_final(Error("too many", 108))
    assert not is_final(Error("later", 128))
    assert not is_final(Error("no code"))
    assert not is_final(ConnectError("tcp", "refused"))


async def test_one_refused_rebind_does_not_disturb_the_others(service: FakeService) -> None:
    diary = Diary()
    tries: list[str] = []

    async def refuse_some(arrived: Arrived, bind: Bind) -> BindResp:
        tries.append(bind.id)
        service.bell.ring()
        if bind.id == taken.id and tries.count(bind.id) < 4:
            raise Error("somebody else has it", 334)
        return await service.grant(arrived, bind)

    async with agent_of(service, event_handlers=[diary]) as agent:
        taken: Endpoint = await agent.listen("https://taken.example")
        other = await agent.listen("https://other.example")
        service.on_bind = refuse_some
        service.last.drop()
        await diary.until("connected ts_2")
        await service.until(lambda: tries.count(taken.id) == 4)
        assert tries.count(other.id) == 1
        assert not taken.done()


async def test_refused_rebinds_stop_with_their_endpoint(service: FakeService) -> None:
    diary = Diary()
    refused = 0

    async def refuse(arrived: Arrived, bind: Bind) -> BindResp:
        nonlocal refused
        refused += 1
        service.bell.ring()
        raise Error("somebody else has it", 334)

    async with agent_of(service, event_handlers=[diary]) as agent:
        listener = await agent.listen("https://taken.example")
        service.on_bind = refuse
        service.last.drop()
        await service.until(lambda: refused >= 2)
        service.on_bind = service.grant
        await listener.close()
        await agent.listen("https://another.example")
        assert [bind.id for bind in service.last.binds if not bind.id] == [""]


@pytest.mark.row("A11")
async def test_what_the_service_stopped_is_not_bound_again(service: FakeService) -> None:
    diary = Diary()
    async with agent_of(service, event_handlers=[diary]) as agent:
        stopped, kept = await agent.listen("tcp://"), await agent.listen("tcp://")
        service.last.stop_tunnel(stopped.id, "Your plan has ended.", "ERR_NGROK_401")
        await stopped.wait()
        service.last.drop()
        await diary.until("connected ts_2")
        assert [bind.id for bind in service.last.binds] == [kept.id]


async def test_what_was_closed_during_an_outage_is_not_bound_again(service: FakeService) -> None:
    diary = Diary()
    async with agent_of(service, event_handlers=[diary]) as agent:
        closed, kept = await agent.listen("tcp://"), await agent.listen("tcp://")
        service.last.drop()
        await diary.until("disconnected ts_1 SessionClosed")
        await closed.close()
        await diary.until("connected ts_2")
        assert [bind.id for bind in service.last.binds] == [kept.id]


async def test_what_is_closed_while_it_is_bound_again_is_given_up(service: FakeService) -> None:
    diary = Diary()
    held, asked = asyncio.Event(), asyncio.Event()

    async def slowly(arrived: Arrived, bind: Bind) -> BindResp:
        asked.set()
        await held.wait()
        return await service.grant(arrived, bind)

    async with agent_of(service, event_handlers=[diary]) as agent:
        listener = await agent.listen("tcp://")
        service.on_bind = slowly
        service.last.drop()
        await asked.wait()
        await listener.close()
        held.set()
        await diary.until("connected ts_2")
        assert service.last.unbinds == [listener.id]


@pytest.mark.row("A9")
async def test_a_session_that_dies_while_it_restores_is_tried_again(service: FakeService) -> None:
    diary = Diary()

    async def die(arrived: Arrived, bind: Bind) -> BindResp:
        service.on_bind = service.grant
        arrived.drop()
        return await service.grant(arrived, bind)

    async with agent_of(service, event_handlers=[diary]) as agent:
        listener = await agent.listen("tcp://")
        service.on_bind = die
        service.last.drop()
        await diary.until("connected ts_3")
        assert diary.lines[1:] == [
            "disconnected ts_1 SessionClosed",
            "disconnected ts_1 SessionClosed",
            "connected ts_3",
        ]
        assert not listener.done()


async def test_listen_during_an_outage_waits_for_the_next_session(service: FakeService) -> None:
    diary = Diary()
    async with agent_of(service, event_handlers=[diary]) as agent:
        await agent.connect()
        service.last.drop()
        await diary.until("disconnected ts_1 SessionClosed")
        listener = await agent.listen("tcp://")
        assert listener.tunnel_session_id == "ts_2"


async def test_listen_during_an_outage_that_never_ends_fails(service: FakeService) -> None:
    diary = Diary()
    async with agent_of(service, event_handlers=[diary]) as agent:
        await agent.connect()
        service.on_auth = refusing(107)
        service.last.drop()
        await diary.until("disconnected ts_1 SessionClosed")
        with pytest.raises((NotConnected, Error)):
            await agent.listen("tcp://")


async def test_a_bootstrap_that_is_away_for_a_moment_is_remembered(
    service: FakeService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_bytes(service.certs.ca)
    bootstrap = tmp_path / "bootstrap.json"
    known = {
        "connect_url": service.connect_url,
        "authtoken": "boot",
        "ca_cert": str(tmp_path / "ca.pem"),
    }
    bootstrap.write_text(json.dumps(known))
    monkeypatch.setenv("PORTWAY_DATA_DIR", str(tmp_path))
    diary = Diary()
    async with Agent(event_handlers=[diary]) as agent:
        await agent.connect()
        bootstrap.unlink()
        service.last.drop()
        await diary.until("connected ts_2")
        assert service.last.auth.extra.authtoken == "boot"
        monkeypatch.setenv("PORTWAY_CONNECT_URL", service.connect_url)
        service.last.drop()
        await diary.until("connected ts_3")
        assert service.last.auth.extra.authtoken == "boot"
        bootstrap.write_text(json.dumps(known | {"authtoken": "new"}))
        service.last.drop()
        await diary.until("connected ts_4")
        assert service.last.auth.extra.authtoken == "new"


@pytest.mark.row("A17", "G-060", "A3")
async def test_a_service_that_falls_silent_is_left(service: FakeService) -> None:
    diary = Diary()
    async with agent_of(
        service, event_handlers=[diary], heartbeat_interval=0.1, heartbeat_tolerance=0.4
    ) as agent:
        await agent.connect()
        loop = asyncio.get_running_loop()
        silent = service.last.live
        transport = silent._transport  # pyright: ignore[reportPrivateUsage]
        assert transport is not None
        transport.pause_reading()
        since = loop.time()
        await diary.bell.until(lambda: len(diary.lines) >= 2)
        assert loop.time() - since >= 0.4
        assert diary.lines[1] == "disconnected ts_1 SessionClosed"
        await diary.until("connected ts_2")
        silent.abort(SessionClosed("test"))


async def test_a_disconnect_ends_the_attempts(service: FakeService) -> None:
    diary = Diary()
    agent = agent_of(service, event_handlers=[diary])
    listener = await agent.listen()
    service.on_auth = refusing(108)
    service.last.drop()
    await diary.bell.until(lambda: "disconnected ts_1 Error" in diary.lines)
    await agent.disconnect()
    assert diary.lines[-2:] == ["disconnected ts_1 SessionClosed", "disconnected ts_1 None"]
    with pytest.raises(ListenerClosed):
        await listener.accept()


# -- an end that waits


async def tcp_endpoint(agent: Agent, port: int) -> str:
    """Forward a tcp endpoint to a port; return its id."""
    return (await agent.forward(port, url="tcp://localhost:20001")).id


@pytest.mark.row("G-042")
async def test_a_disconnect_may_let_running_connections_finish(service: FakeService) -> None:
    async with agent_of(service) as agent, upstream(echo) as port:
        endpoint = await tcp_endpoint(agent, port)
        running, late = Recorder(service.bell), Recorder(service.bell)
        stream = service.last.visit(endpoint, running, b"one")
        await service.until(lambda: bytes(running.data) == b"one")

        async def visited_meanwhile(arrived: Arrived) -> None:
            """A visitor that the service has sent before it answers is served still."""
            arrived.visit(endpoint, late, b"late").end()
            await service.until(lambda: bytes(late.data) == b"late" and late.ends > 0)

        service.on_unbind = visited_meanwhile
        ending = asyncio.create_task(agent.disconnect(drain=10))
        await service.until(lambda: bool(late.ends))
        assert stream.send(b" and more") == 9
        await service.until(lambda: bytes(running.data) == b"one and more")
        assert not ending.done()
        assert not service.last.closed
        stream.end()
        await ending
        assert (running.ends, running.resets) == (1, [])
        await service.until(lambda: service.last.closed)
        assert service.last.unbinds == [endpoint]
        assert isinstance(service.last.cause, SessionClosed)


@pytest.mark.row("G-126")
async def test_who_comes_while_it_ends_hears_of_a_dead_upstream(service: FakeService) -> None:
    class Dead:
        async def dial(self, network: str, address: str) -> socket.socket:
            raise ConnectionRefusedError("nobody")

    async with agent_of(service) as agent:
        endpoint = (await agent.forward(Upstream(80, dialer=Dead()))).id
        late = Recorder(service.bell)

        async def visited_meanwhile(arrived: Arrived) -> None:
            arrived.visit(endpoint, late, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").end()
            await service.until(lambda: bool(late.ends or late.resets))

        service.on_unbind = visited_meanwhile
        await agent.disconnect(drain=20)
        assert late.ends == 1


@pytest.mark.parametrize("cut", ["limit", "cancelled"])
async def test_what_does_not_finish_is_cut(service: FakeService, cut: str) -> None:
    async with agent_of(service) as agent, upstream(echo) as port:
        endpoint = await tcp_endpoint(agent, port)
        running = Recorder(service.bell)
        service.last.visit(endpoint, running, b"one")
        await service.until(lambda: bytes(running.data) == b"one")
        ending = asyncio.create_task(agent.disconnect(drain=0.05 if cut == "limit" else 60))
        await service.until(lambda: bool(service.last.unbinds))
        if cut == "cancelled":
            ending.cancel()
        await asyncio.wait([ending])
        await service.until(lambda: bool(running.resets))
        assert service.last.closed
        assert agent.endpoints == []


async def test_an_end_that_waits_needs_a_session(service: FakeService) -> None:
    agent = agent_of(service)
    await agent.disconnect(drain=10)
    await agent.listen()
    service.on_unbind = _drop
    await agent.disconnect(drain=10)
    assert service.last.closed


async def _drop(arrived: Arrived) -> None:
    arrived.drop()
