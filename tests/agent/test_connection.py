"""A visitor's connection in the hands of an application."""

import pytest
from tests.kit.fake_service import FakeService, agent_of
from tests.kit.pipes import Bell, Recorder

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
