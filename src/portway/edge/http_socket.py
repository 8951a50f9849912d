"""The socket of an HTTP visitor, plain or TLS: where bytes are read to, and how it ends.

Two ways of reading. *Direct*: the bytes belong to the stream, and a plain socket reads straight into
what the stream lends, a TLS one decrypts straight into it; a parked stream pauses the socket, never
inside ``get_buffer``, which offers the loop's spill instead. *Indirect*: the bytes are looked at first,
so they go to the loop's buffer and are taken as ``bytes``.
"""

import asyncio
from typing import TYPE_CHECKING, cast

from portway.errors import ConnectError
from portway.net.buffers import Buffers, buffers
from portway.net.leg import HIGH_WATER, guard, reset, unguard

if TYPE_CHECKING:
    from portway.net.tls import TlsPump


class HttpSocket(asyncio.BufferedProtocol):
    """One connection's bytes. What they mean is the subclass's business."""

    __slots__ = (
        "_buffers", "_closed", "_direct", "_eof", "_first", "_guarded", "_lent", "_paused", "_pump",
        "_transport", "bytes_in", "bytes_out", "clogged", "ticks",
    )  # fmt: skip

    def __init__(self, pump: "TlsPump | None", first: bytes) -> None:
        """Take the TLS pump, None for a plain socket, and what was read before."""
        self._pump = pump
        self._first = first
        self._direct = False
        self._closed = False
        self._guarded = False
        self._eof = False
        self._paused = False
        self._lent: memoryview | None = None
        self.clogged = False
        """The visitor is slow: nothing more of the answer is consumed."""
        self.bytes_in = 0
        """Bytes that the socket brought; of TLS, ciphertext."""
        self.bytes_out = 0
        """Bytes given to the visitor, before encryption."""
        self.ticks = 0
        """Seconds without progress; whoever makes some writes 0."""

    # -- what the subclass is asked

    def _opened(self) -> None:
        """The socket is there."""
        raise NotImplementedError

    def _secured(self, pump: "TlsPump") -> bool:
        """The TLS handshake is complete. False: the socket was handed to another protocol."""
        raise NotImplementedError

    def _lend(self) -> memoryview | None:
        """Return space for direct bytes, None when parked. Touches nothing else."""
        raise NotImplementedError

    def _filled(self, lent: memoryview, n: int) -> None:
        """Settle a lend that holds ``n`` bytes."""
        raise NotImplementedError

    def _take(self, data: bytes) -> None:
        """Take bytes that were read into a buffer of the loop's."""
        raise NotImplementedError

    def _ended(self) -> None:
        """The visitor has said everything."""
        raise NotImplementedError

    def _caught_up(self) -> None:
        """The visitor has read what waited for it."""
        raise NotImplementedError

    # -- the socket's protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket, and what was read from it before."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(HIGH_WATER)
        self._buffers: Buffers = buffers()
        self._opened()
        first, self._first = self._first, b""
        if self._pump is not None:
            self._pump.received(first)
            self._pull()
        elif first:
            self._take(first)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend space in the stream, or a buffer of the loop's. Touches nothing else."""
        self._lent = None
        if self._pump is not None:
            return self._buffers.cipher
        if not self._direct:
            return self._buffers.raw
        lent = self._lend()
        if lent is None:
            return self._buffers.spill
        self._lent = lent
        return lent

    def buffer_updated(self, nbytes: int) -> None:
        """Settle what ``get_buffer`` lent."""
        self.bytes_in += nbytes
        if self._pump is not None:
            if not self._closed:
                self._pump.received(self._buffers.cipher[:nbytes])
                self._pull()
        elif self._lent is not None:
            self._filled(self._lent, nbytes)
        else:
            buffer = self._buffers.spill if self._direct else self._buffers.raw
            self._take(bytes(buffer[:nbytes]))

    def eof_received(self) -> bool:
        """The visitor writes no more; it may still read."""
        if self._pump is not None:
            self._pump.received_eof()
            if not self._pump.secure:
                return False
            if self._paused:
                self._eof = True  # what the pump still holds comes first
                return True
        self._eof = True
        self._ended()
        return True

    def pause_writing(self) -> None:
        """The visitor is slow: consume nothing more."""
        self.clogged = True

    def resume_writing(self) -> None:
        """The visitor has caught up."""
        self.clogged = False
        self.ticks = 0
        self._caught_up()

    # -- reading

    def _pause(self) -> None:
        """Read no more, until ``_resume``."""
        self._paused = True
        if not self._eof and not self._transport.is_closing():
            self._transport.pause_reading()  # also when paused: who handed us over may have resumed it

    def _resume(self) -> None:
        """Go on reading; of TLS, first what the pump holds."""
        if not self._paused:
            return
        self._paused = False
        if self._pump is not None:
            self._pull()
            if self._paused:
                return
        if self._closed:
            return
        if self._eof:
            self._ended()
        elif not self._transport.is_closing():
            self._transport.resume_reading()

    def _pull(self) -> None:
        """Decrypt what the pump holds to where it belongs."""
        pump = self._pump
        assert pump is not None
        try:
            if not pump.secure:
                if not pump.handshake():
                    self._flush()
                    return
                if not self._secured(pump):
                    return
            while not self._paused and not self._closed and self._pull_some(pump):
                pass
        except ConnectError:
            self._flush()
            self._close()
            return
        self._flush()
        if pump.eof and not (self._paused or self._eof or self._closed):
            self._eof = True
            self._ended()

    def _pull_some(self, pump: "TlsPump") -> bool:
        """Decrypt once; False when nothing more is there, or nobody takes it."""
        if not self._direct:
            n = pump.read_into(self._buffers.parse)
            if n:
                self._take(bytes(self._buffers.parse[:n]))
            return n > 0
        lent = self._lend()
        if lent is None:
            self._pause()
            return False
        n = pump.read_into(lent)
        if n:
            self._filled(lent, n)
        return n > 0

    # -- writing, and ends

    @property
    def unwritten(self) -> int:
        """Bytes for the visitor that its socket has not taken yet."""
        return self._transport.get_write_buffer_size()

    def write(self, data: memoryview | bytes) -> None:
        """Give bytes to the visitor."""
        if self._transport.is_closing():
            return  # lost; connection_lost is about to say so
        self.bytes_out += len(data)
        if self._pump is None:
            self._transport.write(bytes(data))
            return
        try:
            self._pump.write(data)
        except ConnectError:
            self._reset()
            return
        self._transport.write(self._pump.output())

    def only_the_end_tells(self) -> None:
        """What is written from now on has no length: it must not seem whole if this process is killed.

        TLS has its own word for the end, which is missing then.
        """
        if self._pump is None and not self._guarded:
            self._guarded = True
            guard(self._transport)

    def _write_end(self) -> None:
        """Say that nothing more will be written."""
        self._notify()
        if self._transport.is_closing():
            return
        self._unguard()
        try:
            self._transport.write_eof()
        except OSError:  # asyncio: the visitor has reset, and nobody has read that yet
            self._transport.abort()

    def _close(self) -> None:
        """Close in order, after what is still unsent."""
        self._closed = True
        self.ticks = 0
        self._notify()
        self._unguard()
        self._transport.close()

    def _reset(self) -> None:
        """Close so that the visitor sees a reset."""
        self._closed = True
        reset(self._transport)

    def _unguard(self) -> None:
        if self._guarded:
            self._guarded = False
            unguard(self._transport)

    def _notify(self) -> None:
        """End TLS in order."""
        if self._pump is not None:
            self._pump.close_notify()
            self._flush()

    def _flush(self) -> None:
        """Write what the pump has produced by itself."""
        if self._pump is not None and self._pump.has_output and not self._transport.is_closing():
            self._transport.write(self._pump.output())
