"""Any Pipe as an asyncio transport."""

import asyncio
import random
from collections.abc import Callable

import pytest
from tests.kit.certs import Certs
from tests.kit.pipes import Bell, End, Recorder, spin_until, turns
from tests.kit.readers import open_reader_writer

from portway.errors import StreamReset
from portway.net.memory import MemoryPipe, memory_pair
from portway.net.transport import DISCARD, PipeResetError, StreamTransport


def _joined() -> tuple[asyncio.StreamReader, asyncio.StreamWriter, End, MemoryPipe]:
    """A reader and writer at one end of a Pipe, a recorder at the other."""
    near, far = memory_pair()
    reader, writer, sink = open_reader_writer(near, extra={"peername": "192.0.2.1:5"})
    near.attach(sink)
    end = End(far, Recorder(Bell()))
    far.attach(end.sink)
    return reader, writer, end, near


async def test_reader_and_writer_move_megabytes() -> None:
    """Both ways at once, against the windows; drain waits while the Pipe is parked."""
    reader, writer, end, near = _joined()
    there, back = random.Random(1).randbytes(3_000_000), random.Random(2).randbytes(3_000_000)

    async def write() -> None:
        for at in range(0, len(there), 50_000):
            writer.write(there[at : at + 50_000])
            assert writer.transport.get_write_buffer_size() < 65_536 + 50_000 + 1
            await writer.drain()
        writer.write_eof()

    async def read() -> bytes:
        return await reader.readexactly(len(back))

    _, got, _ = await asyncio.gather(write(), read(), end.put(back))
    await end.sink.bell.until(lambda: end.sink.ends == 1)
    assert got == back
    assert end.sink.data == there
    assert writer.get_extra_info("peername") == "192.0.2.1:5"
    end.pipe.end()
    assert await reader.read() == b""
    assert near.outstanding == 0
    writer.close()
    await writer.wait_closed()


async def test_a_reader_that_does_not_read_holds_back_the_writer() -> None:
    """The StreamReader pauses at twice its limit; then credit runs out; memory stays bounded."""
    reader, writer, end, near = _joined()
    sent = bytearray()
    while True:
        sent += end.put_until_parked(10_000_000)
        rooms = end.sink.rooms
        await turns(20)
        if end.sink.rooms == rooms:
            break
    assert len(sent) < 262_144 * 2 + 4 * 65_536
    assert near.outstanding > 0
    end.pipe.end()
    assert await reader.read() == sent
    assert near.outstanding == 0
    writer.close()


async def test_close_sends_what_is_queued_then_ends() -> None:
    """Megabytes written without drain, and close at once: all arrive, then the end."""
    _, writer, end, _ = _joined()
    end.sink.consuming = False
    data = random.Random(3).randbytes(1_000_000)
    writer.write(data)
    writer.close()
    assert writer.is_closing()
    await turns(5)
    assert not end.sink.ends
    end.sink.consume_all()
    await writer.wait_closed()
    await end.sink.bell.until(lambda: end.sink.ends == 1)
    assert end.sink.data == data
    assert not end.sink.resets


async def test_after_close_what_comes_is_discarded_up_to_a_bound() -> None:
    """An answer before the whole request was read: the peer may finish, but not go on for ever."""
    _, writer, end, _ = _joined()
    writer.write(b"413")
    writer.close()
    await writer.wait_closed()
    await end.put(b"x" * DISCARD)
    await end.sink.bell.until(lambda: end.sink.ends == 1)
    assert not end.sink.resets
    end.pipe.send(b"x")
    await end.sink.bell.until(lambda: end.sink.resets == [6])


async def test_a_reset_is_a_connection_error_and_ours() -> None:
    """asyncio's code catches the one, ours the other."""
    reader, writer, end, _ = _joined()
    end.pipe.abort(7)
    with pytest.raises(ConnectionResetError) as caught:
        await reader.read()
    assert isinstance(caught.value, StreamReset)
    assert caught.value.code == 7
    with pytest.raises(ConnectionResetError):
        await writer.drain()
    with pytest.raises(PipeResetError):
        await writer.wait_closed()


