"""The visitors of one SSH client: each has a channel, and there are only so many at a time."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from asyncssh import ChannelOpenError

from portway.edge.ssh_pipe import Scratch, SshPipe
from portway.errors import StreamLimit
from portway.net.address import split_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from portway.edge.ssh_connection import Connection
    from portway.edge.ssh_wire import SshWire
    from portway.net.tasks import Tasks
    from portway.pipe import Sink

WINDOW: Final = 1 << 20
"""Bytes that a client may send ahead of who takes them, on each of the first ``WIDE`` channels."""

NARROW: Final = 262_144
"""The same on all further ones."""

WIDE: Final = 64


class Visitors:
    """All of one client. ``changed`` is called when one comes or goes."""

    def __init__(self, wire: "SshWire", most: int, tasks: "Tasks", changed: "Callable[[], None]") -> None:
        """Serve at most so many at a time."""
        self._wire = wire
        self._most = most
        self._tasks = tasks
        self._changed = changed
        self._scratch = Scratch()
        self._pipes: set[SshPipe] = set()
        self._calm = asyncio.Event()
        self._calm.set()
        self._draining = False

    def __repr__(self) -> str:
        """Show how many there are."""
        return f"<Visitors {len(self._pipes)}{' draining' if self._draining else ''}>"

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._pipes)

    def open(
        self, connection: "Connection", door: tuple[str, int], visitor: str, sink: "Sink", first: bytes
    ) -> SshPipe:
        """Open a channel for the visitor from this address. Raises StreamLimit.

        ``door`` is the host and the port by which the client knows its endpoint; ``first`` is sent first.
        """
        if self._draining or len(self._pipes) >= self._most:
            raise StreamLimit(f"{len(self._pipes)} visitors are served already, or it drains")
        pipe = SshPipe(self._wire, self._scratch, sink, lambda: self._freed(pipe))
        if first:
            pipe.send(first)
        self._pipes.add(pipe)
        self._calm.clear()
        window = WINDOW if len(self._pipes) <= WIDE else NARROW
        self._tasks.start(_open(connection, door, visitor, pipe, window), name="SSH channel")
        self._changed()
        return pipe

    async def drain(self, timeout: float) -> None:
        """Open nothing more and let what is under way finish, at most so many seconds."""
        self._draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._calm.wait()

    def _freed(self, pipe: SshPipe) -> None:
        self._pipes.discard(pipe)
        if not self._pipes:
            self._calm.set()
        self._changed()


async def _open(
    connection: "Connection", door: tuple[str, int], visitor: str, pipe: SshPipe, window: int
) -> None:
    try:
        await connection.create_connection(lambda: pipe, *door, *split_address(visitor), window=window)
    except ChannelOpenError:
        pipe.refused()
