"""A leg whose socket carries TLS, either side: a visitor of an https endpoint, an https upstream.

As in `portway.net.leg`, with the pump between socket and Pipe. Ciphertext goes into the loop's shared
buffer and from there into the pump; the pump decrypts straight into what the Pipe lends. A parked Pipe
is simply not pulled for: the ciphertext waits in the pump, and the socket is paused, so at most one
read's worth (64 KiB) piles up.

The socket's end without close_notify is taken for an ordinary end, as many upstreams and agents end so;
`truncated` tells the difference.
"""

import asyncio
from collections.abc import Callable
from typing import Self

from portway.errors import ConnectError
from portway.net.leg import Leg
from portway.net.tls import TlsPump

#: Seconds that a handshake may take.
HANDSHAKE_TIMEOUT = 60.0


class TlsLeg(Leg):
    """A TLS socket joined to a Pipe; plain bytes on the Pipe's side.

    `pump` may have been fed with bytes that were read before (a ClientHello). The handshake comes
    first; what the Pipe delivers meanwhile is kept. A failed handshake sends its alert, sets `error`
    to a ConnectError and aborts the Pipe.
    """

    __slots__ = ("_deadline", "_parked", "_timeout", "pump")

    def __init__(
        self,
        pump: TlsPump,
        *,
        on_closed: Callable[[Self], None] | None = None,
        handshake_timeout: float = HANDSHAKE_TIMEOUT,
    ) -> None:
        """Make a leg around a pump. `handshake_timeout` is in seconds; 0: it may take for ever."""
        super().__init__(on_closed=on_closed)
        self.pump = pump
        self._parked = False
        self._timeout = handshake_timeout
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def truncated(self) -> bool:
        """The socket ended without the peer's close_notify."""
        return self.pump.truncated

    # -- hooks for subclasses

    def on_secure(self) -> None:
        """React to the completed handshake. `join` may be called here."""

    def on_insecure(self, error: ConnectError) -> None:
        """React to a failed handshake; the leg ends itself afterwards.

        If this calls `refuse`, only the socket ends: the Pipe gets that answer instead of an abort.
        """

    # -- the socket's protocol

    def get_buffer(self, sizehint: int) -> memoryview:
        """Offer the loop's buffer for ciphertext."""
        assert self._buffers is not None
        return self._buffers.cipher

    def buffer_updated(self, nbytes: int) -> None:
        """Decrypt into the Pipe."""
        assert self._buffers is not None
        if self._over:
            return  # cut already; the transport is about to notice
        self.pump.received(self._buffers.cipher[:nbytes])
        self._advance()

    def eof_received(self) -> bool:
        """End the Pipe when all has been decrypted; fail if the handshake is not complete."""
        self.pump.received_eof()
        if not self.pump.secure:
            self._failed(ConnectError("tls", "the connection was closed during the TLS handshake"))
            return True
        self._eof = True
        self._push()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the handshake's clock; then as for a plain leg."""
        self._stop_clock()
        if not (self.pump.secure or self._over or self._refused):
            self._failed(ConnectError("tls", "the connection was lost during the TLS handshake"))
        if not self._refused:
            super().connection_lost(exc)

    # -- inside

    def _underway(self) -> None:
        """Do nothing: an end without close_notify is known for what it is."""

    def _complete(self) -> None:
        """Do nothing: see `_underway`."""

    def _ready(self) -> None:
        """The socket is connected: shake hands first."""
        if self._timeout:
            self._deadline = asyncio.get_running_loop().call_later(self._timeout, self._too_slow)
        self._advance()

    def _advance(self) -> None:
        """Do whatever the bytes in the pump allow."""
        try:
            if not self.pump.secure:
                if not self.pump.handshake():
                    self._flush()
                    return
                self._flush()
                self._stop_clock()
                self.on_secure()
                super()._ready()
            self._pull()
        except ConnectError as error:
            self._failed(error)

    def _pull(self) -> None:
        """Decrypt into lends until nothing is left or the Pipe is parked."""
        pump, pipe = self.pump, self.pipe
        while pump.unread and not self._over:
            view = None if pipe is None or self._kept else pipe.lend()
            if pipe is None or view is None:
                self._park()
                break
            n = pump.read_into(view)
            if not n:
                break
            self.bytes_in += n
            if not pipe.filled(n):
                self._park()
                break
        self._flush()
        if (pump.eof or self._eof) and not (pump.unread or self._kept):
            self._end()

    def _park(self) -> None:
        self._parked = True
        if self._transport is not None and not self._eof:
            self._transport.pause_reading()

    def _push(self) -> None:
        """Send what was kept (first bytes, an answer); then go on pulling."""
        pipe = self.pipe
        if pipe is None or self._over:
            return
        if self._kept:
            del self._kept[: pipe.send(self._kept)]
            if self._kept:
                return
        if self._refused:
            self._end()
        elif self._transport is not None and self.pump.secure:
            self._parked = False
            try:
                self._pull()
            except ConnectError as error:
                self._failed(error)
            if not (self._parked or self._eof or self._over):
                self._resume()

    def _flush(self) -> None:
        """Write what the pump has produced, in one piece."""
        if self.pump.has_output and self._transport is not None and not self._transport.is_closing():
            self._transport.write(self.pump.output())

    def _write(self, view: memoryview) -> None:
        try:
            self.pump.write(view)
        except ConnectError as error:
            self._failed(error)
            return
        self._flush()

    def _write_eof(self) -> None:
        self.pump.close_notify()
        self._flush()
        super()._write_eof()

    def _close(self) -> None:
        self.pump.close_notify()
        self._flush()
        super()._close()

    def _failed(self, error: ConnectError) -> None:
        """Meet the end of TLS: tell the peer by the alert, the Pipe by an abort."""
        if self._over:
            return
        self.error = error
        self._stop_clock()
        if not self.pump.secure:
            self.on_insecure(error)
        if self._refused:
            self._let_go()
            return
        self._over = True
        self._held = None
        if self.pipe is not None:
            self.pipe.abort()
        self._flush()
        if self._transport is not None:
            self._transport.close()  # not reset: the peer shall read the alert

    def _let_go(self) -> None:
        """Part with the socket; the leg lives on until the Pipe has had its answer and has ended."""
        self._flush()
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
        if self._ended and self._finished:
            self._close()

    def _too_slow(self) -> None:
        self._deadline = None
        self._failed(ConnectError("tls", f"no TLS handshake within {self._timeout:g} s"))

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
