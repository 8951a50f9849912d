"""Commands of the service to an application: asked, agreed to, refused, and what follows."""

import asyncio
import json
import logging

import pytest
from tests.kit.fake_service import FakeService, agent_of
from tests.kit.pipes import Bell

from portway import AgentDisconnected, AgentSession, Event, RPCRequest
from portway.session import ErrorCode, StreamType
from portway.wire.messages import NO_CALLBACK

COMMANDS = [
    (StreamType.STOP, "StopAgent"),
    (StreamType.RESTART, "RestartAgent"),
    (StreamType.UPDATE, "UpdateAgent"),
]


class Desk:
    """A handler that writes down what is asked, and raises what a test wants."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.asked: list[tuple[str, RPCRequest]] = []
        self.error = error

    def __call__(self, session: AgentSession, request: RPCRequest) -> object:
        self.asked.append((session.id, request))
        if self.error is not None:
            raise self.error
        return {"this": "is ignored"}


async def ask(service: FakeService, kind: int, body: bytes = b"{}") -> str:
    """Send a command; return the error of its answer."""
    answer = json.loads(await service.last.live.call(kind, body, timeout=10))
    assert set(answer) == {"Error"}
    return str(answer["Error"])


@pytest.mark.row("G-064", "A13")
async def test_an_agent_says_at_the_start_what_it_does(service: FakeService) -> None:
    async with agent_of(service) as agent:
        await agent.connect()
        extra = service.last.auth.extra
        assert extra.stop_unsupported_error == extra.restart_unsupported_error == NO_CALLBACK
        assert extra.update_unsupported_error == NO_CALLBACK
    why = "updates are somebody else's"
    async with agent_of(service, rpc_handler=Desk(), rpc_unsupported={"UpdateAgent": why}) as agent:
        await agent.connect()
        extra = service.last.auth.extra
        assert (extra.stop_unsupported_error, extra.restart_unsupported_error) == ("", "")
        assert extra.update_unsupported_error == why


@pytest.mark.row("G-170", "G-171")
@pytest.mark.parametrize(("kind", "method"), COMMANDS)
async def test_the_handler_is_asked_with_the_session(
    service: FakeService, kind: StreamType, method: str
) -> None:
    desk = Desk()
    async with agent_of(service, rpc_handler=desk) as agent:
        await agent.connect()
        session = agent.session.id
        assert await ask(service, kind, b'{"Version":"4.5","PermitMajorVersion":true}') == ""
        [(asked, request)] = desk.asked
        assert (asked, request.method) == (session, method)
        update = kind == StreamType.UPDATE
        assert (request.version, request.permit_major_version) == ("4.5" if update else "", update)


@pytest.mark.row("G-172", "G-173", "G-086", "A17")
@pytest.mark.parametrize("kind", [StreamType.STOP, StreamType.RESTART])
async def test_who_agrees_to_stop_or_restart_is_gone_for_good(service: FakeService, kind: StreamType) -> None:
    heard: list[Event] = []
    agent = agent_of(service, rpc_handler=Desk(), event_handlers=[heard.append])
    listener = await agent.listen()
    arrived = service.last
    assert await ask(service, kind) == ""
    await asyncio.wait_for(listener.wait(), 10)
    await service.until(lambda: arrived.closed)
    assert not agent.connected
    code = arrived.live.connection.peer_code
    assert (code == ErrorCode.NO_ERROR) == (kind == StreamType.STOP)  # only then are the names free
    errors = [event.error for event in heard if isinstance(event, AgentDisconnected)]
    assert len(errors) == 2
    assert errors[-1] is None
    await agent.connect()  # and nothing but the application's own will brings it back
    assert len(service.arrived) == 2
    await agent.disconnect()


@pytest.mark.row("G-174")
async def test_who_agrees_to_an_update_goes_on(service: FakeService) -> None:
    async with agent_of(service, rpc_handler=Desk()) as agent:
        listener = await agent.listen()
        assert await ask(service, StreamType.UPDATE) == ""
        assert agent.connected
        assert not listener.done()


@pytest.mark.row("G-175")
@pytest.mark.parametrize(("kind", "_method"), COMMANDS)
@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("not today"), "not today"),
        (KeyError(), "KeyError"),
        (asyncio.CancelledError(), "the handler was cancelled"),
    ],
)
async def test_a_handler_that_raises_refuses_and_the_session_stays(
    service: FakeService, kind: StreamType, _method: str, error: BaseException, text: str
) -> None:
    async with agent_of(service, rpc_handler=Desk(error)) as agent:
        await agent.connect()
        assert await ask(service, kind) == text
        assert agent.connected


@pytest.mark.row("G-176", "A13")
@pytest.mark.parametrize(("kind", "_method"), COMMANDS)
async def test_without_a_handler_everything_is_refused(
    service: FakeService, kind: StreamType, _method: str
) -> None:
    async with agent_of(service) as agent:
        await agent.connect()
        assert await ask(service, kind) == NO_CALLBACK
        assert agent.connected


async def test_a_handler_may_be_a_coroutine_function(service: FakeService) -> None:
    bell = Bell()
    asked: list[str] = []

    async def handler(_session: AgentSession, request: RPCRequest) -> None:
        asked.append(request.method)
        bell.ring()
        await asyncio.sleep(0)
        raise RuntimeError("later")

    async with agent_of(service, rpc_handler=handler) as agent:
        await agent.connect()
        assert await ask(service, StreamType.STOP) == "later"
        assert asked == ["StopAgent"]


async def test_an_update_that_cannot_be_read_is_refused(
    service: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk()
    caplog.set_level(logging.INFO)
    async with agent_of(service, rpc_handler=desk) as agent:
        await agent.connect()
        assert "Version" in await ask(service, StreamType.UPDATE, b'{"Version":5}')
        assert desk.asked == []


@pytest.mark.row("A12")
async def test_who_leaves_while_it_is_stopped_says_goodbye_all_the_same(service: FakeService) -> None:
    async with agent_of(service, rpc_handler=Desk()) as agent:
        listener = await agent.listen()
        arrived = service.last
        assert await ask(service, StreamType.STOP) == ""
        await asyncio.wait_for(listener.wait(), 10)
    await service.until(lambda: arrived.closed)
    assert arrived.live.connection.peer_code == ErrorCode.NO_ERROR


async def test_a_handler_that_disconnects_has_no_answer_to_give(service: FakeService) -> None:
    agent = agent_of(service, rpc_handler=lambda _session, _request: agent.disconnect())
    await agent.connect()
    arrived = service.last
    with pytest.raises(Exception, match=r"session has ended|without an answer"):
        await ask(service, StreamType.STOP)
    await service.until(lambda: arrived.closed)
    assert not agent.connected
