"""Several sessions of one agent: to every address that the service names."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.kit.certs import Certs
from tests.kit.fake_service import Arrived, FakeService, agent_of, refusing
from tests.kit.pipes import Recorder, spin_until

from portway import AgentConnectSucceeded, AgentDisconnected, AgentHeartbeatReceived, Error, Event
from portway.wire.messages import AuthResp, AuthRespExtra, Bind, BindResp, ConnectAddress


@pytest.fixture
async def service(certs: Certs) -> AsyncIterator[FakeService]:
    """Run a fake service that names three addresses."""
    service = FakeService(certs)
    await service.start()
    address = ConnectAddress(region="test", server_addr=service.connect_url)
    service.extra = AuthRespExtra(
        version="portway/0", region="test", cookie="crumbs", connect_addresses=(address,) * 3
    )
    yield service
    await service.close()


def legs(service: FakeService) -> list[int]:
    """Return the numbers of the sessions that stand."""
    return sorted(arrived.auth.extra.leg_number for arrived in service.arrived if not arrived.closed)


def of(service: FakeService, number: int) -> Arrived:
    """Return the newest session of a number."""
    return [arrived for arrived in service.arrived if arrived.auth.extra.leg_number == number][-1]


@pytest.mark.row("G-062")
async def test_it_is_off_unless_asked_for(service: FakeService) -> None:
    async with agent_of(service) as agent:
        await agent.connect()
        assert legs(service) == [0]


@pytest.mark.row("G-062")
async def test_a_session_to_every_address(service: FakeService) -> None:
    heard: list[Event] = []
    async with agent_of(service, multi_leg=True, event_handlers=[heard.append]) as agent:
        listener = await agent.listen("tcp://", name="n")
        assert legs(service) == [0, 1, 2]
        assert {arrived.auth.client_id for arrived in service.arrived} == {"", "client1"}
        assert [of(service, n).auth.extra.cookie for n in range(3)] == ["", "crumbs", "crumbs"]
        assert [isinstance(event, AgentConnectSucceeded) for event in heard] == [True]
        assert agent.session.id == "ts_1"
        for number in (1, 2):
            repeated = of(service, number).binds[0]
            assert (repeated.id, repeated.extra.token, repeated.extra.name) == (listener.id, "token1", "n")
        for number in range(3):
            recorder = Recorder(service.bell)
            recorder.pipe = of(service, number).visit(listener.id, recorder, b"by %d" % number)
            async with await listener.accept() as connection:
                assert await connection.reader.readexactly(4) == b"by %d" % number
        await listener.close()
        assert [of(service, n).unbinds for n in range(3)] == [[listener.id]] * 3
    await service.until(lambda: not legs(service))


@pytest.mark.row("G-062", "K-25")
async def test_the_loss_of_one_leaves_the_others_serving(service: FakeService) -> None:
    heard: list[Event] = []
    async with agent_of(service, multi_leg=True, event_handlers=[heard.append]) as agent:
        listener = await agent.listen("tcp://")
        for number in (0, 1):
            before = len(heard)
            of(service, number).drop()
            await spin_until(lambda before=before: len(heard) > before)
            assert isinstance(heard[before], AgentDisconnected)
            recorder = Recorder(service.bell)
            recorder.pipe = of(service, 2).visit(listener.id, recorder, b"!")
            async with await listener.accept() as connection:
                assert await connection.reader.readexactly(1) == b"!"
            await service.until(lambda: legs(service) == [0, 1, 2])
            await spin_until(lambda before=before: len(heard) > before + 1)
            assert isinstance(heard[before + 1], AgentConnectSucceeded)
            rebind = of(service, number).binds[0]
            assert (rebind.id, rebind.extra.token) == (listener.id, "token1")
            assert of(service, number).auth.client_id == "client1"
        assert not listener.done()


@pytest.mark.row("G-062")
async def test_a_session_that_is_not_allowed(service: FakeService) -> None:
    async def at_most_one(arrived: Arrived) -> AuthResp:
        if arrived.auth.extra.leg_number:
            raise Error("not so many", 9024)
        return await service.accept(arrived)

    service.on_auth = at_most_one
    async with agent_of(service, multi_leg=True) as agent:
        with pytest.raises(Error) as caught:
            await agent.connect()
        assert caught.value.code == "ERR_NGROK_9024"
        await service.until(lambda: not legs(service))
        service.on_auth = service.accept
        await agent.connect()
        assert legs(service) == [0, 1, 2]


async def test_a_bind_that_is_refused_elsewhere_is_repeated(service: FakeService) -> None:
    refusals = 2

    async def sometimes(arrived: Arrived, bind: Bind) -> BindResp:
        nonlocal refusals
        if arrived.auth.extra.leg_number == 1 and refusals:
            refusals -= 1
            raise Error("not yet", 9999)
        return await service.grant(arrived, bind)

    service.on_bind = sometimes
    async with agent_of(service, multi_leg=True) as agent:
        await agent.listen("tcp://")
        await service.until(lambda: len(of(service, 1).binds) == 3)
        assert len(of(service, 2).binds) == 1


async def test_one_that_is_refused_for_good_stays_away(service: FakeService) -> None:
    async with agent_of(service, multi_leg=True) as agent:
        listener = await agent.listen("tcp://")
        service.on_auth = refusing(107)
        count = len(service.arrived)
        of(service, 2).drop()
        await service.until(lambda: len(service.arrived) == count + 1)
        await service.until(lambda: service.last.closed)
        assert not listener.done()
        assert agent.connected


async def test_a_stop_may_come_over_any_of_them(service: FakeService) -> None:
    async with agent_of(service, multi_leg=True) as agent:
        listener = await agent.listen("tcp://")
        of(service, 2).stop_tunnel(listener.id, "enough", "ERR_NGROK_1")
        of(service, 1).stop_tunnel(listener.id, "enough", "ERR_NGROK_1")
        await listener.wait()
        assert isinstance(listener.error, Error)
        assert agent.endpoints == []


async def test_heartbeats_are_told_for_each(service: FakeService) -> None:
    heard: list[str] = []

    def hear(event: Event) -> None:
        if isinstance(event, AgentHeartbeatReceived):
            heard.append(event.session.id)

    async with agent_of(service, multi_leg=True, heartbeat_interval=0.02, event_handlers=[hear]) as agent:
        await agent.connect()
        await spin_until(lambda: set(heard) == {"ts_1", "ts_2", "ts_3"})


async def test_an_endpoint_that_is_made_while_one_reconnects(service: FakeService) -> None:
    """It must not fall between the snapshot of the rebind and the end of the reconnect."""
    go, waiting = asyncio.Event(), asyncio.Event()

    async def slow(arrived: Arrived, bind: Bind) -> BindResp:
        if arrived.auth.extra.leg_number == 1 and not go.is_set():
            waiting.set()
            await go.wait()
        return await service.grant(arrived, bind)

    async with agent_of(service, multi_leg=True) as agent:
        first = await agent.listen("tcp://")
        service.on_bind = slow
        of(service, 1).drop()
        await waiting.wait()
        second = await agent.listen("tcp://")
        go.set()
        await service.until(lambda: {bind.id for bind in of(service, 1).binds} == {first.id, second.id})
