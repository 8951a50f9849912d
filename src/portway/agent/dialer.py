"""Connections made by the application: a dialer of its own in place of ours.

A dialer is any object with a method ``dial(network, address)``, where the network is "tcp" and the address
``host:port`` (IPv6 in brackets), or "unix" and a path. It returns a connected stream socket, which is ours
from then on. As a coroutine method it is cancelled when its time is up or its caller gives up; a plain
method may block: it runs in a thread, is not interrupted, and a socket that comes too late is closed.

::

    class Slow:
        async def dial(self, network: str, address: str) -> socket.socket:
            await limiter.take()
            host, _, port = address.rpartition(":")
            made = socket.socket()
            made.setblocking(False)
            await asyncio.get_running_loop().sock_connect(made, (host, int(port)))
            return made

Whatever it raises is a `ConnectError` of the one who wanted the connection, with the cause chained.
"""

import asyncio
import inspect
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

from portway.agent.url import join_host_port
from portway.errors import ConnectError
from portway.net.dial import dial, dial_unix
from portway.net.tasks import told_to_end

P = TypeVar("P", bound=asyncio.BaseProtocol)


@runtime_checkable
class Dialer(Protocol):
    """Makes connections. A coroutine method or a plain one that may block."""

    def dial(self, network: str, address: str, /) -> socket.socket | Awaitable[socket.socket]:
        """Return a stream socket that is connected to ``address``; whatever it raises is a failure."""
        ...


def reach(
    host: str,
    port: int,
    factory: Callable[[], P],
    *,
    dialer: Dialer | None = None,
    path: str = "",
    timeout: float | None,
) -> Coroutine[Any, Any, tuple[asyncio.Transport, P]]:
    """Connect to ``host``:``port``, or to the Unix socket ``path``, by the dialer if there is one.

    Raises ConnectError("tcp"), after ``timeout`` seconds at the latest. Then, and when cancelled, no
    socket is left behind.
    """
    if dialer is not None:
        network, address = ("unix", path) if path else ("tcp", join_host_port(host, port))
        return _dial_by(dialer, network, address, factory, timeout)
    if path:
        return dial_unix(path, factory, timeout=timeout)
    return dial(host, port, factory, timeout=timeout)


async def _dial_by(
    dialer: Dialer, network: str, address: str, factory: Callable[[], P], timeout: float | None
) -> tuple[asyncio.Transport, P]:
    """Have the dialer connect, and join the connection to what ``factory`` makes."""
    try:
        async with asyncio.timeout(timeout):
            made = await _ask(dialer, network, address)
    except TimeoutError as error:
        raise ConnectError("tcp", f"cannot connect to {address}: no answer in time") from error
    except (Exception, asyncio.CancelledError) as error:
        if told_to_end(error):
            raise
        reason = str(error) or type(error).__name__
        raise ConnectError("tcp", f"cannot connect to {address}: {reason}") from error
    return await _join(made, address, factory)


async def _ask(dialer: Dialer, network: str, address: str) -> object:
    """Call the dialer: where it may block, in a thread."""
    if inspect.iscoroutinefunction(dialer.dial):
        return await cast("Awaitable[object]", dialer.dial(network, address))
    call = asyncio.get_running_loop().run_in_executor(None, dialer.dial, network, address)
    try:
        made = await asyncio.shield(call)
    except asyncio.CancelledError:
        call.add_done_callback(_discard)
        raise
    return await made if inspect.isawaitable(made) else made


def _discard(call: "asyncio.Future[socket.socket | Awaitable[socket.socket]]") -> None:
    """Close a socket that came when nobody waited for it any more."""
    if not call.cancelled() and call.exception() is None and isinstance(made := call.result(), socket.socket):
        made.close()


async def _join(made: object, address: str, factory: Callable[[], P]) -> tuple[asyncio.Transport, P]:
    if not isinstance(made, socket.socket) or made.type != socket.SOCK_STREAM:
        raise ConnectError(
            "tcp", f"cannot connect to {address}: the dialer returned {made!r}, no stream socket"
        )
    loop = asyncio.get_running_loop()
    try:
        made.setblocking(False)
        if made.family == getattr(socket, "AF_UNIX", None):
            return await loop.create_unix_connection(factory, sock=made)
        return await loop.create_connection(factory, sock=made)
    except OSError as error:
        made.close()
        raise ConnectError("tcp", f"cannot connect to {address}: {error}") from error
    except BaseException:
        made.close()
        raise
