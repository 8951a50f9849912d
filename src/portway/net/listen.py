"""Accepting connections, also when the machine is full.

We accept ourselves (readiness, then batches of `accept`) and hand each socket to the loop, because
of what the loops do when descriptors run out: asyncio stops for a second and logs each time; uvloop's
library accepts and drops the visitors, or closes the listener for good. Here: stop for 100 ms, say so
once, go on. The visitors wait in the kernel's backlog meanwhile.

The price, measured over loopback with connections that carry two small packets, is 1.0 to 1.3 times the
CPU of `loop.create_server` on uvloop and 0.9 to 1.1 times on asyncio (a busy machine: noise is in it).
"""

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable, Coroutine, Sequence
from operator import methodcaller
from typing import TYPE_CHECKING, Any, cast

from portway.errors import ConfigError
from portway.net.address import written
from portway.net.leg import LINGER_0

#: Connections that the kernel keeps for us until we accept them. Linux cuts it to net.core.somaxconn.
BACKLOG = 4096
#: Accepts per readiness event; after these the other sockets of the loop have their turn.
BATCH = 64
#: Seconds without accepting when descriptors or buffers have run out.
PAUSE = 0.1
#: Seconds between two log lines about that.
LOG_INTERVAL = 60.0

#: Seconds of silence before the kernel asks whether the peer is still there (SO_KEEPALIVE).
KEEPALIVE_IDLE = 60
#: Seconds between two such questions.
KEEPALIVE_INTERVAL = 15
#: Questions without an answer after which the connection is lost.
KEEPALIVE_PROBES = 4

#: Whether what is accepted has the options of the listening socket, SO_LINGER among them.
INHERITS = os.name == "posix"

# What `socket.accept` is made of. It then asks the listening socket for its family and type by way of
# their enumerations, which costs as much as the system call.
accept: Callable[[socket.socket], tuple[int, object]] = methodcaller("_accept")


class Accepted(socket.socket):
    """An accepted connection for the loops: its family and type are numbers, as in what it is made of.

    It must be a `socket.socket`: what is none, uvloop closes once more behind libuv, which has closed it, and
    by then the descriptor may be another thread's. Both loops make it non-blocking.
    """

    __slots__ = ()

    if not TYPE_CHECKING:  # which takes them for properties
        family = socket.SocketType.family
        type = socket.SocketType.type


_STREAM = int(socket.SOCK_STREAM)
_FULL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_log = logging.getLogger("portway.listen")


class Listener:
    """Listening sockets of one name, and the protocol that each connection gets."""

    def __init__(
        self, sockets: Sequence[socket.socket], factory: Callable[[], asyncio.BaseProtocol], *, what: str
    ) -> None:
        """Accept on `sockets`, bound and listening, from now on. `what` names us in logs.

        Needs a running loop. The sockets become ours.
        """
        self.what = what
        self._sockets = list(sockets)
        self._factory = factory
        self._loop = asyncio.get_running_loop()
        self._retry: asyncio.TimerHandle | None = None
        self._resting = False
        self._logged_at = float("-inf")
        self.accepted = 0
        self.pauses = 0
        for sock in self._sockets:
            sock.setblocking(False)
        self._watch()

    @property
    def port(self) -> int:
        """The port, the same for all addresses; 0 after `close` or for a Unix socket."""
        if not self._sockets or self._sockets[0].family == socket.AF_UNIX:
            return 0
        port: int = self._sockets[0].getsockname()[1]
        return port

    @property
    def addresses(self) -> list[str]:
        """What we listen on, as "address:port"."""
        return [written(sock.getsockname()) for sock in self._sockets]

    def rest(self) -> None:
        """Accept no more, but let the kernel take who comes: they wait until `close` resets them."""
        self._pause()
        self._resting = True

    def finish(self) -> None:
        """Accept those who are connected already, for whom `close` would be a reset, then close."""
        for sock in list(self._sockets):
            self._ready(sock, int(sock.family))
        self.close()

    def close(self) -> None:
        """Accept no more. Connections that were accepted live on. Idempotent."""
        self._pause()
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()

    def _pause(self) -> None:
        """Watch no socket, now and later."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        elif not self._resting:
            self._unwatch()

    def _watch(self) -> None:
        self._retry = None
        for sock in self._sockets:
            self._loop.add_reader(sock, self._ready, sock, int(sock.family))

    def _unwatch(self) -> None:
        for sock in self._sockets:
            self._loop.remove_reader(sock)

    def _ready(self, sock: socket.socket, family: int) -> None:
        for _ in range(BATCH):
            if self._retry is not None or self._resting or not self._sockets:
                return  # paused or closed meanwhile
            try:
                descriptor, _address = accept(sock)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._failed(error)
                continue
            self.accepted += 1
            connection = Accepted(family, _STREAM, 0, descriptor)
            joining = self._loop.connect_accepted_socket(self._factory, connection)
            _Joining(joining, connection, self.what).step()

    def _failed(self, error: OSError) -> None:
        """Judge a failed accept: one visitor's bad luck, or a machine that is full."""
        if error.errno in (errno.ECONNABORTED, errno.EPROTO, errno.EPERM):
            return  # that connection is gone, or a firewall forbade it; see accept(2)
        self.pauses += 1
        self._unwatch()
        self._retry = self._loop.call_later(PAUSE, self._watch)
        now = self._loop.time()
        if now - self._logged_at >= LOG_INTERVAL:
            self._logged_at = now
            hint = "; raise the limit of open files (ulimit -n)" if error.errno in _FULL else ""
            _log.error("%s: cannot accept: %s%s", self.what, error.strerror, hint)

    def __repr__(self) -> str:
        """Show the addresses and the state."""
        state = "accepting" if self._sockets else "closed"
        if self._sockets and (self._retry or self._resting):
            state = "resting" if self._resting else "paused"
        return f"<Listener {self.what} {' '.join(self.addresses)} {state} accepted={self.accepted}>"


