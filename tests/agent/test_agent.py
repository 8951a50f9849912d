"""The agent: options, connecting, its session, its endpoints."""

import asyncio
import logging
import math
import socket
import ssl
from datetime import UTC, datetime

import pytest
from tests.kit.certs import Certs, make_certs
from tests.kit.fake_service import Arrived, FakeService, agent_of, refusing
from tests.kit.pipes import Bell

from portway import (
    Agent,
    AgentConnectSucceeded,
    AgentDisconnected,
    AgentHeartbeatReceived,
    AlreadyConnected,
    ConfigError,
    ConnectError,
    Error,
    Event,
    NotConnected,
    SessionClosed,
)
from portway.wire.messages import AuthResp, Bind, BindResp, Deprecation


@pytest.mark.row("G-030", "G-033")
async def test_making_an_agent_touches_nothing() -> None:
    agent = Agent(connect_url="127.0.0.1:1", connect_cas="/no/such/file")
    assert repr(agent) == "<Agent not connected>"
    assert agent.endpoints == []
    assert not agent.connected
    with pytest.raises(NotConnected):
        _ = agent.session


@pytest.mark.row("G-033")
async def test_only_options_that_no_service_could_accept_are_refused_at_once() -> None:
    with pytest.raises(ConfigError):
        Agent(heartbeat_interval=-1)


@pytest.mark.row("G-040", "G-043", "G-070", "G-072", "G-073", "A1", "A4")
async def test_connect(service: FakeService) -> None:
    before = datetime.now(UTC)
    async with agent_of(service) as agent:
        await agent.connect()
        session = agent.session
        assert session.id == "ts_1"
        assert session.agent is agent
        assert before <= session.started_at <= datetime.now(UTC)
        assert session.started_at.tzinfo is not None
        assert (session.region, session.account_name, session.plan_name) == ("test", "acme", "free")
        assert session.banner == "hello"
        assert service.last.auth.extra.authtoken == "good"
        assert agent.connected
        with pytest.raises(AlreadyConnected):
            await agent.connect()
        assert len(service.arrived) == 1


@pytest.mark.row("G-071")
async def test_warnings_of_the_service(service: FakeService) -> None:
    service.extra = service.extra.__class__(
        version="portway/0",
        deprecation_warning=Deprecation(next_min="9.0", next_date="2030-01-02T00:00:00Z", message=""),
    )
    async with agent_of(service) as agent:
        await agent.connect()
        texts = [str(warning) for warning in agent.session.warnings]
    assert texts == ["Your agent is deprecated. Please update to 9.0 or later by 2030-01-02."]


@pytest.mark.row("G-008", "G-040", "G-041", "G-054")
@pytest.mark.parametrize("code", [105, 107, 4018])
async def test_a_refusal_is_raised_at_once_and_leaves_nothing(service: FakeService, code: int) -> None:
    events: list[Event] = []
    service.on_auth = refusing(code)
    agent = agent_of(service, event_handlers=[events.append])
    for connect in (agent.connect(), agent.connect(timeout=math.inf), agent.listen()):
        with pytest.raises(Error) as caught:
            await connect
        assert caught.value.code == f"ERR_NGROK_{code}"
    await service.until(lambda: all(arrived.closed for arrived in service.arrived))
    assert len(service.arrived) == 3
    assert all(isinstance(event, AgentDisconnected) and event.session is None for event in events)
    service.on_auth = service.accept
    async with agent:
        await agent.connect()
        assert agent.connected


@pytest.mark.row("G-033", "G-040", "G-076")
async def test_a_service_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    agent = Agent(connect_url=f"127.0.0.1:{port}", connect_cas="host", authtoken="t")
    with pytest.raises(ConnectError) as caught:
        await agent.connect()
    assert caught.value.step == "tcp"
    assert not hasattr(caught.value, "code")


