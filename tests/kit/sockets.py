"""Bulk traffic on plain blocking sockets and threads: quick enough to move gibibytes in a test.

Hashing, sending and receiving release the interpreter's lock, so both ends keep up with the relay.
"""

import contextlib
import hashlib
import socket
import threading
from collections.abc import Callable, Generator
from random import Random
from typing import Final

PIECE: Final = 1 << 20
PATIENCE: Final = 120.0
"""Seconds without any progress before an end gives up."""


class Noise:
    """An endless row of bytes that is cheap to make, in which no two pieces are equal."""

    def __init__(self, seed: int) -> None:
        """Take a seed; the same seed gives the same bytes."""
        self._block = Random(seed).randbytes(PIECE - 8)
        self._count = 0

    def piece(self) -> bytes:
        """Return the next PIECE bytes: a number, then the same noise again."""
        self._count += 1
        return self._count.to_bytes(8, "big") + self._block


def send_noise(to: socket.socket, size: int, seed: int) -> str:
    """Send ``size`` bytes, a multiple of PIECE, then the end of writing; return their SHA-256."""
    noise, total = Noise(seed), hashlib.sha256()
    for _ in range(size // PIECE):
        piece = noise.piece()
        total.update(piece)
        to.sendall(piece)
    to.shutdown(socket.SHUT_WR)
    return total.hexdigest()


def receive_all(of: socket.socket) -> tuple[int, str]:
    """Read until the end; return the count and the SHA-256 of all bytes."""
    total, count = hashlib.sha256(), 0
    buffer = memoryview(bytearray(PIECE))
    while got := of.recv_into(buffer):
        total.update(buffer[:got])
        count += got
    return count, total.hexdigest()


def echo_all(of: socket.socket) -> None:
    """Send back every byte, then the end."""
    buffer = memoryview(bytearray(PIECE))
    while got := of.recv_into(buffer):
        of.sendall(buffer[:got])
    of.shutdown(socket.SHUT_WR)


class Upstream:
    """A TCP server with a thread for each connection."""

    def __init__(self, handle: Callable[[socket.socket], None]) -> None:
        """Listen on a free port of loopback; every connection is given to ``handle``."""
        self._handle = handle
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listening.getsockname()[1]
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, name="upstream", daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """Cut all connections and wait for every thread."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(60)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE)
            self._connections.append(connection)
            thread = threading.Thread(
                target=self._serve, args=(connection,), name="upstream connection", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self._handle(connection)


@contextlib.contextmanager
def upstream(handle: Callable[[socket.socket], None]) -> Generator[int]:
    """Run an upstream for the time of the context; give its port."""
    running = Upstream(handle)
    try:
        yield running.port
    finally:
        running.close()


@contextlib.contextmanager
def connected(port: int) -> Generator[socket.socket]:
    """Connect to a port of loopback for the time of the context."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        yield connection