async def test_abort_resets_the_other_end() -> None:
    """What is queued is dropped."""
    reader, writer, end, _ = _joined()
    end.sink.consuming = False
    writer.write(b"x" * 400_000)
    writer.transport.abort()
    writer.transport.abort()
    await end.sink.bell.until(lambda: end.sink.resets == [6])
    assert await reader.read() == b""


async def test_writing_after_an_end() -> None:
    """After write_eof it is a bug, after close it is dropped, as with sockets."""
    _, writer, end, _ = _joined()
    writer.write_eof()
    writer.write_eof()
    with pytest.raises(RuntimeError, match="after write_eof"):
        writer.write(b"x")
    writer.close()
    writer.write(b"dropped")
    await writer.wait_closed()
    await end.sink.bell.until(lambda: end.sink.ends == 1)
    assert end.sink.data == b""


class Script(asyncio.Protocol):
    """A protocol that writes down its calls, and may misbehave."""

    def __init__(self, on_data: Callable[[bytes], None] | None = None, *, stay: bool = False) -> None:
        """`stay` is the answer to eof_received."""
        self.calls: list[str] = []
        self.data = bytearray()
        self.on_data = on_data
        self.stay = stay
        self.error: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note."""
        self.calls.append("made")

    def data_received(self, data: bytes) -> None:
        """Note."""
        assert type(data) is bytes
        self.calls.append("data")
        self.data += data
        if self.on_data is not None:
            self.on_data(data)

    def eof_received(self) -> bool:
        """Note."""
        self.calls.append("eof")
        return self.stay

    def pause_writing(self) -> None:
        """Note."""
        self.calls.append("pause")

    def resume_writing(self) -> None:
        """Note."""
        self.calls.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        """Note."""
        self.calls.append("lost")
        self.error = exc


def _script(script: Script) -> tuple[StreamTransport, End]:
    near, far = memory_pair()
    transport = StreamTransport(asyncio.get_running_loop(), script)
    near.attach(transport)
    end = End(far, Recorder(Bell()))
    far.attach(end.sink)
    transport.join(near)
    return transport, end


async def test_the_order_of_calls() -> None:
    """made, data, eof, and lost exactly once: asyncio's contract."""
    script = Script()
    transport, end = _script(script)
    end.pipe.send(b"one")
    end.pipe.end()
    await end.sink.bell.until(lambda: end.sink.ends == 1)  # eof_received said no: closed
    await spin_until(lambda: "lost" in script.calls)
    transport.close()
    transport.abort()
    await turns(3)
    assert script.calls == ["made", "data", "eof", "lost"]
    assert script.error is None
    assert "closed" in repr(transport)


async def test_a_protocol_that_stays_after_eof() -> None:
    """Half-close: it may write on."""
    script = Script(stay=True)
    transport, end = _script(script)
    end.pipe.end()
    await spin_until(lambda: "eof" in script.calls)
    transport.writelines([b"still ", bytearray(b"here"), memoryview(b"!")])
    transport.close()
    await end.sink.bell.until(lambda: end.sink.ends == 1)
    assert end.sink.data == b"still here!"


async def test_pausing_keeps_order_and_holds_back_eof() -> None:
    """While paused nothing is delivered; then everything, then the end, and not within the call."""
    script = Script(stay=True)
    transport, end = _script(script)
    transport.pause_reading()
    assert not transport.is_reading()
    end.pipe.send(b"one ")
    end.pipe.send(b"two ")
    end.pipe.end()
    await turns(5)
    assert script.calls == ["made"]
    transport.resume_reading()
    assert script.calls == ["made"]
    await spin_until(lambda: "eof" in script.calls)
    assert script.data == b"one two "
    transport.abort()


