"""A visitor's connection in the hands of an application."""

import asyncio

import pytest
from tests.kit.fake_service import FakeService, agent_of
from tests.kit.pipes import Bell, Recorder, spin_until

from portway.agent.connection import open_connection, peername
from portway.errors import StreamReset
from portway.net.memory import memory_pair
from portway.wire.messages import ProxyHeader

HEADER = ProxyHeader("ep_1", "[2001:db8::1]:443", "tls", "0", True)


@pytest.mark.row("A15")
@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("1.2.3.4:5", ("1.2.3.4", 5)),
        ("[::1]:5", ("::1", 5)),
        ("", ("", 0)),
        ("nonsense", ("", 0)),
        ("1.2.3.4:x", ("", 0)),
        (":5", ("", 0)),
    ],
)
def test_a_bad_address_is_tolerated(address: str, expected: tuple[str, int]) -> None:
    assert peername(address) == expected


@pytest.mark.row("G-100", "G-103")
async def test_what_a_connection_tells_of_itself(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen("tls://")
        here, there = memory_pair()
        bell = Bell()
        recorder = Recorder(bell)
        recorder.pipe = there
        there.attach(recorder)
        connection, sink = open_connection(listener, HEADER, here)
        here.attach(sink)
        assert connection.endpoint is listener
        assert connection.remote_addr == "[2001:db8::1]:443"
        assert connection.protocol == "tls"
        assert connection.passthrough_tls
        assert connection.writer.get_extra_info("peername") == ("2001:db8::1", 443)
        assert repr(connection) == f"<Connection [2001:db8::1]:443 to {listener.url}>"
        connection.writer.write(b"bytes")
        connection.writer.write_eof()
        await bell.until(lambda: bool(recorder.ends))
        assert bytes(recorder.data) == b"bytes"
        there.abort(6)
        with pytest.raises(StreamReset):
            await connection.reader.read()
        await connection.close()


async def test_a_connection_that_is_cut(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        recorder = Recorder(service.bell)
        recorder.pipe = service.last.visit(listener.id, recorder)
        connection = await listener.accept()
        connection.abort()
        await service.until(lambda: recorder.resets == [6])


class Collecting(asyncio.Protocol):
    """A protocol that writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.bell = Bell()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.heard.append(transport)

    def data_received(self, data: bytes) -> None:
        self.heard.append(data)
        self.bell.ring()

    def eof_received(self) -> bool:
        self.heard.append("eof")
        self.bell.ring()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.heard.append(exc)
        self.bell.ring()


@pytest.mark.row("G-003")
async def test_a_protocol_of_the_application(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        recorder = Recorder(service.bell)
        stream = recorder.pipe = service.last.visit(listener.id, recorder, b"early")
        connection = await listener.accept()
        stream.end()
        used = Collecting()
        connection.use(used)
        await used.bell.until(lambda: "eof" in used.heard)
        assert used.heard == [connection.transport, b"early", "eof"]
        with pytest.raises(RuntimeError, match="in use"):
            connection.use(Collecting())
        with pytest.raises(RuntimeError, match="in use"):
            _ = connection.reader
        connection.transport.write(b"late")
        await connection.close()
        await service.until(lambda: bool(recorder.ends))
        assert bytes(recorder.data) == b"late"
        await used.bell.until(lambda: used.heard[-1] is None)


async def test_nothing_is_read_before_it_is_used(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        recorder = Recorder(service.bell)
        stream = recorder.pipe = service.last.visit(listener.id, recorder)
        connection = await listener.accept()
        sent = 0
        while taken := stream.send(bytes(65_536)):
            sent += taken
        await asyncio.sleep(0)
        assert stream.send(b"x") == 0  # the window is full, and no credit comes back
        stream.end()
        assert len(await connection.reader.read()) == sent


@pytest.mark.parametrize("late", [False, True])
async def test_a_visitor_that_left_before_it_was_used(service: FakeService, late: bool) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        here, there = memory_pair()
        recorder = Recorder(service.bell)
        recorder.pipe = there
        there.attach(recorder)
        connection, sink = open_connection(listener, HEADER, here)
        here.attach(sink)
        there.abort(6)
        if late:
            await spin_until(connection.transport.is_closing)
            await asyncio.sleep(0)
        used = Collecting()
        connection.use(used)
        await used.bell.until(lambda: len(used.heard) == 2)
        assert isinstance(used.heard[1], StreamReset)


async def test_it_may_be_closed_unused(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        recorder = Recorder(service.bell)
        recorder.pipe = service.last.visit(listener.id, recorder, b"unread")
        await (await listener.accept()).close()
        await service.until(lambda: bool(recorder.ends))