class _Joining:
    """A socket on its way to its protocol: runs the loop's coroutine for that, without a task.

    It awaits once, until `connection_made` was called. A task for that is a tenth of what accepting
    costs in all.
    """

    __slots__ = ("_coro", "_sock", "_what")

    def __init__(self, coro: Coroutine[Any, None, object], sock: socket.socket, what: str) -> None:
        self._coro = coro
        self._sock = sock
        self._what = what

    def step(self, _: object = None) -> None:
        """Run to the next await, or to the end."""
        try:
            waiter = cast("asyncio.Future[None]", self._coro.send(None))
        except StopIteration:
            return
        except OSError as error:  # the visitor has left already
            _log.debug("%s: connection lost while accepting: %s", self._what, error)
            self._sock.close()
        except Exception:  # noqa: BLE001 - a factory is any code of ours; its fault costs one visitor
            _log.exception("%s: a connection got no protocol", self._what)
            self._sock.close()
        else:
            waiter._asyncio_future_blocking = False  # noqa: SLF001 - what a task does: the future protocol
            waiter.add_done_callback(self.step)


async def listen(
    host: str,
    port: int,
    factory: Callable[[], asyncio.BaseProtocol],
    *,
    backlog: int = BACKLOG,
    what: str = "listener",
    reuse_port: bool = False,
    guarded: bool = False,
) -> Listener:
    """Listen on every address of `host`; each connection gets a protocol made by `factory`.

    `host` "" means all addresses of the machine. `port` 0 takes a free one, the same for all
    addresses. `what` is the flag that the user would change, such as "--listen-http": raises
    ConfigError, which names it, when the address is taken or not ours. `guarded`: where INHERITS says
    so, each connection resets when it is closed, until `net.leg.unguard`.
    """
    sockets: list[socket.socket] = []
    try:
        for family, address in await _resolve(host, port, what):
            sockets.append(_bind(family, _with_port(address, sockets), backlog, reuse_port=reuse_port))
            if guarded and INHERITS:
                sockets[-1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
    except OSError as error:
        for sock in sockets:
            sock.close()
        where = f"{host or '*'}:{port}"
        raise ConfigError(f"{what}: cannot listen on {where}: {_advice(error)}") from error
    return Listener(sockets, factory, what=what)


_Address = tuple[str, int] | tuple[str, int, int, int]


async def _resolve(host: str, port: int, what: str) -> list[tuple[int, _Address]]:
    loop = asyncio.get_running_loop()
    if not 0 <= port <= 65_535:  # the resolver would take it modulo 65536
        raise ConfigError(f"{what}: {port} is not a port; it must be 0 to 65535")
    try:
        found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{what}: {host!r} port {port} is not an address to listen on: {error}") from error
    if not host and not socket.has_dualstack_ipv6():
        found = [entry for entry in found if entry[0] != socket.AF_INET6]
    # (int, bytes) is what a Python without IPv6 returns for IPv6 addresses
    return list(dict.fromkeys((family, cast("_Address", address)) for family, *_, address in found))


def is_full(error: ConfigError) -> bool:
    """Tell whether ``listen`` failed for want of descriptors or memory: no other port would do better."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in _FULL


def _with_port(address: _Address, before: list[socket.socket]) -> _Address:
    """Take the port that the first address got, where any would do."""
    if address[1] or not before:
        return address
    port: int = before[0].getsockname()[1]
    return (address[0], port) if len(address) == 2 else (address[0], port, address[2], address[3])


def _bind(family: int, address: _Address, backlog: int, *, reuse_port: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            # There it means: not held up by old connections in TIME_WAIT. On Windows: steal the port.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # Inherited by what is accepted. Without it, small writes wait for the peer's delayed ACK.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _keep_alive(sock)
        sock.bind(address)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _keep_alive(sock: socket.socket) -> None:
    """Have the kernel notice peers that are gone without a word. Inherited by what is accepted."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
    ):
        option: int | None = getattr(socket, name, None)  # not on every system
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _advice(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is taken by another program; choose another"
    if error.errno == errno.EACCES:
        return "not permitted; ports below 1024 need a privilege"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine does not have that address"
    return error.strerror or str(error)
