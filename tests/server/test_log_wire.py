"""Messages of logs to receivers of syslog that are played here."""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from tests.kit.http2_client import certs2

from portway.control.events.sending import Undelivered
from portway.model.guard import Guard
from portway.server.log_wire import LogWire

ALLOWED = Guard(["127.0.0.0/8"])


class Receiving:
    """A receiver over TCP or TLS. ``deaf``: it reads nothing and does not end."""

    def __init__(self, *, deaf: bool = False) -> None:
        self.got: asyncio.Queue[bytes] = asyncio.Queue()
        self.port = 0
        self._deaf = asyncio.Event()
        if not deaf:
            self._deaf.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._deaf.wait()
        try:
            self.got.put_nowait(await reader.read(-1))
        finally:
            writer.close()

    def hear(self) -> None:
        self._deaf.set()


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None, *, deaf: bool = False) -> AsyncGenerator[Receiving]:
    made = Receiving(deaf=deaf)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        made.hear()
        server.close()


async def _said(wire: LogWire, port: int, protocol: str, message: bytes = b"x", timeout: float = 20) -> str:
    """Fail to send; return why."""
    with pytest.raises(Undelivered) as failed:
        await wire.send("127.0.0.1", port, protocol, [message], timeout)
    return failed.value.message


async def test_a_stream_carries_all_messages_and_ends() -> None:
    async with receiving() as made, asyncio.timeout(30):
        await LogWire(ALLOWED).send("127.0.0.1", made.port, "tcp", [b"1 a", b"2 bc"], 20)
        assert await made.got.get() == b"1 a2 bc"


async def test_tls_is_verified() -> None:
    certs = certs2()

    async def resolve(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    async with receiving(certs.server) as made, asyncio.timeout(60):
        wire = LogWire(ALLOWED, tls=certs.client, resolve=resolve)
        await wire.send("app.example", made.port, "tls", [b"1 a"], 20)
        assert await made.got.get() == b"1 a"
        stranger = LogWire(ALLOWED, tls=ssl.create_default_context())
        assert "certificate" in await _said(stranger, made.port, "tls")


async def test_datagrams_go_one_by_one() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(20)
        port = receiver.getsockname()[1]
        await LogWire(ALLOWED).send("127.0.0.1", port, "udp", [b"one", b"two"], 20)
        assert [receiver.recv(100), receiver.recv(100)] == [b"one", b"two"]
        assert "70000 bytes" in await _said(LogWire(ALLOWED), port, "udp", b"x" * 70_000)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
async def test_this_machine_is_not_reached_unless_it_is_allowed(protocol: str) -> None:
    async with receiving() as made:
        assert "may not be reached" in await _said(LogWire(Guard()), made.port, protocol)
        own = LogWire(Guard(own=[("127.0.0.1", made.port)]))
        assert "may not be reached" in await _said(own, made.port, protocol)
        assert made.got.empty()


async def test_a_receiver_that_is_not_there_or_takes_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert "cannot be reached" in await _said(LogWire(ALLOWED), port, "tcp")
    async with receiving(deaf=True) as made:
        said = await _said(LogWire(ALLOWED), made.port, "tcp", b"x" * 50_000_000, timeout=0.5)
        assert "within 0.5 s" in said
