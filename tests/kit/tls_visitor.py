"""A visitor whose TLS is under the test's control: a socket and a pump."""

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from portway.errors import ConnectError
from portway.net.dial import dial
from portway.net.tls import TlsPump

PATIENCE = 10.0


class TlsVisitor(asyncio.Protocol):
    """One connection. What was said to it stands in ``plain``, what went wrong with its TLS in ``error``."""

    def __init__(self, context: ssl.SSLContext, name: str) -> None:
        self.pump = TlsPump(context, server_side=False, server_hostname=name)
        self.transport: asyncio.Transport | None = None
        self._plain = bytearray()
        self.error: ConnectError | None = None
        #: The service has ended its direction, or the connection.
        self.lost = asyncio.Event()
        self.changed = asyncio.Event()
        #: The same as it came.
        self.raw = bytearray()
        self.closed = asyncio.Event()

    @property
    def plain(self) -> bytes:
        """What the service has said."""
        return bytes(self._plain)

    def forget(self) -> None:
        """Forget what it has said so far."""
        self._plain.clear()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._go()

    def data_received(self, data: bytes) -> None:
        self.raw += data
        self.pump.received(data)
        self._go()

    def _go(self) -> None:
        view = memoryview(bytearray(65_536))
        try:
            if self.pump.secure or self.pump.handshake():
                while n := self.pump.read_into(view):
                    self._plain += view[:n]
        except ConnectError as error:
            self.error = error
        self.flush()
        self.changed.set()

    def flush(self) -> None:
        assert self.transport is not None
        if self.pump.has_output:
            self.transport.write(self.pump.output())

    def say(self, data: bytes) -> None:
        self.pump.write(data)
        self.flush()

    def end(self) -> None:
        self.pump.close_notify()
        self.flush()

    def eof_received(self) -> bool:
        self.lost.set()
        self.changed.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()
        self.lost.set()
        self.changed.set()

    async def until(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not what():
                self.changed.clear()
                await self.changed.wait()

    async def gone(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.lost.wait()


_made: list[TlsVisitor] = []


async def tls_visitor(port: int, context: ssl.SSLContext, name: str) -> TlsVisitor:
    """Connect to a port of this machine, asking for a name."""
    _, visitor = await dial("127.0.0.1", port, lambda: TlsVisitor(context, name))
    _made.append(visitor)
    return visitor


async def close_visitors() -> None:
    """Close all that a test has made."""
    while _made:
        visitor = _made.pop()
        if visitor.transport is not None:
            visitor.transport.abort()
            async with asyncio.timeout(PATIENCE):
                await visitor.closed.wait()
