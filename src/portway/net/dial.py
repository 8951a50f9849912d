"""Making connections: to an upstream, to the service.

A name is resolved at every call, in a thread of the loop's: a local service may move between two
connections, and a cache of ours would outlive the system's own.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from portway.errors import ConnectError
from portway.net.deadline import deadlines

P = TypeVar("P", bound=asyncio.BaseProtocol)

#: Always this machine (RFC 6761 section 6.3). To resolve it would cost more than to connect.
LOCALHOST = "localhost"
LOOPBACK = ("127.0.0.1", "::1")

#: Seconds that a connection may take, name resolution included.
DIAL_TIMEOUT = 3.0


def dial(
    host: str, port: int, factory: Callable[[], P], *, timeout: float | None = DIAL_TIMEOUT
) -> Coroutine[Any, Any, tuple[asyncio.Transport, P]]:
    """Connect to `host`:`port` over TCP and join the connection to what `factory` makes.

    `timeout` is in seconds, None for no limit but the system's. All addresses of a name are tried in
    turn. Raises ConnectError("tcp"). Cancelling leaves no socket behind. To be awaited in a task.
    """
    if not 0 < port <= 65_535:  # uvloop would take it modulo 65536
        raise ConnectError("tcp", f"cannot connect to {host}:{port}: ports are 1 to 65535")
    loop = asyncio.get_running_loop()
    if host == LOCALHOST:
        attempt = _dial_loopback(port, factory)
    else:
        attempt = loop.create_connection(factory, host, port)
    return _connect(loop, attempt, f"{host}:{port}", timeout)


async def _dial_loopback(port: int, factory: Callable[[], P]) -> tuple[asyncio.Transport, P]:
    """Connect to this machine without asking the resolver, IPv4 first: many services know no other."""
    loop = asyncio.get_running_loop()
    first, second = LOOPBACK
    try:
        return await loop.create_connection(factory, first, port)
    except OSError as error:
        try:
            return await loop.create_connection(factory, second, port)
        except OSError:
            raise error from None


def dial_unix(
    path: str, factory: Callable[[], P], *, timeout: float | None = DIAL_TIMEOUT
) -> Coroutine[Any, Any, tuple[asyncio.Transport, P]]:
    """Connect to the Unix socket at `path`; otherwise like `dial`."""
    loop = asyncio.get_running_loop()
    return _connect(loop, loop.create_unix_connection(factory, path), path, timeout)


async def _connect(
    loop: asyncio.AbstractEventLoop,
    attempt: Awaitable[tuple[asyncio.Transport, P]],
    where: str,
    timeout: float | None,
) -> tuple[asyncio.Transport, P]:
    waits = deadlines(loop)
    task = waits.enter(timeout)
    late = False
    try:
        try:
            return await attempt
        finally:
            late = waits.leave(task)
    except asyncio.CancelledError as error:
        if not late:
            raise
        raise _no_answer(where, timeout) from error
    except TimeoutError as error:  # the system's own
        raise _no_answer(where, timeout) from error
    except (OSError, ValueError) as error:  # ValueError: a host that no resolver takes
        raise ConnectError("tcp", f"cannot connect to {where}: {_reason(error)}") from error


def _no_answer(where: str, timeout: float | None) -> ConnectError:
    within = f" within {timeout:g} s" if timeout is not None else ""
    return ConnectError("tcp", f"cannot connect to {where}: no answer{within}")


def _reason(error: Exception) -> str:
    """Say why in words; asyncio's own text repeats the address and the call."""
    if isinstance(error, OSError) and error.strerror:
        if error.errno is not None and error.errno > 0:
            return os.strerror(error.errno).lower()
        return error.strerror.lower()  # of the resolver, whose numbers are negative
    return str(error).lower()