@pytest.mark.row("G-040")
async def test_with_a_timeout_a_dial_is_repeated_until_it_succeeds(certs: Certs) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    events: list[Event] = []
    bell = Bell()

    def hear(event: Event) -> None:
        events.append(event)
        bell.ring()

    service = FakeService(certs)
    agent = Agent(connect_url=f"127.0.0.1:{port}", connect_cas=certs.ca, authtoken="t", event_handlers=[hear])
    async with agent, asyncio.TaskGroup() as group:
        group.create_task(agent.connect(timeout=10))
        await bell.until(lambda: len(events) >= 2)
        await service.start(port)
    assert isinstance(events[-3], AgentConnectSucceeded)
    await service.close()


@pytest.mark.row("G-040")
async def test_a_deadline_holds_against_a_silent_listener(certs: Certs) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        agent = Agent(connect_url=f"127.0.0.1:{silent.getsockname()[1]}", connect_cas=certs.ca, authtoken="t")
        with pytest.raises(ConnectError):
            await agent.connect(timeout=0.05)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await agent.connect()
        assert not agent.connected


@pytest.mark.row("G-050")
async def test_another_authority_is_refused_before_a_word_is_said(service: FakeService) -> None:
    agent = agent_of(service, connect_cas=make_certs().ca)
    with pytest.raises(ConnectError) as caught:
        await agent.connect()
    assert caught.value.step == "tls"
    assert service.last.auth.extra.authtoken == ""
    with pytest.raises(ConfigError):
        await agent_of(service, connect_cas="/no/such/file").connect()


