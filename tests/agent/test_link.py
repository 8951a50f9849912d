"""One session with the service: what it asks of the agent, and how it ends."""

import json

import pytest
from tests.kit.fake_service import Arrived, FakeService, agent_of

from portway import ConnectError, SessionClosed
from portway.agent.link import Link
from portway.errors import MessageError
from portway.session import StreamType
from portway.wire.messages import AuthResp, Bind


@pytest.mark.row("A13")
@pytest.mark.parametrize("kind", [StreamType.STOP, StreamType.RESTART, StreamType.UPDATE])
async def test_commands_are_answered_without_a_handler(service: FakeService, kind: StreamType) -> None:
    async with agent_of(service) as agent:
        await agent.connect()
        answer = json.loads(await service.last.live.call(kind, b"{}"))
        assert answer == {"Error": "the agent has not defined a callback for this operation"}
        assert agent.connected


@pytest.mark.row("A16")
async def test_a_request_that_nobody_knows_is_ended(service: FakeService) -> None:
    async with agent_of(service) as agent:
        await agent.connect()
        with pytest.raises(MessageError, match="without an answer"):
            await service.last.live.call(77, b"{}", timeout=5)
        assert agent.connected


@pytest.mark.row("A13")
async def test_an_unreadable_stop_harms_nothing(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen()
        service.last.live.notify(StreamType.STOP_TUNNEL, b'{"Id": 5}')
        await agent.listen()
        assert not listener.done()


@pytest.mark.row("A13")
async def test_a_stop_is_ended_without_an_answer(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen()
        with pytest.raises(MessageError, match="without an answer"):
            await service.last.live.call(
                StreamType.STOP_TUNNEL, b'{"Id":"%b","Message":"gone"}' % listener.id.encode()
            )
        assert listener.done()


async def test_a_service_that_hangs_up_during_auth(service: FakeService) -> None:
    async def hang_up(arrived: Arrived) -> AuthResp:
        arrived.drop()
        return AuthResp()

    service.on_auth = hang_up
    with pytest.raises(ConnectError) as caught:
        await agent_of(service).connect()
    assert caught.value.step == "muxado"


@pytest.mark.row("A12")
async def test_a_close_says_goaway_with_no_error(service: FakeService) -> None:
    async with agent_of(service) as agent:
        await agent.connect()
    await service.until(lambda: service.last.closed)
    assert isinstance(service.last.cause, SessionClosed)
    assert "no error" in str(service.last.cause) or "closed" in str(service.last.cause)


async def test_a_link_that_was_never_open() -> None:
    class Nobody:
        def visitor(self, header: object, pipe: object) -> None: ...
        def stopped(self, order: object) -> None: ...
        def heartbeat(self, link: object, latency: float) -> None: ...

    link = Link(Nobody())
    await link.unbind("ep_1")
    link.abort()
    await link.close()
    assert not link.closed
    with pytest.raises(SessionClosed):
        await link.bind(Bind(proto="tcp"))
