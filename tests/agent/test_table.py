"""Visitors who come before their bind is answered."""

import asyncio

import pytest
from tests.kit.fake_service import Arrived, FakeService, agent_of
from tests.kit.pipes import Recorder
from tests.kit.tape import Tape

from portway.agent.table import Dropped, Held, Table
from portway.errors import Error
from portway.wire.messages import Bind, BindResp, ProxyHeader

HEADER = ProxyHeader("ep_1", "1.2.3.4:5", "tcp", "0", False)


async def test_a_visitor_right_behind_the_answer_is_not_lost(service: FakeService) -> None:
    recorder = Recorder(service.bell)

    async def at_once(arrived: Arrived, bind: Bind) -> BindResp:
        answer = await service.grant(arrived, bind)
        recorder.pipe = arrived.visit(answer.id, recorder, b"early")
        recorder.pipe.send(b" bird")
        recorder.pipe.end()
        return answer

    service.on_bind = at_once
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        connection = await listener.accept()
        assert await connection.reader.read() == b"early bird"
        connection.writer.write(b"worm")
        await connection.close()
        await service.until(lambda: bool(recorder.ends))
        assert bytes(recorder.data) == b"worm"


async def test_a_visitor_of_a_bind_that_is_refused_is_ended(service: FakeService) -> None:
    recorder = Recorder(service.bell)

    async def refuse(arrived: Arrived, bind: Bind) -> BindResp:
        recorder.pipe = arrived.visit("ep_1", recorder, b"early")
        raise Error("no", 334)

    service.on_bind = refuse
    async with agent_of(service) as agent:
        with pytest.raises(Error):
            await agent.listen("tcp://")
        await service.until(lambda: bool(recorder.ends))
        assert not recorder.data


async def test_two_binds_at_once_sort_their_visitors(service: FakeService) -> None:
    recorders: dict[str, Recorder] = {}
    both = asyncio.Event()

    async def at_once(arrived: Arrived, bind: Bind) -> BindResp:
        answer = await service.grant(arrived, bind)
        recorder = recorders[answer.id] = Recorder(service.bell)
        recorder.pipe = arrived.visit(answer.id, recorder, answer.id.encode())
        if len(recorders) == 2:
            both.set()
        await both.wait()
        return answer

    service.on_bind = at_once
    async with agent_of(service) as agent:
        listeners = await asyncio.gather(agent.listen("tcp://"), agent.listen("tcp://"))
        for listener in listeners:
            connection = await listener.accept()
            assert await connection.reader.readexactly(4) == listener.id.encode()
            connection.abort()


async def test_a_stop_right_behind_the_answer_is_not_lost(service: FakeService) -> None:
    async def stop(arrived: Arrived, bind: Bind) -> BindResp:
        answer = await service.grant(arrived, bind)
        arrived.stop_tunnel(answer.id, "Gone again.", "ERR_NGROK_401")
        return answer

    service.on_bind = stop
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        await listener.wait()
        with pytest.raises(Error, match="Gone again"):
            await listener.accept()
        assert agent.endpoints == []


def test_without_a_bind_under_way_nobody_is_held() -> None:
    table = Table()
    assert table.take(HEADER, Tape()) is None
    with table.binding():
        held = table.take(HEADER, tape := Tape())
        assert held is not None
        assert "held=1" in repr(table)
    assert tape.calls == ["end"]
    held.on_data(memoryview(b"too late"))
    assert tape.calls == ["end", "consume 8"]


def test_one_that_was_reset_while_held_is_forgotten() -> None:
    held = Held(HEADER, tape := Tape())
    held.on_data(memoryview(b"abc"))
    held.on_reset(14)
    held.give_to(None)
    assert tape.calls == []


def test_what_is_dropped_lets_the_peer_finish() -> None:
    tape = Tape()
    dropped = Dropped(tape)
    dropped.on_data(memoryview(b"abc"))
    dropped.on_room()
    dropped.on_end()
    dropped.on_reset(6)
    assert tape.calls == ["consume 3"]
