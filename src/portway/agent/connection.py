"""A visitor's connection in the hands of an application."""

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Self

from portway.net.tls import Agreed
from portway.net.tls_filter import TlsFilter
from portway.net.transport import StreamTransport
from portway.pipe import Pipe, Sink
from portway.wire.messages import ProxyHeader

if TYPE_CHECKING:
    from portway.agent.endpoint import EndpointListener

LIMIT = 65_536
"""Bytes that a reader holds before it stops reading is twice this: asyncio's own default."""


class Connection:
    """One visitor's bytes, both ways: HTTP/1.1 on http and https endpoints, raw bytes on the others.

    ``reader`` and ``writer`` are asyncio's own. Half-close is kept: the reader's end of file is the
    visitor's, ``writer.write_eof()`` ends our direction and reading goes on. Whoever has an asyncio
    protocol instead gives it the connection by `use`. Before the one or the other nothing is read, and
    the visitor is held back by the credit that it does not get.
    """

    __slots__ = ("_header", "_streams", "_tls", "_waiting", "endpoint", "transport")

    def __init__(self, endpoint: "EndpointListener", header: ProxyHeader, tls: Agreed | None = None) -> None:
        """Made by `EndpointListener.accept` only."""
        self.endpoint = endpoint
        self._tls = tls
        self._header = header
        self._waiting: _Waiting | None = _Waiting()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.transport = StreamTransport(
            asyncio.get_running_loop(), self._waiting, {"peername": peername(header.client_addr)}
        )
        """What carries the bytes: an ``asyncio.Transport``."""
        self.transport.pause_reading()

    def __repr__(self) -> str:
        """Show who visits what."""
        return f"<Connection {self.remote_addr} to {self.endpoint.url}>"

    @property
    def reader(self) -> asyncio.StreamReader:
        """Return what the visitor's bytes are read from."""
        return self._open_streams()[0]

    @property
    def writer(self) -> asyncio.StreamWriter:
        """Return what is written to the visitor."""
        return self._open_streams()[1]

    def use(self, protocol: asyncio.BaseProtocol) -> None:
        """Give the connection to an asyncio protocol, which sees `connection_made` at once.

        Raises RuntimeError if it is in use already.
        """
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            raise RuntimeError("this connection is in use already")
        waiting.hand_over(self.transport, protocol)

    @property
    def remote_addr(self) -> str:
        """Return the visitor's ``ip:port`` (IPv6 in brackets), as the service saw it."""
        return self._header.client_addr

    @property
    def protocol(self) -> str:
        """Return what the bytes are: http, https, tcp or tls."""
        return self._header.proto

    @property
    def tls(self) -> Agreed | None:
        """Return what the visitor's TLS handshake has settled, its certificate too, if it was with us."""
        return self._tls

    @property
    def passthrough_tls(self) -> bool:
        """Return whether the bytes are the visitor's own TLS."""
        return self._header.passthrough_tls

    async def close(self) -> None:
        """Send what was written, then end it. Cancelling leaves it closing."""
        if self._streams is None and self._waiting is None:
            self.transport.close()  # its protocol hears the rest
            return
        writer = self.writer
        writer.close()
        try:
            await writer.wait_closed()
        except ConnectionError:
            pass  # the visitor went first

    def abort(self) -> None:
        """Cut it now; the visitor sees a reset."""
        self.transport.abort()

    def _open_streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            loop = asyncio.get_running_loop()
            reader = asyncio.StreamReader(limit=LIMIT, loop=loop)
            protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
            self.use(protocol)
            self._streams = reader, asyncio.StreamWriter(self.transport, protocol, reader, loop)
        return self._streams

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()


class _Waiting(asyncio.Protocol):
    """The protocol of a connection that nobody uses yet. It remembers whether it was lost meanwhile."""

    def __init__(self) -> None:
        self._lost: list[Exception | None] = []
        self._next: asyncio.BaseProtocol | None = None

    def hand_over(self, transport: StreamTransport, protocol: asyncio.BaseProtocol) -> None:
        """Let this protocol have the connection, and hear of its end if that has come."""
        self._next = protocol
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._lost:
            asyncio.get_running_loop().call_soon(protocol.connection_lost, self._lost[0])
        else:
            transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remember, or pass on what was under way while the connection was handed over."""
        if self._next is None:
            self._lost.append(exc)
        else:
            self._next.connection_lost(exc)


def open_connection(endpoint: "EndpointListener", header: ProxyHeader, pipe: Pipe) -> tuple[Connection, Sink]:
    """Make a connection over a pipe, and the Sink that the pipe needs."""
    connection = Connection(endpoint, header, pipe.agreed if isinstance(pipe, TlsFilter) else None)
    connection.transport.join(pipe)
    return connection, connection.transport


def peername(address: str) -> tuple[str, int]:
    """Return ``ip:port`` as sockets do, ("", 0) when it is not an address."""
    host, _, port = address.rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdecimal() else ("", 0)
