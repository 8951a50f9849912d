"""A channel of an SSH connection as a Pipe (``docs/spec/pipe.md``): what a visitor's bytes go through.

::

            send, lend                     data_received
    leg  ───────────────▶  SshPipe  ◀───────────────────  asyncssh's channel
            on_data                        write

*Out.* A channel takes what the client's window allows and keeps the rest. It is given at most ``TURN``
bytes at a time, and nothing while it keeps any, while the socket is full, or while keys are exchanged anew:
then the writer is parked. Before the client has opened the channel, up to ``TURN`` bytes wait here.

*In.* asyncssh gives credit back when it delivers. So once ``HELD`` bytes were delivered and not consumed it
is told to deliver no more; it keeps what the window still lets the client send. A pipe never holds more
than its window and ``HELD``.

*Ends.* EOF is an end; CLOSE without EOF, or before both sides have ended, is a reset: SSH has no other way to
say it, and no code. A client that cannot reach its upstream refuses to open: that is an end without a byte,
then a reset, as an agent would tell it.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, cast

from asyncssh import SSHTCPSession

from portway.errors import LocalProtocolError

if TYPE_CHECKING:
    from asyncssh import SSHTCPChannel

    from portway.edge.ssh_wire import SshWire
    from portway.pipe import Sink

TURN: Final = 65_536
"""Bytes that a channel is given at a time."""

HELD: Final = 65_536
"""Bytes delivered and not consumed, from which on a channel delivers no more."""

CUT: Final = 6
SINK_FAILED: Final = 2
SESSION_OVER: Final = 14

_log = logging.getLogger(__name__)


class _Channel(Protocol):
    """What a pipe uses of asyncssh's channel."""

    def write(self, data: bytes) -> None: ...
    def write_eof(self) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def is_closing(self) -> bool: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def get_write_buffer_size(self) -> int: ...
    def set_write_buffer_limits(self, high: int, low: int) -> None: ...


class Scratch:
    """Space that the pipes of one connection lend: one lend at a time."""

    __slots__ = ("holder", "lent", "space")

    def __init__(self) -> None:
        """Lend nothing yet; the space is made at the first lend."""
        self.space: bytearray | None = None
        self.holder: SshPipe | None = None
        self.lent = 0

    def lend(self, pipe: "SshPipe") -> memoryview:
        """Give the space to a pipe."""
        if self.space is None:
            self.space = bytearray(TURN)
        self.holder, self.lent = pipe, len(self.space)
        return memoryview(self.space)

    def settle(self, pipe: "SshPipe", n: int) -> bytes:
        """Take what the holder has filled. Raises LocalProtocolError."""
        if self.holder is not pipe or not 0 < n <= self.lent:
            raise LocalProtocolError(f"{n} bytes were filled of a lend of {self.lent}, or of none")
        assert self.space is not None
        self.holder = None
        return bytes(memoryview(self.space)[:n])


