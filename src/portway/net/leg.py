"""A leg: one local socket joined to a Pipe.

Theory of operation
-------------------
A leg is the protocol of its socket and the Sink of its Pipe.

*Socket to Pipe.* `get_buffer` lends space inside the Pipe's own outgoing buffer and `buffer_updated`
settles it, so bytes go from the kernel to their place in a frame without a copy. Both loops call the
second right after the first, or not at all. A parked Pipe lends nothing. But a loop must be offered a
buffer, and uvloop bears no `pause_reading`, `close` or `abort` inside `get_buffer`: so the leg then
offers the loop's spill, keeps what came, and pauses in `buffer_updated`. At `on_room` what was kept
goes first, then the end if the socket has ended, and only then reading resumes.

*Pipe to socket.* `on_data` hands the transport a `bytes` copy, since transports keep references. What
was written is consumed at once while the transport is below high water, and otherwise when it has
drained: that delay is the whole back-pressure. A leg holds at most its Pipe's window plus high water.

*Ends.* Either direction ends by itself: the socket's EOF becomes `end`, `on_end` becomes a FIN of the
socket. When both have ended the socket is closed, after what is still unsent. A lost socket aborts the
Pipe; `on_reset` resets the socket (SO_LINGER 0: a plain close would send a FIN, and let a cut-off
answer pass for a complete one). For the same reason a joined socket is told in advance to reset: if
this process is killed, the kernel closes it, and would end it in order. That holds until its FIN is due.
A system call each, so neither is done twice, and a listener's sockets can be born guarded (`net/listen.py`).

::

    socket side   reading ──EOF──▶ _eof ──(all kept bytes sent)──▶ _ended
    pipe side     open ──on_end──▶ _finished
    both                                        _ended and _finished ──▶ close ──▶ on_closed
    any           connection_lost or on_reset ──▶ on_closed
"""

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from typing import Self, cast

from portway.net.address import written
from portway.net.buffers import Buffers, buffers
from portway.pipe import Pipe

#: Unsent bytes of a socket's transport above which nothing more is consumed.
HIGH_WATER = 65_536
#: Bytes thrown away after a refusal before the Pipe is aborted: enough for a request under way.
DISCARD = 1_048_576

_INET, _STREAM = int(socket.AF_INET), int(socket.SOCK_STREAM)
_LINGER = "hh" if os.name == "nt" else "ii"
LINGER_0 = struct.pack(_LINGER, 1, 0)
"""SO_LINGER: closing resets."""
_NO_LINGER = struct.pack(_LINGER, 0, 0)


def reset(transport: asyncio.BaseTransport) -> None:
    """Close a transport so that its peer sees a reset: unsent bytes are dropped."""
    _set_linger(transport, LINGER_0)
    cast("asyncio.Transport", transport).abort()


def guard(transport: asyncio.BaseTransport) -> None:
    """Have the kernel reset this socket if the process is killed, until `unguard`.

    It would end it in order, and let a part pass for the whole where nothing but the end tells.
    """
    _set_linger(transport, LINGER_0)


def unguard(transport: asyncio.BaseTransport) -> None:
    """All was written: what is unsent must survive the closing of the socket."""
    _set_linger(transport, _NO_LINGER)


def _set_linger(transport: asyncio.BaseTransport, value: bytes) -> None:
    """Say what closing does: LINGER_0 resets, _NO_LINGER ends in order."""
    sock = cast("socket.socket | None", transport.get_extra_info("socket"))
    if sock is None:
        return
    try:
        # What uvloop gives makes a whole socket object for each call: this one costs a third less.
        bare = socket.SocketType(_INET, _STREAM, 0, sock.fileno())
        try:
            bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, value)  # of a Unix socket: without effect
        finally:
            bare.detach()
    except (OSError, ValueError):  # ValueError: a closed descriptor is -1
        pass  # the socket is dead already, and its peer knows


def hand_over(transport: asyncio.Transport, protocol: asyncio.BaseProtocol, first: bytes = b"") -> None:
    """Give a connected transport to another protocol, which sees `connection_made` now.

    May be called from within the old protocol's callbacks, `get_buffer` excepted; the old one hears
    nothing more. `first`: what it has read, delivered to the new one as if it came from the socket;
    where the new one has a better way (`Leg.join`, `TlsPump.received`), use that.
    """
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    if first:
        feed(transport, first)


def feed(transport: asyncio.Transport, data: bytes) -> None:
    """Deliver bytes to a transport's protocol, of either kind, as its loop would.

    The protocol may change the transport's protocol on the way, or close it: then the rest is dropped.
    """
    view = memoryview(data)
    while view and not transport.is_closing():
        protocol = transport.get_protocol()
        if not isinstance(protocol, asyncio.BufferedProtocol):
            cast("asyncio.Protocol", protocol).data_received(bytes(view))
            return
        space = memoryview(cast("bytearray", protocol.get_buffer(len(view)))).cast("B")
        n = min(len(space), len(view))
        if not n:
            raise RuntimeError("get_buffer() returned an empty buffer")
        space[:n] = view[:n]
        protocol.buffer_updated(n)
        view = view[n:]


