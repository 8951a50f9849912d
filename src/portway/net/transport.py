"""Any Pipe as an asyncio transport: streams for applications.

What relays bytes is a leg; what *uses* them is an asyncio protocol: a StreamReader and StreamWriter, an
ASGI server's HTTP protocol, asyncio's TLS. `StreamTransport` is the Sink of a Pipe and the transport of
such a protocol. It copies (applications keep what they are given), consumes while its protocol reads,
and queues what the Pipe had no room for, with `pause_writing` above high water.

`close` sends what is queued, ends the Pipe and tells the protocol. What still arrives is thrown away, up
to a bound: a socket would answer it with a reset, which may overtake the answer just written.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import cast

from portway.errors import StreamReset
from portway.net.leg import feed
from portway.pipe import Pipe

#: Unsent bytes above which the protocol is told to pause writing.
HIGH_WATER = 65_536
#: Bytes thrown away after `close` before the Pipe is aborted.
DISCARD = 1_048_576


class PipeResetError(StreamReset, ConnectionResetError):
    """What a protocol's `connection_lost` gets when its Pipe was reset.

    It is a StreamReset, with the wire's `code`, and a ConnectionResetError, which every asyncio
    protocol knows how to handle.
    """


class StreamTransport(asyncio.Transport):
    """A Pipe's Sink and a protocol's transport. Join it once, then everything is as with a socket."""

    # asyncio's loop.start_tls asks for this; uvloop's refuses every transport but its own.
    _start_tls_compatible = True

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: asyncio.BaseProtocol,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        """Make a transport for `protocol`. `extra` answers `get_extra_info`: "peername" at least."""
        super().__init__(dict(extra or {}))
        self._loop = loop
        self._protocol: asyncio.BaseProtocol = protocol
        self._pipe: Pipe | None = None
        self._incoming: list[bytes] = []  # arrived while the protocol paused reading; not consumed
        self._outgoing = bytearray()  # written, not yet taken by the Pipe
        self._high = HIGH_WATER
        self._low = HIGH_WATER // 4
        self._reading = True
        self._writing_paused = False
        self._write_end = False  # write_eof or close was called
        self._ended = False  # ... and the Pipe was told
        self._far_end = False  # the Pipe has ended
        self._eof_told = False  # ... and the protocol was told
        self._closing = False
        self._lost = False  # connection_lost was called, or is about to be
        self._dead = False  # the Pipe must not be called any more
        self._discarded = 0

    def join(self, pipe: Pipe) -> None:
        """Join the Pipe whose Sink this is, and tell the protocol `connection_made`."""
        self._pipe = pipe
        self._protocol.connection_made(self)

    # -- asyncio.BaseTransport

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Deliver to another protocol from now on."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the current protocol."""
        return self._protocol

    def is_closing(self) -> bool:
        """Whether `close` or `abort` was called, or the Pipe was reset."""
        return self._closing

    def close(self) -> None:
        """Send what is queued, then end. The protocol hears `connection_lost(None)`, and no more data."""
        if self._closing:
            return
        self._closing = True
        self._write_end = True
        self._drop_incoming()
        self._flush()

    def abort(self) -> None:
        """Cut both directions now; what is queued is dropped."""
        if self._lost and self._ended:
            return
        self._closing = True
        self._outgoing.clear()
        self._incoming.clear()
        if not self._dead:
            self._dead = True
            self._joined().abort()
        self._lose(None)

    # -- asyncio.ReadTransport

    def is_reading(self) -> bool:
        """Whether the protocol gets data as it arrives."""
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        """Keep what arrives, and give no credit for it."""
        self._reading = False

    def resume_reading(self) -> None:
        """Deliver again, beginning with what was kept; not from within this call."""
        if not self._reading and not self._closing:
            self._reading = True
            if self._incoming or self._far_end:
                self._loop.call_soon(self._deliver_kept)

    # -- asyncio.WriteTransport

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, or queue what the Pipe has no room for. After an end it raises RuntimeError."""
        if self._closing:
            return  # as with sockets: the protocol has been told, or is about to be
        if self._write_end:
            raise RuntimeError("write() after write_eof()")
        if not data:
            return
        if self._outgoing:
            self._outgoing += data
        else:
            view = memoryview(data).cast("B")
            taken = self._joined().send(view)
            self._outgoing += view[taken:]
        if len(self._outgoing) > self._high and not self._writing_paused:
            self._writing_paused = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send all of them in order."""
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        """End our direction when all is sent. Reading goes on. Idempotent."""
        if not self._write_end:
            self._write_end = True
            self._flush()

    def can_write_eof(self) -> bool:
        """Half-close is part of every Pipe."""
        return True

    def get_write_buffer_size(self) -> int:
        """Bytes that the Pipe has not taken."""
        return len(self._outgoing)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Low and high water."""
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set high and low water, in bytes. A low of None is a quarter of high."""
        if high is None:
            high = HIGH_WATER if low is None else 4 * low
        low = high // 4 if low is None else low
        if not high >= low >= 0:
            raise ValueError(f"high ({high}) must be >= low ({low}) must be >= 0")
        self._high, self._low = high, low

    # -- the Sink

    def on_data(self, view: memoryview) -> None:
        """Give the protocol a copy, or keep one while it does not read."""
        if self._closing:
            self._discard(len(view))
        elif not self._reading or self._incoming:
            self._incoming.append(bytes(view))
        else:
            self._give(bytes(view))

    def on_end(self) -> None:
        """Tell the protocol of the end, after all data."""
        self._far_end = True
        if self._reading and not self._incoming:
            self._tell_eof()

    def on_reset(self, code: int) -> None:
        """Tell the protocol that the connection is lost."""
        self._dead = True
        self._closing = True
        self._incoming.clear()
        self._outgoing.clear()
        self._lose(PipeResetError(code))

    def on_room(self) -> None:
        """Send what is queued."""
        self._flush()

    # -- inside

    def _joined(self) -> Pipe:
        assert self._pipe is not None, "the transport was not joined to its Pipe"
        return self._pipe

    def _flush(self) -> None:
        """Send what is queued; then the end, if it was asked for."""
        if self._dead:
            return
        pipe = self._joined()
        if self._outgoing:
            del self._outgoing[: pipe.send(self._outgoing)]
        if self._writing_paused and len(self._outgoing) <= self._low:
            self._writing_paused = False
            self._protocol.resume_writing()
        if self._write_end and not self._outgoing and not self._ended:
            self._ended = True
            pipe.end()
        if self._ended and self._closing:
            self._lose(None)

    def _give(self, data: bytes) -> None:
        """Deliver to the protocol, then give the credit back."""
        try:
            feed(self, data)
        except Exception as error:  # noqa: BLE001 - as every loop does: the fault is the protocol's, and ends it alone
            self._fault(error, "data_received")
        if not self._dead:
            self._joined().consume(len(data))

    def _deliver_kept(self) -> None:
        while self._incoming and self._reading and not self._closing:
            self._give(self._incoming.pop(0))
        if self._far_end and self._reading and not self._incoming:
            self._tell_eof()

    def _tell_eof(self) -> None:
        """Tell the protocol, once. Unless it wants to go on writing, that closes the transport."""
        if self._eof_told or self._lost or self._closing:
            return
        self._eof_told = True
        try:
            stay = cast("asyncio.Protocol", self._protocol).eof_received()
        except Exception as error:  # noqa: BLE001 - as above
            self._fault(error, "eof_received")
            return
        if not stay:
            self.close()

    def _fault(self, error: Exception, where: str) -> None:
        self._loop.call_exception_handler(
            {
                "message": f"protocol.{where}() failed; its stream is aborted",
                "exception": error,
                "transport": self,
                "protocol": self._protocol,
            }
        )
        self.abort()

    def _drop_incoming(self) -> None:
        """Throw away what was kept, once nobody will read it."""
        size = sum(map(len, self._incoming))
        self._incoming.clear()
        if size:
            self._discard(size)

    def _discard(self, n: int) -> None:
        self._discarded += n
        if self._dead:
            return
        if self._discarded > DISCARD:
            self._dead = True
            self._joined().abort()
        else:
            self._joined().consume(n)

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self._loop.call_soon(self._protocol.connection_lost, error)

    def __repr__(self) -> str:
        """Show what each direction is doing."""
        state = "closed" if self._lost else "closing" if self._closing else "open"
        return (
            f"<StreamTransport {state} {self.get_extra_info('peername')} "
            f"unsent={len(self._outgoing)} unread={sum(map(len, self._incoming))}>"
        )