async def test_pausing_in_the_midst_of_a_delivery() -> None:
    """A protocol that pauses in data_received gets one piece per resume."""
    transport: StreamTransport
    script = Script(on_data=lambda _: transport.pause_reading(), stay=True)
    transport, end = _script(script)
    for piece in (b"1", b"2", b"3"):
        end.pipe.send(piece)
    await turns(3)
    assert script.data == b"1"
    for _ in range(2):
        transport.resume_reading()
        await turns(3)
    assert script.data == b"123"
    transport.abort()


async def test_water_marks() -> None:
    """pause_writing above high, resume_writing at low."""
    script = Script(stay=True)
    transport, end = _script(script)
    end.sink.consuming = False
    transport.set_write_buffer_limits(high=1000)
    assert transport.get_write_buffer_limits() == (250, 1000)
    transport.write(b"x" * 262_144)
    assert "pause" not in script.calls
    transport.write(b"y" * 1000)
    assert "pause" not in script.calls
    transport.write(b"z")
    assert script.calls[-1] == "pause"
    assert transport.get_write_buffer_size() == 1001
    await turns(3)
    end.sink.consume_all()
    await spin_until(lambda: script.calls[-1] == "resume")
    with pytest.raises(ValueError, match="must be >="):
        transport.set_write_buffer_limits(high=1, low=2)
    transport.abort()


async def test_a_faulty_protocol_ends_its_own_stream_only() -> None:
    """Its exception goes to the loop's handler; the other end sees a reset."""

    def fail(data: bytes) -> None:
        raise ZeroDivisionError("a bug of the application")

    told: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    script = Script(on_data=fail)
    _, end = _script(script)
    end.pipe.send(b"x")
    await end.sink.bell.until(lambda: end.sink.resets == [6])
    await spin_until(lambda: "lost" in script.calls)
    assert isinstance(told[0], ZeroDivisionError)


class Buffered(asyncio.BufferedProtocol):
    """A protocol that offers its own, small space."""

    def __init__(self) -> None:
        """Make one."""
        self.space = bytearray(7)
        self.data = bytearray()

    def get_buffer(self, sizehint: int) -> bytearray:
        """Offer seven bytes."""
        return self.space

    def buffer_updated(self, nbytes: int) -> None:
        """Take them."""
        self.data += self.space[:nbytes]


async def test_buffered_protocols_and_set_protocol() -> None:
    """A BufferedProtocol is filled in turns; protocols can be changed on the way."""
    script = Script(stay=True)
    transport, end = _script(script)
    buffered = Buffered()
    end.pipe.send(b"to the first")
    await spin_until(lambda: bool(script.data))
    transport.set_protocol(buffered)
    assert transport.get_protocol() is buffered
    end.pipe.send(bytes(range(100)))
    await spin_until(lambda: len(buffered.data) == 100)
    assert buffered.data == bytes(range(100))
    assert script.data == b"to the first"
    transport.abort()


async def test_asyncios_start_tls_runs_over_a_pipe(certs: Certs) -> None:
    """An application's own TLS inside a stream, where the loop allows it: asyncio's does."""
    loop = asyncio.get_running_loop()
    near, far = memory_pair()
    client, server = StreamTransport(loop, Script()), StreamTransport(loop, Script())
    for transport, pipe in ((client, near), (server, far)):
        pipe.attach(transport)
        transport.join(pipe)
    if type(loop).__module__.startswith("uvloop"):
        with pytest.raises(TypeError):
            await loop.start_tls(client, Script(), certs.client)
        return
    asked, answered = Script(stay=True), Script(stay=True)
    client_tls, server_tls = await asyncio.gather(
        loop.start_tls(client, asked, certs.client, server_hostname="localhost"),
        loop.start_tls(server, answered, certs.server, server_side=True),
    )
    assert client_tls is not None
    assert server_tls is not None
    client_tls.write(b"secret")
    await spin_until(lambda: bytes(answered.data) == b"secret")
    client_tls.close()
    await spin_until(lambda: "lost" in asked.calls and "lost" in answered.calls)