class Leg(asyncio.BufferedProtocol):
    """A plain socket joined to a Pipe, whose Sink it is.

    It may be joined before it is connected (an upstream) or after (a visitor); what arrives before
    is kept, unconsumed. `on_closed` is called exactly once, when nothing more will happen.
    """

    __slots__ = (
        "_buffers",
        "_clogged",
        "_ended",
        "_eof",
        "_finished",
        "_guarded",
        "_held",
        "_kept",
        "_lent",
        "_on_closed",
        "_over",
        "_owed",
        "_peername",
        "_refused",
        "_reported",
        "_transport",
        "bytes_in",
        "bytes_out",
        "error",
        "pipe",
    )

    def __init__(self, *, on_closed: Callable[[Self], None] | None = None) -> None:
        """Make a leg without socket and Pipe."""
        self.pipe: Pipe | None = None
        #: Bytes that the socket gave to the Pipe. Of TLS legs: plain bytes, here and below.
        self.bytes_in: int = 0
        #: Bytes that the Pipe gave to the socket.
        self.bytes_out: int = 0
        #: Why the socket was lost; None when it ended in order or the Pipe was reset.
        self.error: Exception | None = None
        self._on_closed: Callable[[Self], None] | None = on_closed
        self._transport: asyncio.Transport | None = None
        self._buffers: Buffers | None = None
        self._peername: str | None = None
        self._kept = bytearray()  # came from the socket, not yet taken by the Pipe
        self._held: list[bytes] | None = []  # came from the Pipe before the socket was ready; then None
        self._owed = 0  # bytes written that must not be consumed yet
        self._lent = False  # the last get_buffer gave a lend, not the spill
        self._clogged = False  # the transport is above high water
        self._eof = False  # the socket has ended
        self._ended = False  # ... and the Pipe was told
        self._finished = False  # the Pipe has ended
        self._guarded = False  # closing the socket resets it
        self._over = False  # the Pipe must not be called any more
        self._refused = False  # there will be no socket
        self._reported = False

    # -- for the owner

    def join(self, pipe: Pipe, first: bytes = b"") -> None:
        """Join the leg to its Pipe. `first`: bytes already read from the socket, sent before all else.

        If the socket has been lost already, `pipe` is aborted.
        """
        self.pipe = pipe
        if self._over:
            pipe.abort()
            return
        if first:
            self._kept[:0] = first
        self._underway()
        self._push()

    def refuse(self, answer: bytes = b"") -> None:
        """Give up the hope of a socket: send `answer`, then the end, and discard what comes.

        For an upstream that cannot be reached, or that fails TLS: to be called before the socket is
        connected, or in `on_insecure`.
        """
        self._refused = self._eof = True
        self._kept += answer
        held, self._held = self._held or [], None
        if self.pipe is not None and not self._over:
            self._discard(sum(map(len, held)))
            self._push()

    def abort(self, code: int = 6) -> None:
        """Cut everything now: the Pipe is aborted with `code`, the socket reset. Idempotent."""
        if not self._over and self.pipe is not None:
            self._over = True
            self.pipe.abort(code)
        if not self._reported:
            self.on_reset(code)

    def retract(self, first: int = 0) -> bool:
        """Forget a Pipe that was cut before a byte had passed, so that another one may be joined.

        ``first`` is how many bytes `join` was given. Return False when it is too late.
        """
        if self.bytes_in > first or self.bytes_out or self._ended or self._finished:
            return False
        self._kept.clear()
        return True

    def dismiss(self) -> None:
        """Close in order a socket that was never joined."""
        self._close()

    @property
    def transport(self) -> asyncio.Transport | None:
        """The socket's transport, None before it is connected."""
        return self._transport

    @property
    def peername(self) -> str:
        """The other end of the socket as "address:port", "" when unknown. Kept after the first call."""
        if self._peername is None:
            if self._transport is None:
                return ""
            self._peername = written(self._transport.get_extra_info("peername"))
        return self._peername

    @property
    def closed(self) -> bool:
        """Whether `on_closed` has been called."""
        return self._reported

    # -- hooks for subclasses

    def opened(self) -> None:
        """React to the connected socket. It is not being read yet; `join` may be called here."""

    # -- the socket's protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket's transport."""
        if self._over or self._refused:
            reset(transport)  # given up while it was being dialled
            return
        self._transport = cast("asyncio.Transport", transport)
        self._buffers = buffers()
        self._transport.set_write_buffer_limits(HIGH_WATER)
        if self._transport.get_write_buffer_size() > HIGH_WATER:
            self._clogged = True  # handed over while full: its old protocol heard of that
        self._underway()
        self.opened()
        self._ready()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend space in the Pipe, or the spill. Touches nothing else: see the theory above."""
        pipe = self.pipe
        if pipe is not None and not self._kept:
            view = pipe.lend()
            if view is not None:
                self._lent = True
                return view
        self._lent = False
        assert self._buffers is not None
        return self._buffers.spill

    def buffer_updated(self, nbytes: int) -> None:
        """Settle what `get_buffer` lent."""
        self.bytes_in += nbytes
        assert self._transport is not None
        if self._lent:
            assert self.pipe is not None
            if self.pipe.filled(nbytes):
                return
        else:
            assert self._buffers is not None
            self._kept += self._buffers.spill[:nbytes]
        self._transport.pause_reading()

    def eof_received(self) -> bool:
        """End the Pipe, when all before has been sent. The socket stays open for writing."""
        self._eof = True
        if not self._kept:
            self._end()
        return True

    def pause_writing(self) -> None:
        """Consume nothing from now on."""
        self._clogged = True

    def resume_writing(self) -> None:
        """Consume what has drained."""
        self._clogged = False
        owed, self._owed = self._owed, 0
        if owed and not self._over:
            assert self.pipe is not None
            self.pipe.consume(owed)

    def connection_lost(self, exc: Exception | None) -> None:
        """Abort the Pipe, unless both directions had ended."""
        if self._refused:
            return  # the socket is no part of us any more
        if exc is not None and self.error is None:
            self.error = exc
        self._lost()

    # -- the Sink

    def on_data(self, view: memoryview) -> None:
        """Write to the socket."""
        if self._held is not None:
            self._held.append(bytes(view))
            return
        n = len(view)
        if self._refused:
            self._discard(n)
            return
        self._write(view)
        self.bytes_out += n
        if self._clogged:
            self._owed += n
        elif self.pipe is not None and not self._over:
            self.pipe.consume(n)

    def on_end(self) -> None:
        """End the socket's writing side; close it when its reading side has ended too."""
        self._finished = True
        if self._ended:
            self._close()
        elif self._held is None and not self._refused:
            self._write_eof()

    def on_reset(self, code: int) -> None:
        """Reset the socket."""
        self._over = True
        self._kept.clear()
        if self._transport is not None:
            if self._guarded:
                self._transport.abort()
            else:
                reset(self._transport)
        else:
            self._held = None
            self._report()

    def on_room(self) -> None:
        """Go on reading, after what was kept."""
        self._push()

    # -- inside

    def _underway(self) -> None:
        """From now on an end of this process shall not look like an end of the bytes."""
        if self._guarded or self._transport is None or self.pipe is None:
            return
        if not (self._finished or self._over):
            self._guarded = True
            guard(self._transport)

    def _complete(self) -> None:
        """All bytes for the socket were written."""
        if self._guarded and self._transport is not None:
            self._guarded = False
            unguard(self._transport)

    def _ready(self) -> None:
        """Bytes may be written to the socket from now on."""
        held, self._held = self._held, None
        if held:
            self.on_data(memoryview(b"".join(held)))
        if self._finished:
            self.on_end()

    def _push(self) -> None:
        """Send what was kept; then the end, or go on reading."""
        pipe = self.pipe
        if pipe is None or self._over:
            return
        if self._kept:
            del self._kept[: pipe.send(self._kept)]
            if self._kept:
                return  # still parked: on_room comes again
        if self._eof:
            self._end()
        elif self._transport is not None:
            self._resume()

    def _resume(self) -> None:
        assert self._transport is not None
        self._transport.resume_reading()

    def _end(self) -> None:
        """Tell the Pipe that the socket has ended."""
        if self._ended or self._over or self.pipe is None:
            return
        self._ended = True
        self.pipe.end()
        if self._finished:
            self._close()

    def _write(self, view: memoryview) -> None:
        assert self._transport is not None
        if not self._transport.is_closing():
            self._transport.write(bytes(view))

    def _write_eof(self) -> None:
        assert self._transport is not None
        if self._transport.is_closing():
            return
        self._complete()
        try:
            self._transport.write_eof()
        except OSError as error:  # asyncio: the peer has reset, and nobody has read that yet
            self.error = error
            self._transport.abort()

    def _close(self) -> None:
        """Both directions have ended: close the socket when it has sent everything."""
        self._over = True
        if self._transport is not None:
            self._complete()
            self._transport.close()
        else:
            self._report()

    def _lost(self) -> None:
        self._held = None
        if not self._over:
            self._over = True
            if self.pipe is not None:
                self.pipe.abort()
        self._report()

    def _discard(self, n: int) -> None:
        """Consume what nobody will read; cut a peer that goes on for too long."""
        self._owed += n
        if self._owed > DISCARD:
            self.abort()
        elif self.pipe is not None:
            self.pipe.consume(n)

    def _report(self) -> None:
        if self._reported:
            return
        self._reported = True
        callback, self._on_closed = self._on_closed, None
        if callback is not None:
            callback(self)

    def __repr__(self) -> str:
        """Show what each direction is doing."""
        reading = "ended" if self._ended else "kept" if self._kept else "eof" if self._eof else "open"
        writing = "finished" if self._finished else "clogged" if self._clogged else "open"
        if self._reported:
            reading = writing = "closed"
        return (
            f"<{type(self).__name__} {self.peername or '-'} in={self.bytes_in} {reading} "
            f"out={self.bytes_out} {writing}>"
        )
