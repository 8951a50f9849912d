"""What a cancelled call leaves, at every point where it waits: docs/cancellation.md, row by row."""

import asyncio
import re
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from tests.kit.fake_service import Arrived, FakeService, agent_of
from tests.kit.pipes import Recorder, spin_until
from tests.kit.upstreams import echo, upstream

from portway import Agent, EndpointListener
from portway.wire.messages import AuthResp, Bind, BindResp, PatchResp

PAGE = (Path(__file__).parents[2] / "docs" / "cancellation.md").read_text()
TESTED: set[str] = set()


def row(name: str) -> Callable[[Any], Any]:
    """Say which row of the page a test proves."""
    TESTED.add(name)
    return lambda test: test


def test_every_row_is_tested() -> None:
    assert set(re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)) == TESTED


async def cancelled(work: Coroutine[Any, Any, Any], when: Callable[[], bool] | asyncio.Event) -> None:
    """Start the work, wait for the moment, and cancel it there."""
    task = asyncio.ensure_future(work)
    if isinstance(when, asyncio.Event):
        await when.wait()
    else:
        await spin_until(when)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class Gate:
    """Holds an answer of the service until it is opened."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def wait(self) -> None:
        self.reached.set()
        await self.opened.wait()


# -- connect ---------------------------------------------------------------------------------------


@row("connect: while dialling")
async def test_connect_while_dialling(service: FakeService) -> None:
    began = asyncio.Event()
    once: list[int] = [1]

    class Dialer:
        async def dial(self, network: str, address: str) -> socket.socket:
            if once:
                once.clear()
                began.set()
                await asyncio.Event().wait()
            host, _, port = address.rpartition(":")
            made = socket.socket()
            made.setblocking(False)
            await asyncio.get_running_loop().sock_connect(made, (host, int(port)))
            return made

    async with agent_of(service, dialer=Dialer()) as agent:
        await cancelled(agent.connect(), began)
        assert service.arrived == []
        await agent.connect()  # it is as it was before


@row("connect: while TLS shakes hands")
async def test_connect_during_tls(service: FakeService) -> None:
    taken: list[asyncio.StreamReader] = []
    gone = asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(reader)
        await reader.read(5)
        while await reader.read(65_536):
            pass
        gone.set()

    async with upstream(mute) as server:
        agent = agent_of(service, connect_url=f"127.0.0.1:{server.port}")
        await cancelled(agent.connect(), lambda: bool(taken))
        await asyncio.wait_for(gone.wait(), 20)
        assert not agent.connected


@row("connect: while the service judges the token")
async def test_connect_during_auth(service: FakeService) -> None:
    gate = Gate()

    async def slow(arrived: Arrived) -> AuthResp:
        await gate.wait()
        return await service.accept(arrived)

    service.on_auth = slow
    async with agent_of(service) as agent:
        await cancelled(agent.connect(), gate.reached)
        await service.until(lambda: service.last.closed)
        service.on_auth = service.accept
        await agent.connect()
        assert agent.session.id == "ts_2"


@row("connect: while another call waits for the same attempt")
async def test_connect_beside_another(service: FakeService) -> None:
    gate = Gate()

    async def slow(arrived: Arrived) -> AuthResp:
        await gate.wait()
        return await service.accept(arrived)

    service.on_auth = slow
    async with agent_of(service) as agent:
        other = asyncio.ensure_future(agent.connect())
        await cancelled(agent.connect(), gate.reached)
        gate.opened.set()
        await other
        assert agent.connected
        assert len(service.arrived) == 1


@row("connect: between two attempts, with a timeout")
async def test_connect_between_attempts(service: FakeService) -> None:
    async with agent_of(service) as agent:
        port = service.port
        await service.stop_listening()
        failed: list[object] = []
        agent.add_event_handler(failed.append)
        await cancelled(agent.connect(timeout=600), lambda: bool(failed))
        await service.start(port)
        await agent.connect()
        assert len(service.arrived) == 1


# -- listen and forward ----------------------------------------------------------------------------


@row("listen, forward: while it connects")
@pytest.mark.parametrize("call", ["listen", "forward"])
async def test_making_while_connecting(service: FakeService, call: str) -> None:
    gate = Gate()

    async def slow(arrived: Arrived) -> AuthResp:
        await gate.wait()
        return await service.accept(arrived)

    service.on_auth = slow
    async with agent_of(service) as agent:
        await cancelled(made(agent, call), gate.reached)
        await service.until(lambda: service.last.closed)
        assert service.last.binds == []
        assert not agent.connected


@row("listen, forward: while the service answers")
@pytest.mark.parametrize("call", ["listen", "forward"])
async def test_making_while_binding(service: FakeService, call: str) -> None:
    gate = Gate()

    async def slow(arrived: Arrived, bind: Bind) -> BindResp:
        await gate.wait()
        return await service.grant(arrived, bind)

    service.on_bind = slow
    async with agent_of(service) as agent:
        await cancelled(made(agent, call), gate.reached)
        gate.opened.set()
        await service.until(lambda: service.last.unbinds == ["ep_1"])
        assert agent.endpoints == []
        assert agent.connected


@row("listen, forward: while the session is lost")
@pytest.mark.parametrize("call", ["listen", "forward"])
async def test_making_while_reconnecting(service: FakeService, call: str) -> None:
    async with agent_of(service) as agent:
        await agent.connect()
        port = service.port
        await service.stop_listening()
        service.last.drop()
        await spin_until(lambda: not agent.connected)
        await cancelled(made(agent, call), lambda: True)
        await service.start(port)
        await service.until(lambda: len(service.arrived) == 2)
        await service.until(
            lambda: service.last.unbinds == [bind.id or "ep_1" for bind in service.last.binds]
        )
        await spin_until(lambda: agent.connected)
        assert agent.endpoints == []


def made(agent: Agent, call: str) -> Coroutine[Any, Any, Any]:
    return agent.listen("tcp://") if call == "listen" else agent.forward(9, url="tcp://")


# -- accept and connections ------------------------------------------------------------------------


@row("accept")
async def test_accept_loses_no_connection(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        waiting = asyncio.ensure_future(listener.accept())
        await asyncio.sleep(0)
        recorder = Recorder(service.bell)
        recorder.pipe = service.last.visit(listener.id, recorder, b"!")
        await spin_until(lambda: len(listener._ready) == 1)  # pyright: ignore[reportPrivateUsage]
        waiting.cancel()  # it was woken already: the connection must be another's
        await asyncio.wait({waiting})
        taken = waiting.result() if not waiting.cancelled() else await listener.accept()
        async with taken as connection:
            assert await connection.reader.readexactly(1) == b"!"


@row("reader.read, writer.drain of a connection")
async def test_reading_loses_no_byte(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        recorder = Recorder(service.bell)
        stream = recorder.pipe = service.last.visit(listener.id, recorder)
        async with await listener.accept() as connection:
            await cancelled(connection.reader.read(1), lambda: True)
            stream.send(b"kept")
            assert await connection.reader.readexactly(4) == b"kept"


@row("Connection.close")
async def test_closing_goes_on(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        recorder = Recorder(service.bell, consuming=False)
        recorder.pipe = service.last.visit(listener.id, recorder)
        connection = await listener.accept()
        size = 4 << 20
        connection.writer.write(bytes(size))
        await cancelled(connection.close(), lambda: connection.transport.is_closing())
        recorder.consuming = True
        recorder.pipe.consume(recorder.unconsumed)
        await service.until(lambda: bool(recorder.ends))
        assert len(recorder.data) == size


# -- endpoints -------------------------------------------------------------------------------------


@row("Endpoint.close")
async def test_close_has_ended_it(service: FakeService) -> None:
    gate = Gate()

    async def slow(arrived: Arrived) -> None:
        await gate.wait()

    service.on_unbind = slow
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        await cancelled(listener.close(), gate.reached)
        assert listener.done()
        assert agent.endpoints == []
        assert service.last.unbinds == [listener.id]
        gate.opened.set()


@row("Endpoint.update")
async def test_update_keeps_what_it_had(service: FakeService) -> None:
    gate = Gate()

    async def slow(arrived: Arrived) -> PatchResp:
        await gate.wait()
        return PatchResp()

    service.on_patch = slow
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://", name="before")
        await cancelled(listener.update(name="after"), gate.reached)
        gate.opened.set()
        assert listener.name == "before"
        service.last.drop()
        await service.until(lambda: len(service.arrived) == 2 and len(service.last.binds) == 1)
        assert service.last.binds[0].extra.name == "before"


@row("Endpoint.wait")
async def test_wait_changes_nothing(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        await cancelled(listener.wait(), lambda: True)
        assert not listener.done()


@row("EndpointListener.serve")
async def test_serve_stops_accepting(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        waiters = listener._waiters  # pyright: ignore[reportPrivateUsage]
        await cancelled(listener.serve(_hold, grace=0.01), lambda: bool(waiters))
        assert not listener.done()
        recorder = Recorder(service.bell)
        recorder.pipe = service.last.visit(listener.id, recorder)
        assert isinstance(await still_accepts(listener), str)


async def _hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def still_accepts(listener: EndpointListener) -> str:
    async with await listener.accept() as connection:
        return connection.remote_addr


# -- the agent -------------------------------------------------------------------------------------


@row("disconnect")
async def test_disconnect_has_ended_all(service: FakeService) -> None:
    async with agent_of(service) as agent, upstream(echo) as server:
        forwarder = await agent.forward(server.port, url="tcp://")
        await cancelled(agent.disconnect(), forwarder.done)
        assert not agent.connected
        assert agent.endpoints == []
        await service.until(lambda: service.last.closed)
        assert "no error" in str(service.last.cause)  # it was told, not just cut


@row("diagnose")
async def test_diagnose_leaves_nothing(service: FakeService) -> None:
    gate = Gate()

    async def slow(arrived: Arrived) -> Any:
        await gate.wait()

    service.on_srv_info = slow
    await cancelled(agent_of(service).diagnose(), gate.reached)
    await service.until(lambda: service.last.closed)
