"""Messages of logs to hosts that somebody else names: UDP, TCP, TLS, under the rules of all such requests."""

import asyncio
import errno
import ssl
from collections.abc import Sequence
from typing import Final

from portway.control.events.sending import Undelivered
from portway.net.web_client import Guard, Resolve, WebFailure, permitted, refuse_self, resolve_here

LINGER: Final = 2.0
"""Seconds for a receiver to end the connection behind our end. One that stays may have read everything."""


class LogWire:
    """Carries messages for every destination; each time over a connection of its own."""

    def __init__(
        self, guard: Guard, *, tls: ssl.SSLContext | None = None, resolve: Resolve = resolve_here
    ) -> None:
        """Reach only what the guard permits. ``tls`` None: trust the authorities of this system."""
        self._guard = guard
        self._tls = tls
        self._resolve = resolve

    def __repr__(self) -> str:
        """Show the guard."""
        return f"<LogWire {self._guard!r}>"

    async def send(
        self, host: str, port: int, protocol: str, messages: Sequence[bytes], timeout: float
    ) -> None:
        """Send messages. Raises Undelivered; then some of them may have arrived."""
        try:
            async with asyncio.timeout(timeout):
                addresses = await permitted(self._guard, self._resolve, host, port)
                if protocol == "udp":
                    await _datagrams(addresses[0], port, messages)
                else:
                    await self._stream(host, addresses, port, b"".join(messages), secure=protocol == "tls")
        except TimeoutError as error:
            raise Undelivered(f"The receiver did not take everything within {timeout:g} s") from error
        except WebFailure as error:
            raise Undelivered(f"The request failed: {error.message}") from error
        except OSError as error:
            raise Undelivered(f"The receiver cannot be reached: {error.strerror or error}") from error

    async def _stream(
        self, host: str, addresses: Sequence[str], port: int, data: bytes, *, secure: bool
    ) -> None:
        if secure and self._tls is None:
            self._tls = await asyncio.to_thread(ssl.create_default_context)
        reader, writer = await _connected(host, addresses, port, self._tls if secure else None)
        try:
            ends = writer.get_extra_info("sockname"), writer.get_extra_info("peername")
            refuse_self(self._guard, host, port, *ends)
            writer.write(data)
            await writer.drain()
            if not secure:
                writer.write_eof()
                try:
                    async with asyncio.timeout(LINGER):
                        await reader.read(1)  # its end, or a reset if it has not read everything
                except TimeoutError:
                    pass
        finally:
            writer.close()
        await _closed(writer)


async def _connected(
    host: str, addresses: Sequence[str], port: int, tls: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first address that answers. Raises OSError."""
    failure: OSError | None = None
    for address in addresses:
        try:
            return await asyncio.open_connection(
                address, port, ssl=tls, server_hostname=host if tls is not None else None
            )
        except OSError as error:
            failure = error
    raise failure or OSError(f"{host} has no address")


async def _closed(writer: asyncio.StreamWriter) -> None:
    """Wait until what was written is on its way; over TLS also for the other's goodbye, if it comes soon."""
    try:
        async with asyncio.timeout(LINGER):
            await writer.wait_closed()
    except TimeoutError:
        writer.transport.abort()


async def _datagrams(address: str, port: int, messages: Sequence[bytes]) -> None:
    """Send each message by itself. Raises Undelivered for one that no datagram can hold."""
    hearing = _Hearing()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: hearing, remote_addr=(address, port)
    )
    try:
        for each in messages:
            transport.sendto(each)
            await asyncio.sleep(0)
            if hearing.failure is not None:
                why, final = hearing.failure.strerror, hearing.failure.errno == errno.EMSGSIZE
                raise Undelivered(f"A datagram of {len(each)} bytes cannot be sent: {why}", final=final)
    finally:
        transport.close()


class _Hearing(asyncio.DatagramProtocol):
    """Hears what the system says of datagrams."""

    def __init__(self) -> None:
        self.failure: OSError | None = None

    def error_received(self, exc: Exception) -> None:
        """One could not be sent, or nobody listens there."""
        if isinstance(exc, OSError):
            self.failure = exc
