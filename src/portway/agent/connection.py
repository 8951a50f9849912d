"""A visitor's connection in the hands of an application."""

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Self

from portway.net.transport import open_reader_writer
from portway.pipe import Pipe, Sink
from portway.wire.messages import ProxyHeader

if TYPE_CHECKING:
    from portway.agent.endpoint import EndpointListener


class Connection:
    """One visitor's bytes, both ways: HTTP/1.1 on http and https endpoints, raw bytes on the others.

    ``reader`` and ``writer`` are asyncio's own. Half-close is kept: the reader's end of file is the
    visitor's, ``writer.write_eof()`` ends our direction and reading goes on.
    """

    __slots__ = ("_header", "endpoint", "reader", "writer")

    def __init__(
        self,
        endpoint: "EndpointListener",
        header: ProxyHeader,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Made by `EndpointListener.accept` only."""
        self.endpoint = endpoint
        self.reader = reader
        self.writer = writer
        self._header = header

    def __repr__(self) -> str:
        """Show who visits what."""
        return f"<Connection {self.remote_addr} to {self.endpoint.url}>"

    @property
    def remote_addr(self) -> str:
        """Return the visitor's ``ip:port`` (IPv6 in brackets), as the service saw it."""
        return self._header.client_addr

    @property
    def protocol(self) -> str:
        """Return what the bytes are: http, https, tcp or tls."""
        return self._header.proto

    @property
    def passthrough_tls(self) -> bool:
        """Return whether the bytes are the visitor's own TLS."""
        return self._header.passthrough_tls

    async def close(self) -> None:
        """Send what was written, then end it. Cancelling leaves it closing."""
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass  # the visitor went first

    def abort(self) -> None:
        """Cut it now; the visitor sees a reset."""
        self.writer.transport.abort()

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()


def open_connection(endpoint: "EndpointListener", header: ProxyHeader, pipe: Pipe) -> tuple[Connection, Sink]:
    """Make a connection over a pipe, and the Sink that the pipe needs."""
    extra = {"peername": peername(header.client_addr)}
    reader, writer, transport = open_reader_writer(pipe, extra=extra)
    return Connection(endpoint, header, reader, writer), transport


def peername(address: str) -> tuple[str, int]:
    """Return ``ip:port`` as sockets do, ("", 0) when it is not an address."""
    host, _, port = address.rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdecimal() else ("", 0)
