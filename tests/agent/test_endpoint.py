"""Endpoint handles, and the listener among them."""

import asyncio
from datetime import UTC, datetime

import pytest
from tests.kit.fake_service import VISITOR, Arrived, FakeService, agent_of
from tests.kit.pipes import Recorder, spin_until

from portway import Agent, ConfigError, Error, ListenerClosed, NotConnected, ProxyProtocol
from portway.agent.endpoint import BACKLOG
from portway.errors import StreamLimit
from portway.wire.messages import PatchResp


@pytest.mark.row(
    *("G-080", "G-081", "G-082", "G-085", "G-088", "G-089", "G-090", "G-091", "G-093", "G-094"),
    *("G-095", "G-096", "G-097", "G-098", "G-101", "G-009"),
)
async def test_what_an_endpoint_tells_of_itself(service: FakeService) -> None:
    before = datetime.now(UTC)
    async with agent_of(service) as agent:
        listener = await agent.listen(
            "tcp://",
            name="n",
            description="d",
            metadata="m",
            bindings=["public"],
            pooling_enabled=True,
            traffic_policy="on_tcp_connect: []",
            proxy_protocol=2,
        )
        assert listener.agent is agent
        assert listener.id == "ep_1"
        assert listener.url == "tcp://localhost:20001"
        assert listener.protocol == "tcp"
        assert (listener.name, listener.description, listener.metadata) == ("n", "d", "m")
        assert listener.bindings == ("public",)
        assert listener.pooling_enabled
        assert listener.traffic_policy == "on_tcp_connect: []"
        assert listener.proxy_protocol is ProxyProtocol.V2
        assert before <= listener.created_at <= datetime.now(UTC)
        assert listener.updated_at == listener.created_at
        assert listener.tunnel_session_id == agent.session.id
        assert listener.tunnel_id == "tn_1"
        assert str(listener.addr) == "localhost:20001"
        assert listener.addr.network == "tcp"
        assert repr(listener) == "<EndpointListener tcp://localhost:20001 ep_1>"
        plain = await agent.listen()
        assert (plain.bindings, plain.pooling_enabled, plain.traffic_policy) == ((), False, "")
        assert plain.proxy_protocol is None
        assert str(plain.addr) == plain.url.hostname


@pytest.mark.row("G-091", "G-117")
@pytest.mark.parametrize("scheme", ["http", "https", "tcp", "tls"])
async def test_four_protocols(service: FakeService, scheme: str) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen(f"{scheme}://a.example:1")
        assert (listener.protocol, service.last.binds[0].proto) == (scheme, scheme)