class SshPipe(SSHTCPSession[bytes]):
    """One channel. It is asyncssh's session of that channel, too."""

    def __init__(self, wire: "SshWire", scratch: Scratch, sink: "Sink", over: Callable[[], None]) -> None:
        """Serve a sink; ``over`` is called once, when the channel's place is free again."""
        self._wire = wire
        self._scratch = scratch
        self._sink: Sink | None = sink
        self._over = over
        self._channel: _Channel | None = None
        self._early = bytearray()
        self._told_parked = False
        self._stuffed = False
        """The channel keeps bytes for which there is no window."""
        self._mark = -1
        """What had been written when asyncssh kept bytes to itself: it keeps them until it writes again."""
        self._ended = False
        self._heard_end = False
        self._unconsumed = 0
        self._paused = False
        self._done = False

    def __repr__(self) -> str:
        """Show the state."""
        state = "opening" if self._channel is None else "parked" if self._told_parked else "open"
        return f"<SshPipe {'over' if self._sink is None else state} unconsumed={self._unconsumed}>"

    # -- the Pipe

    def lend(self) -> memoryview | None:
        """Return space, or None when parked."""
        self._scratch.holder = None
        if not self._may_write():
            return None
        return self._scratch.lend(self)

    def filled(self, n: int) -> bool:
        """Send what was filled. Raises LocalProtocolError."""
        self._put(self._scratch.settle(self, n))
        return self._may_write()

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Send as much as there is room for."""
        self._scratch.holder = None
        view = memoryview(data)
        at = 0
        while at < len(view) and self._may_write():
            piece = bytes(view[at : at + TURN])
            self._put(piece)
            at += len(piece)
        return at

    def end(self) -> None:
        """Finish writing."""
        self._scratch.holder = None
        if self._ended or self._sink is None:
            return
        self._ended = True
        if self._channel is not None:
            self._channel.write_eof()
            self._finish()

    def abort(self, code: int = CUT) -> None:
        """Cut both directions; the sink hears nothing more."""
        self._scratch.holder = None
        self._sink = None
        self._early.clear()
        if self._channel is not None:
            self._channel.abort()

    def consume(self, n: int) -> None:
        """Let the client send more. Raises LocalProtocolError."""
        self._scratch.holder = None
        if n > self._unconsumed:
            if self._heard_end or self._sink is None:
                return
            raise LocalProtocolError(f"{n} bytes were consumed of {self._unconsumed}")
        self._unconsumed -= n
        if self._paused and self._unconsumed < HELD and self._channel is not None:
            self._paused = False
            # Not now: what is delivered next must not come inside of what is delivered.
            asyncio.get_running_loop().call_soon(self._resume)

    # -- what asyncssh tells

    def connection_made(self, chan: "SSHTCPChannel[bytes]") -> None:
        """The client has opened the channel: what waited for that goes now."""
        channel = self._channel = cast("_Channel", chan)
        channel.set_write_buffer_limits(high=0, low=0)
        if self._sink is None:
            channel.abort()
            return
        early, self._early = bytes(self._early), bytearray()
        if early:
            self._put(early)
        if self._ended:
            channel.write_eof()
        self.wake()

    def refused(self) -> None:
        """The client did not open the channel, or the connection is gone."""
        self._free()
        if self._sink is not None and not self._wire.over:
            self._tell(lambda sink: sink.on_end())
        self._reset(SESSION_OVER if self._wire.over else CUT)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Deliver."""
        if self._sink is None:
            return
        self._unconsumed += len(data)
        if self._unconsumed >= HELD and not self._paused and self._channel is not None:
            self._paused = True
            self._channel.pause_reading()
        self._tell(lambda sink: sink.on_data(memoryview(data)))

    def eof_received(self) -> bool:
        """Tell the end; the other direction stays."""
        if not self._heard_end:
            self._heard_end = True
            self._tell(lambda sink: sink.on_end())
            self._finish()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is closed on both sides."""
        self._free()
        if self._stuffed or not (self._ended and self._heard_end):
            self._reset(SESSION_OVER if self._wire.over else CUT)
        self._sink = None

    def pause_writing(self) -> None:
        """The channel has more than the client's window takes."""
        self._stuffed = True

    def resume_writing(self) -> None:
        """The channel has sent all it had."""
        self._stuffed = False
        if self._ended:
            asyncio.get_running_loop().call_soon(self._finish)
        elif self._told_parked:
            self.wake()

    def wake(self) -> None:
        """Tell the writer that there is room, if it waits and there is."""
        if not self._told_parked or self._sink is None or self._ended:
            return
        self._told_parked = False
        if self._may_write():
            self._tell(lambda sink: sink.on_room())

    # -- inside

    def _may_write(self) -> bool:
        """Tell whether bytes would be taken now. Who hears no is parked."""
        if self._ended or self._sink is None:
            return False
        if self._channel is None:
            room = len(self._early) < TURN
        else:
            waits = self._wire.full or self._wire.written == self._mark
            if waits and not self._stuffed:
                self._wire.park(self)
            room = not (waits or self._stuffed)
        self._told_parked = self._told_parked or not room
        return room and not self._told_parked

    def _put(self, piece: bytes) -> None:
        if self._channel is None:
            self._early += piece
            return
        if self._channel.is_closing():
            return  # the client has closed it: connection_lost follows what it sent before
        before = self._wire.written
        self._channel.write(piece)
        if not self._stuffed and self._wire.written - before < len(piece):
            self._mark = self._wire.written

    def _finish(self) -> None:
        """Close a channel of which both directions have ended, once our end has gone out."""
        channel = self._channel
        if channel is None or self._done or not (self._ended and self._heard_end):
            return
        if not channel.get_write_buffer_size():
            self._done = True
            channel.close()

    def _resume(self) -> None:
        if self._channel is not None and not self._paused:
            self._channel.resume_reading()

    def _tell(self, call: "Callable[[Sink], None]") -> None:
        """Call the sink. One that raises loses its own channel, and no other notices."""
        sink = self._sink
        if sink is None:
            return
        try:
            call(sink)
        except Exception:  # noqa: BLE001  containment: asyncssh would end the whole connection
            _log.exception("a visitor's connection over SSH failed")
            if self._sink is not None:
                self.abort()
                sink.on_reset(SINK_FAILED)

    def _reset(self, code: int) -> None:
        sink = self._sink
        if sink is not None:
            self._tell(lambda each: each.on_reset(code))
        self._sink = None

    def _free(self) -> None:
        over, self._over = self._over, _nothing
        over()


def _nothing() -> None:
    """Be called again."""
