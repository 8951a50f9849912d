"""Connections through a proxy, HTTP CONNECT or SOCKS5.

Theory of operation
-------------------
`_Talk` is the protocol of the socket while the conversation (`net.conversation`) goes on. When it is done,
reading is paused, the transport changes its protocol, and whatever came behind the proxy's last word is
fed to the new one before anything else is read.

With an ``https`` proxy the transport is the loop's own TLS transport, so that a protocol that brings a
TLS of its own runs inside it unchanged. The proxy's certificate is judged by the authorities of this
machine; those of the service have no say in it, nor the other way round.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar, cast

from portway.errors import ConnectError
from portway.net.conversation import HEAD_LIMIT, Conversation, conversation_with
from portway.net.dial import dial
from portway.net.proxy_url import Proxy, authority
from portway.net.tls import agent_context

P = TypeVar("P", bound=asyncio.BufferedProtocol)
B = TypeVar("B", bound=asyncio.BaseProtocol)


class _Talk(asyncio.BufferedProtocol):
    """The protocol of the socket until the way is open."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._buffer = memoryview(bytearray(HEAD_LIMIT))
        self._transport: asyncio.Transport | None = None
        #: None once the way is open, else what prevented it.
        self.over: asyncio.Future[ConnectError | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by class
        self._transport.write(self._conversation.begin())

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        transport = self._transport
        if transport is None or self.over.done():
            return  # the page that explains a refusal
        try:
            answer = self._conversation.feed(bytes(self._buffer[:nbytes]))
        except ConnectError as error:
            self._end(error)
            return
        if answer:
            transport.write(answer)
        if self._conversation.done:
            transport.pause_reading()  # what comes now is not for us
            self._end(None)

    def eof_received(self) -> bool:
        self._end(self._conversation.refusal("closed the connection before it had connected us"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(self.lost())

    def lost(self) -> ConnectError:
        return self._conversation.refusal("broke the connection before it had connected us")

    @property
    def rest(self) -> bytes:
        return self._conversation.rest

    def _end(self, error: ConnectError | None) -> None:
        if not self.over.done():
            self.over.set_result(error)


class Dial(Protocol):
    """What connects to the proxy itself: `net.dial.dial`, or something with its contract."""

    def __call__(
        self, host: str, port: int, factory: Callable[[], B], /, *, timeout: float | None
    ) -> Awaitable[tuple[asyncio.Transport, B]]:
        """Connect, and join the connection to what `factory` makes. Raises ConnectError."""
        ...


async def dial_through(
    proxy: Proxy,
    host: str,
    port: int,
    factory: Callable[[], P],
    *,
    timeout: float | None,
    dial: Dial = dial,
) -> tuple[asyncio.Transport, P]:
    """Connect to `host`:`port` through `proxy` and join the connection to what `factory` makes.

    `timeout` is in seconds, for everything until the way is open; None for no limit. `dial` makes the
    connection to the proxy. Raises ConnectError("proxy"), ConfigError when this machine's authorities
    cannot be read, and what `factory` raises. Then, and when cancelled, no socket is left behind.
    """
    talk = _Talk(conversation_with(proxy, host, port))
    try:
        async with asyncio.timeout(timeout):
            transport = await _reach(proxy, talk, dial)
            await _agreed(transport, talk)
    except TimeoutError:
        within = f" within {timeout:g} s" if timeout is not None else ""
        raise ConnectError(
            "proxy", f"the proxy {proxy} did not connect to {authority(host, port)}{within}"
        ) from None
    try:
        protocol = factory()
    except BaseException:
        transport.abort()
        raise
    _hand_over(transport, protocol, talk.rest)
    return transport, protocol


async def _reach(proxy: Proxy, talk: _Talk, dial: Dial) -> asyncio.Transport:
    """Connect to the proxy, by TLS where its scheme says so, and begin to talk."""
    secure = proxy.scheme == "https"
    context = agent_context() if secure else None
    try:
        if context is None:
            transport, _ = await dial(proxy.host, proxy.port, lambda: talk, timeout=None)
        else:
            transport, _ = await dial(proxy.host, proxy.port, asyncio.Protocol, timeout=None)
    except ConnectError as error:
        raise ConnectError("proxy", f"the proxy {proxy} cannot be reached: {error}") from error
    if context is not None:
        transport = await _secured(proxy, transport, talk, context)
        talk.connection_made(transport)
    return transport


async def _secured(
    proxy: Proxy, transport: asyncio.Transport, talk: _Talk, context: ssl.SSLContext
) -> asyncio.Transport:
    """Put TLS with the proxy itself on the connection."""
    loop = asyncio.get_running_loop()
    try:
        secured = await loop.start_tls(transport, talk, context, server_hostname=proxy.host)
    except ssl.SSLCertVerificationError as error:
        reason = f"its certificate is not valid: {error.verify_message}"
    except ssl.SSLError as error:
        reason = str(error.reason or "the connection was closed").replace("_", " ").lower()
    except (OSError, ValueError):  # ValueError: a host that cannot be a server's name
        reason = "the connection was closed"
    else:
        if secured is not None:
            return secured
        reason = "the connection was closed"
    transport.abort()
    raise ConnectError("proxy", f"the proxy {proxy} cannot be reached by TLS: {reason}")


async def _agreed(transport: asyncio.Transport, talk: _Talk) -> None:
    """Wait until the way is open. Raises ConnectError("proxy") when it never will."""
    try:
        error = await talk.over
    except BaseException:
        transport.abort()
        raise
    if error is None and transport.is_closing():  # it was lost on the way here
        error = talk.lost()
    if error is not None:
        transport.abort()
        raise error


def _hand_over(transport: asyncio.Transport, protocol: asyncio.BufferedProtocol, rest: bytes) -> None:
    """Let `protocol` have the connection from here on, `rest` first."""
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    while rest:
        view = memoryview(protocol.get_buffer(len(rest)))
        size = min(len(view), len(rest))
        view[:size] = rest[:size]
        protocol.buffer_updated(size)
        rest = rest[size:]
    if not transport.is_closing():
        transport.resume_reading()