@pytest.mark.row("G-050")
async def test_authorities_as_a_context_or_a_file(
    service: FakeService, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    path.write_bytes(service.certs.ca)
    context = ssl.create_default_context(cadata=service.certs.ca.decode())
    for cas in (path, str(path), context):
        async with agent_of(service, connect_cas=cas) as agent:
            await agent.connect()


@pytest.mark.row("G-030", "G-007")
async def test_the_environment_is_read_when_connecting(
    service: FakeService, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    path.write_bytes(service.certs.ca)
    agent = Agent()
    assert agent.connect_url == ""
    with pytest.raises(ConfigError, match="PORTWAY_CONNECT_URL"):
        await agent.connect()
    monkeypatch.setenv("PORTWAY_CONNECT_URL", service.connect_url)
    monkeypatch.setenv("PORTWAY_CONNECT_CAS", str(path))
    monkeypatch.setenv("NGROK_AUTHTOKEN", "of-the-environment")
    assert agent.connect_url == service.connect_url
    async with agent:
        await agent.connect()
    assert service.last.auth.extra.authtoken == "of-the-environment"


@pytest.mark.row("G-045", "G-055")
async def test_two_first_calls_share_one_connect(service: FakeService) -> None:
    async with agent_of(service) as agent:
        one, two, _ = await asyncio.gather(agent.listen(), agent.listen("tcp://"), agent.connect())
        assert len(service.arrived) == 1
        assert agent.endpoints == [one, two] or agent.endpoints == [two, one]


async def test_one_of_two_who_share_a_connect_may_give_up(service: FakeService) -> None:
    held = asyncio.Event()

    async def slowly(arrived: Arrived) -> AuthResp:
        await held.wait()
        return await service.accept(arrived)

    service.on_auth = slowly
    async with agent_of(service) as agent:
        one = asyncio.ensure_future(agent.listen())
        two = asyncio.ensure_future(agent.connect())
        await service.until(lambda: bool(service.arrived) and service.last.session is not None)
        one.cancel()
        held.set()
        await two
        assert agent.connected
        with pytest.raises(asyncio.CancelledError):
            await one


@pytest.mark.row("G-041")
async def test_a_cancelled_connect_leaves_nothing_open(service: FakeService) -> None:
    async def never(arrived: Arrived) -> AuthResp:
        return await asyncio.get_running_loop().create_future()

    service.on_auth = never
    async with agent_of(service) as agent:
        connecting = asyncio.ensure_future(agent.connect())
        await service.until(lambda: bool(service.arrived) and service.last.session is not None)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        await service.until(lambda: service.last.closed)
        assert not agent.connected


async def test_a_disconnect_ends_a_connect_under_way(service: FakeService) -> None:
    async def never(arrived: Arrived) -> AuthResp:
        return await asyncio.get_running_loop().create_future()

    service.on_auth = never
    agent = agent_of(service)
    connecting = asyncio.ensure_future(agent.connect())
    await service.until(lambda: bool(service.arrived) and service.last.session is not None)
    await agent.disconnect()
    with pytest.raises(NotConnected):
        await connecting


@pytest.mark.row("G-055")
async def test_without_auto_connect_endpoints_need_a_session(service: FakeService) -> None:
    async with agent_of(service, auto_connect=False) as agent:
        for call in (agent.listen(), agent.forward(80)):
            with pytest.raises(NotConnected, match="connect"):
                await call
        await agent.connect()
        await agent.listen()


@pytest.mark.row("G-042", "G-044", "G-086", "A12", "A17")
async def test_disconnect_ends_the_endpoints_first(service: FakeService) -> None:
    seen: list[str] = []

    def hear(event: Event) -> None:
        if isinstance(event, AgentDisconnected):
            seen.append(f"{event.error} {[endpoint.done() for endpoint in endpoints]}")

    agent = agent_of(service, event_handlers=[hear])
    endpoints = [await agent.listen(), await agent.forward(80)]
    assert agent.endpoints == endpoints
    await agent.disconnect()
    assert seen == [
        "not reconnecting, session closed by the agent [True, True]",
        "None [True, True]",
    ]
    assert agent.endpoints == []
    assert [endpoint.error for endpoint in endpoints] == [None, None]
    await service.until(lambda: service.last.closed)
    assert isinstance(service.last.cause, SessionClosed)
    assert service.last.unbinds == []
    await agent.disconnect()
    with pytest.raises(NotConnected):
        _ = agent.session


@pytest.mark.row("G-042")
async def test_a_later_session_is_a_fresh_one(service: FakeService) -> None:
    async with agent_of(service) as agent:
        await agent.connect()
        await agent.disconnect()
        await agent.listen()
        assert agent.session.id == "ts_2"
        assert service.last.auth.client_id == ""
        assert service.last.auth.extra.cookie == ""


@pytest.mark.row("G-049")
async def test_several_agents_are_independent(service: FakeService) -> None:
    async with agent_of(service, authtoken="one") as one, agent_of(service, authtoken="two") as two:
        await one.listen()
        await two.connect()
        await one.disconnect()
        assert two.connected
        assert [arrived.auth.extra.authtoken for arrived in service.arrived] == ["one", "two"]


@pytest.mark.row("G-058", "G-059", "G-182", "G-155", "G-150", "A3")
async def test_heartbeats_are_told_with_their_latency(service: FakeService) -> None:
    heard: list[AgentHeartbeatReceived] = []
    bell = Bell()

    def hear(event: Event) -> None:
        if isinstance(event, AgentHeartbeatReceived):
            heard.append(event)
            bell.ring()

    also: list[Event] = []
    async with agent_of(service, heartbeat_interval=0.05, event_handlers=[hear, also.append]) as agent:
        await agent.connect()
        await bell.until(lambda: len(heard) >= 3)
        assert service.last.auth.extra.heartbeat_interval == 50_000_000
        assert all(0 < event.latency < 5 for event in heard)
        assert agent.session.latency == heard[-1].latency
        assert heard[0].session is agent.session
        assert heard[0].agent is agent
    stamps = [event.timestamp for event in also]
    assert stamps == sorted(stamps)
    assert [event for event in also if isinstance(event, AgentHeartbeatReceived)] == heard


@pytest.mark.row("G-160")
async def test_a_failing_handler_harms_nothing(
    service: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: Event) -> None:
        raise ZeroDivisionError

    heard: list[Event] = []
    async with agent_of(service, event_handlers=[fail]) as agent:
        agent.add_event_handler(heard.append)
        await agent.connect()
        assert agent.connected
    assert "event handler failed on AgentConnectSucceeded" in caplog.text
    assert isinstance(heard[0], AgentConnectSucceeded)


@pytest.mark.row("G-161")
async def test_a_bounded_queue_that_drops_when_full(service: FakeService) -> None:
    queue: asyncio.Queue[Event] = asyncio.Queue(maxsize=1)
    dropped: list[Event] = []

    def put(event: Event) -> None:
        try:
            queue.put_nowait(event)
        except asyncio.QueueFull:
            dropped.append(event)

    async with agent_of(service, event_handlers=[put]) as agent:
        await agent.connect()
    assert isinstance(queue.get_nowait(), AgentConnectSucceeded)
    assert dropped


@pytest.mark.row("G-061")
async def test_records_go_to_the_given_logger_with_fields(
    service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    records: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    logger = logging.getLogger("test.mine")
    logger.addHandler(Keep())
    logger.setLevel(logging.INFO)
    async with agent_of(service, logger=logger) as agent:
        await agent.listen()
    established = next(record for record in records if record.getMessage() == "session established")
    assert (established.levelno, established.__dict__["session"]) == (logging.INFO, "ts_1")
    online = next(record for record in records if record.getMessage() == "endpoint online")
    assert online.__dict__["url"].startswith("https://")
    assert capsys.readouterr().out == ""


@pytest.mark.row("G-076")
async def test_a_refused_bind_has_its_code(service: FakeService) -> None:
    async def refuse(arrived: Arrived, bind: Bind) -> BindResp:
        raise Error("The endpoint is already online.", 334)

    service.on_bind = refuse
    async with agent_of(service) as agent:
        with pytest.raises(Error, match="already online") as caught:
            await agent.listen("https://a.example")
        assert caught.value.code == "ERR_NGROK_334"
        assert "ERR_NGROK_334" in str(caught.value)
        assert agent.endpoints == []


async def test_an_answer_that_nobody_could_serve(service: FakeService) -> None:
    async def odd(arrived: Arrived, bind: Bind) -> BindResp:
        return BindResp(id="ep_1", url="gopher://x", proto="gopher")

    service.on_bind = odd
    async with agent_of(service) as agent:
        with pytest.raises(ConnectError, match="gopher"):
            await agent.listen()


@pytest.mark.row("G-045")
async def test_a_cancelled_listen_leaves_no_endpoint(service: FakeService) -> None:
    held = asyncio.Event()

    async def slowly(arrived: Arrived, bind: Bind) -> BindResp:
        await held.wait()
        return await service.grant(arrived, bind)

    service.on_bind = slowly
    async with agent_of(service) as agent:
        listening = asyncio.ensure_future(agent.listen())
        await service.until(lambda: bool(service.arrived) and bool(service.last.binds))
        listening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listening
        held.set()
        await service.until(lambda: service.last.unbinds == ["ep_1"])
        assert agent.endpoints == []


async def test_a_disconnect_ends_a_listen_under_way(service: FakeService) -> None:
    async def never(arrived: Arrived, bind: Bind) -> BindResp:
        return await asyncio.get_running_loop().create_future()

    service.on_bind = never
    agent = agent_of(service)
    listening = asyncio.ensure_future(agent.listen())
    await service.until(lambda: bool(service.arrived) and bool(service.last.binds))
    await agent.disconnect()
    with pytest.raises((NotConnected, SessionClosed)):
        await listening


@pytest.mark.row("G-120")
async def test_a_senseless_upstream_is_refused_before_any_network(service: FakeService) -> None:
    async with agent_of(service) as agent:
        with pytest.raises(ConfigError):
            await agent.forward("example.com", url="tcp://")
        with pytest.raises(Error, match="unsupported endpoint URL scheme"):
            await agent.listen("gopher://x")
    assert service.arrived == []


def test_an_agent_may_be_used_on_one_loop_after_another(
    certs: Certs, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent(authtoken="t", connect_cas=certs.ca)

    async def main() -> None:
        service = FakeService(certs)
        await service.start()
        monkeypatch.setenv("PORTWAY_CONNECT_URL", service.connect_url)
        listener = await agent.listen()
        assert agent.endpoints == [listener]
        await service.close()

    for _ in range(2):
        asyncio.run(main())
        assert agent.endpoints == []
        assert not agent.connected


async def test_an_agent_belongs_to_its_loop(service: FakeService) -> None:
    async def elsewhere() -> None:
        for call in (agent.listen(), agent.disconnect()):
            with pytest.raises(NotConnected, match="another event loop"):
                await call

    async with agent_of(service) as agent:
        await agent.connect()
        await asyncio.to_thread(lambda: asyncio.run(elsewhere()))
        assert agent.connected
