"""Pipe and Sink: the two halves of every byte path in portway.

A *leg* owns one local socket. It holds a **Pipe**, into which it writes what its socket
reads, and it *is* a **Sink**, to which the other end's bytes are delivered. Streams of a session,
sockets, SSH channels and memory pairs are all Pipes. All calls are made on the event loop's
thread and none of them awaits. The whole contract is in ``docs/spec/pipe.md``.
"""

from typing import Protocol


class Pipe(Protocol):
    """What a leg writes into.

    ``lend`` and ``filled`` move bytes without a copy; ``send`` copies. ``end`` and ``abort`` are
    idempotent and are never refused; after either of them ``lend`` is None and ``send`` takes 0.
    """

    def lend(self) -> memoryview | None:
        """Return writable space, or None when *parked* (no credit or no room).

        The view is void at the next call on any Pipe of the same session. An unfilled lend costs
        nothing. A parked writer stops reading its socket until its Sink's ``on_room``. ``lend``
        never calls a Sink.
        """
        ...

    def filled(self, n: int) -> bool:
        """Settle the last lend: its first ``n`` bytes (n ≥ 1) are to be sent.

        Return False when the writer is now parked and must wait for ``on_room``.
        """
        ...

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Copy from ``data``; return how many bytes were taken. Less than all means parked."""
        ...

    def end(self) -> None:
        """Finish writing (FIN), after all that was taken before. Reading goes on."""
        ...

    def abort(self, code: int = 6) -> None:
        """Cut both directions now. The Sink hears nothing more."""
        ...

    def consume(self, n: int) -> None:
        """Say that ``n`` delivered bytes have left for good: credit goes back to the peer."""
        ...


class Sink(Protocol):
    """What is written to: the receiving side of a leg."""

    def on_data(self, view: memoryview) -> None:
        """Take bytes. The view is valid during the call only; every byte must be consumed later."""
        ...

    def on_end(self) -> None:
        """The other end has finished writing (FIN). Writing to it goes on."""
        ...

    def on_reset(self, code: int) -> None:
        """Both directions are gone; the last call. Code 14 when the whole session died."""
        ...

    def on_room(self) -> None:
        """A parked writer may lend or send again."""
        ...