@pytest.mark.row("G-100", "G-104", "A15")
async def test_accept_gives_the_visitor_with_its_address(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        recorder = Recorder(service.bell)
        stream = recorder.pipe = service.last.visit(listener.id, recorder, b"hel")
        async with await listener.accept() as connection:
            assert connection.remote_addr == VISITOR
            assert stream.send(b"lo") == 2
            stream.end()
            assert await connection.reader.read() == b"hello"
            connection.writer.write(b"after your end")
        await service.until(lambda: bool(recorder.ends))
        assert bytes(recorder.data) == b"after your end"


@pytest.mark.row("G-100")
async def test_several_may_accept_at_once(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        accepting = [asyncio.ensure_future(listener.accept()) for _ in range(5)]
        recorders = [Recorder(service.bell) for _ in accepting]
        for number, recorder in enumerate(recorders):
            recorder.pipe = service.last.visit(listener.id, recorder, b"%d" % number)
        taken = await asyncio.gather(*accepting)
        said = [await connection.reader.readexactly(1) for connection in taken]
        assert sorted(said) == [b"0", b"1", b"2", b"3", b"4"]
        for connection in taken:
            connection.abort()


async def test_a_cancelled_accept_loses_no_visitor(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        first, second = (asyncio.ensure_future(listener.accept()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        recorder = Recorder(service.bell)
        recorder.pipe = service.last.visit(listener.id, recorder)
        connection = await second
        connection.abort()
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_an_accept_that_is_woken_and_cancelled_passes_it_on(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        recorder = Recorder(service.bell)
        taken = asyncio.ensure_future(listener.accept())
        waiting = asyncio.ensure_future(listener.accept())
        await asyncio.sleep(0)
        stream = service.last.visit(listener.id, recorder)
        recorder.pipe = stream
        await spin_until(lambda: bool(listener._ready))  # pyright: ignore[reportPrivateUsage]
        taken.cancel()
        connection = await waiting
        assert connection.remote_addr == VISITOR
        connection.abort()


async def test_a_full_backlog_refuses_further_visitors(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        recorders = [Recorder(service.bell) for _ in range(BACKLOG + 1)]
        try:
            for recorder in recorders:
                recorder.pipe = service.last.visit(listener.id, recorder)
        except StreamLimit:
            pytest.fail("the session bears more than the backlog")
        await service.until(lambda: bool(recorders[-1].resets))
        assert recorders[-1].resets == [9]
        assert not any(recorder.resets for recorder in recorders[:-1])


@pytest.mark.row("G-083", "G-086", "G-087", "G-100")
async def test_close(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        accepting = asyncio.ensure_future(listener.accept())
        waiting = asyncio.ensure_future(listener.wait())
        await asyncio.sleep(0)
        await listener.close()
        assert listener.done()
        await waiting
        for failing in (accepting, listener.accept()):
            with pytest.raises(ListenerClosed):
                await failing
        assert agent.endpoints == []
        assert service.last.unbinds == [listener.id]
        await listener.close()
        assert service.last.unbinds == [listener.id]
        assert listener.error is None
        assert "done" in repr(listener)


@pytest.mark.row("G-083")
async def test_close_takes_effect_at_once_and_waits_for_the_session(service: FakeService) -> None:
    async def never(arrived: Arrived) -> None:
        await asyncio.get_running_loop().create_future()

    service.on_unbind = never
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        closing = asyncio.ensure_future(listener.close())
        await service.until(lambda: bool(service.last.unbinds))
        assert listener.done()
        assert not closing.done()
        with pytest.raises(ListenerClosed):
            await listener.accept()
        await agent.disconnect()
        await closing


@pytest.mark.row("G-084")
async def test_close_within_a_deadline(service: FakeService) -> None:
    async def never(arrived: Arrived) -> None:
        await asyncio.get_running_loop().create_future()

    service.on_unbind = never
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        with pytest.raises(TimeoutError):
            await listener.close(timeout=0.01)
        assert listener.done()
        assert agent.endpoints == []


async def test_what_the_service_says_against_a_close_is_raised(service: FakeService) -> None:
    async def object_to(arrived: Arrived) -> None:
        raise Error("not now", 128)

    service.on_unbind = object_to
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        with pytest.raises(Error, match="not now"):
            await listener.close()
        assert listener.done()


async def test_those_who_wait_to_be_accepted_are_cut_by_a_close(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        recorder = Recorder(service.bell)
        recorder.pipe = service.last.visit(listener.id, recorder)
        async with await agent.listen("tcp://"):
            pass  # two round trips: the visitor is there
        await listener.close()
        await service.until(lambda: bool(recorder.resets))


@pytest.mark.row("A15")
async def test_a_visitor_for_nobody_is_ended_without_a_byte(service: FakeService) -> None:
    async with agent_of(service) as agent:
        await agent.connect()
        recorder = Recorder(service.bell)
        recorder.pipe = service.last.visit("ep_unknown", recorder, b"anybody?")
        await service.until(lambda: bool(recorder.ends))
        assert not recorder.data


@pytest.mark.row("G-077", "G-086")
async def test_a_stop_by_the_service(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        accepting = asyncio.ensure_future(listener.accept())
        await asyncio.sleep(0)
        service.last.stop_tunnel(listener.id, "Your plan has ended.", "ERR_NGROK_401")
        await listener.wait()
        for failing in (accepting, listener.accept()):
            with pytest.raises(Error, match=r"Your plan has ended\.") as caught:
                await failing
            assert caught.value.code == "ERR_NGROK_401"
        assert agent.endpoints == []
        assert agent.connected
        await listener.close()
        assert service.last.unbinds == []


async def test_iterating_ends_with_the_endpoint(service: FakeService) -> None:
    async with agent_of(service) as agent, await agent.listen("tcp://") as listener:
        recorder = Recorder(service.bell)
        recorder.pipe = service.last.visit(listener.id, recorder)
        seen = 0
        async for connection in listener:
            seen += 1
            await connection.close()
            await listener.aclose()
        assert seen == 1


@pytest.mark.row("G-096", "G-093")
async def test_an_update_in_place(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://", name="n", metadata="m", traffic_policy="old")
        await listener.update()
        assert service.last.patches == []
        assert listener.updated_at == listener.created_at
        await listener.update(description="d", metadata="", traffic_policy="new", pooling_enabled=True)
        assert service.last.patches == [
            {
                "TunnelId": "tn_1",
                "Description": "d",
                "Metadata": "",
                "PoolingEnabled": True,
                "TrafficPolicy": "new",
            }
        ]
        assert (listener.name, listener.description, listener.metadata) == ("n", "d", "")
        assert (listener.traffic_policy, listener.pooling_enabled) == ("new", True)
        assert listener.updated_at > listener.created_at
        service.last.drop()
        await service.until(lambda: len(service.arrived) == 2 and len(service.last.binds) == 1)
        rebind = service.last.binds[0]
        assert (rebind.extra.description, rebind.extra.metadata, rebind.extra.name) == ("d", "", "n")
        assert rebind.extra.pooling_enabled
        assert rebind.opts["TrafficPolicy"] == "new"


@pytest.mark.row("G-096", "G-116")
async def test_an_update_that_is_refused_changes_nothing(service: FakeService) -> None:
    async def refuse(arrived: Arrived) -> PatchResp:
        return PatchResp(error="bad policy\r\n\r\nERR_NGROK_2201\r\n")

    service.on_patch = refuse
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://", traffic_policy="old")
        with pytest.raises(Error) as caught:
            await listener.update(traffic_policy="new")
        assert caught.value.code == "ERR_NGROK_2201"
        assert (listener.traffic_policy, listener.updated_at) == ("old", listener.created_at)
        with pytest.raises(ConfigError, match="metadata"):
            await listener.update(metadata=5)  # pyright: ignore[reportArgumentType]
        await listener.close()
        with pytest.raises(ListenerClosed):
            await listener.update(name="x")


async def test_an_update_waits_for_the_session(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        port = service.port
        await service.stop_listening()
        service.last.drop()
        await until_reconnecting(agent)
        with pytest.raises(TimeoutError):
            await listener.update(name="x", timeout=0.01)
        assert listener.name == ""
        waiting = asyncio.ensure_future(listener.update(name="x"))
        await service.start(port)
        await waiting
        assert listener.name == "x"
        assert service.last.patches == [{"TunnelId": "tn_1", "Name": "x"}]


async def test_an_update_ends_with_the_agent(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        await service.stop_listening()
        service.last.drop()
        await until_reconnecting(agent)
        waiting = asyncio.ensure_future(listener.update(name="x"))
        await asyncio.sleep(0)
    with pytest.raises(ListenerClosed):
        await waiting


async def until_reconnecting(agent: Agent) -> None:
    """Wait until the agent has noticed the loss."""
    await spin_until(lambda: not agent.connected)


async def test_an_endpoint_belongs_to_its_loop(service: FakeService) -> None:
    async def elsewhere() -> None:
        for call in (listener.accept(), listener.close(), listener.update(name="other"), listener.wait()):
            with pytest.raises(NotConnected, match="another event loop"):
                await call

    async with agent_of(service) as agent:
        listener = await agent.listen()
        await asyncio.to_thread(lambda: asyncio.run(elsewhere()))
        assert agent.endpoints == [listener]
        assert not service.last.unbinds
