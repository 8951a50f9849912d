"""TLS between a Pipe and a Sink: a filter that ends a visitor's TLS where there is no socket.

Theory of operation
-------------------
Toward the stream the filter is the Sink of ciphertext; toward whoever serves the visitor it is a Pipe of
plain bytes. The handshake comes first; only then is somebody found to serve (``begin``).

*In.* Ciphertext goes into the pump and is decrypted at once, so the pump holds less than a record. Every
plain byte that was delivered and is not consumed yet holds back the credit of one byte of ciphertext, of
which there is always more: so whoever serves holds at most the stream's window, as without TLS.

*Out.* `lend` gives a buffer of the loop's; what is written there or sent is encrypted and goes to the Pipe.
What the Pipe has no room for is kept, and until it is gone the writer is parked: that is at most one lend.

*Ends.* A close_notify, or the end of the stream, is the end of the plain bytes; `end` sends ours. A fault
is told by an alert and the end of the stream; the visitor then has a moment to read it, what it still sends
is dropped, and the stream is cut.
"""

import asyncio
from collections.abc import Callable

from portway.errors import ConnectError, LocalProtocolError
from portway.net.buffers import buffers
from portway.net.leg import DISCARD
from portway.net.tls import Agreed, TlsPump
from portway.pipe import Pipe, Sink

#: Bytes taken by one `send` at most, and decrypted at once.
PIECE = 65_536
#: Bytes of ciphertext that may wait for the Pipe. One lend is far less: more is what the peer provoked.
KEPT = 262_144
#: Seconds that a visitor has to read an alert.
LINGER = 5.0


class TlsFilter:
    """One visitor's TLS: Sink of its stream, Pipe of whoever serves it. It may be either end of TLS."""

    __slots__ = (
        "_ahead", "_begin", "_buffer", "_cipher", "_clock", "_discarded", "_ended", "_failed", "_finished",
        "_kept", "_lent", "_on_failed", "_over", "_parked", "_pipe", "_plain", "_pump", "_sink", "_timeout",
    )  # fmt: skip

    def __init__(
        self,
        pipe: Pipe,
        pump: TlsPump,
        begin: Callable[["TlsFilter"], Sink | None],
        *,
        timeout: float = 60.0,
        on_failed: Callable[[ConnectError], None] = lambda _error: None,
    ) -> None:
        """Wait for the visitor's hello. Needs a running loop.

        ``begin`` is called when the handshake is complete, with this filter as the Pipe; it returns who
        serves, or None to refuse the visitor. The handshake may take ``timeout`` seconds. ``on_failed``
        hears of a handshake that did not succeed.
        """
        self._pipe = pipe
        self._pump = pump
        self._begin = begin
        self._on_failed = on_failed
        self._sink: Sink | None = None
        self._buffer = buffers().plain
        self._timeout = timeout
        self._clock: asyncio.TimerHandle | None = asyncio.get_running_loop().call_later(
            timeout, self._too_slow
        )
        self._ahead = b""
        self._kept = bytearray()  # ciphertext that the Pipe has not taken yet
        self._cipher = 0  # bytes that came and are not given back
        self._plain = 0  # bytes that were delivered and are not consumed
        self._discarded = 0
        self._lent = False
        self._parked = False  # whoever serves waits for on_room
        self._ended = False  # whoever serves has ended
        self._finished = False  # the visitor has ended, and the Sink was told
        self._failed = False  # TLS is at its end; the visitor may read why
        self._over = False  # the Pipe must not be called any more

    def __repr__(self) -> str:
        """Show the state of TLS and what waits."""
        state = "over" if self._over else "failed" if self._failed else repr(self._pump)
        return f"<TlsFilter {state} unconsumed={self._plain} kept={len(self._kept)}>"

    @property
    def agreed(self) -> Agreed:
        """What the handshake has settled; the visitor's certificate stands here."""
        return self._pump.agreed

    @property
    def over(self) -> bool:
        """Whether it is done with its stream."""
        return self._over

    def start(self) -> None:
        """Say hello: only the end that is TLS's client needs that."""
        self._advance()

    def precede(self, data: bytes) -> None:
        """Deliver these bytes ahead of all others: a PROXY header, which came in clear."""
        self._ahead = data

    # -- Sink of the stream

    def on_data(self, view: memoryview) -> None:
        """Decrypt and deliver."""
        self._cipher += len(view)
        if self._failed or self._finished:
            self._discard(len(view))
        else:
            self._pump.received(view)
            self._advance()
        self._give_back()

    def on_end(self) -> None:
        """The visitor's socket has ended; without close_notify that is an end too."""
        if self._over:
            return
        if self._failed:
            self._cut()
        elif not self._pump.secure:
            self._fail(ConnectError("tls", "the connection was closed during the TLS handshake"))
        else:
            self._pump.received_eof()
            self._finish()

    def on_reset(self, code: int) -> None:
        """Pass on."""
        if self._over:
            return
        self._leave()
        if self._sink is not None and not self._failed:
            self._sink.on_reset(code)

    def on_room(self) -> None:
        """Send what was kept; then the end, or let the writer go on."""
        if self._over or not self._push():
            return
        if self._ended or self._failed:
            self._pipe.end()
            self._release_if_done()
        elif self._parked and self._sink is not None:
            self._parked = False
            self._sink.on_room()

    # -- Pipe of whoever serves

    def lend(self) -> memoryview | None:
        """Return a buffer of the loop's; None when parked."""
        if self._over or self._ended or self._failed:
            return None
        if self._kept:
            self._parked = True
            return None
        self._lent = True
        return self._buffer

    def filled(self, n: int) -> bool:
        """Encrypt the lend's first bytes and send them."""
        if not (self._lent and 0 < n <= len(self._buffer)):
            raise LocalProtocolError(f"{n} bytes were filled in without a lend of that many")
        self._lent = False
        self._write(self._buffer[:n])
        self._parked = bool(self._kept)
        return not self._parked

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Encrypt and send; return how many bytes were taken."""
        self._lent = False
        if self._over or self._ended or self._failed:
            return 0
        view = memoryview(data)
        done = 0
        while done < len(view) and not self._kept:
            piece = view[done : done + PIECE]
            self._write(piece)
            done += len(piece)
        self._parked = done < len(view)
        return done

    def end(self) -> None:
        """Send our close_notify, then end the stream's direction."""
        if self._over or self._ended or self._failed:
            return
        self._ended = True
        self._pump.close_notify()
        if self._flush():
            self._pipe.end()
            self._release_if_done()

    def abort(self, code: int = 6) -> None:
        """Cut both directions now."""
        if not self._over:
            self._leave()
            self._pipe.abort(code)

    def consume(self, n: int) -> None:
        """Take note that plain bytes have left."""
        if self._over:
            return
        if n > self._plain:
            raise LocalProtocolError(f"{n} bytes are consumed, but {self._plain} were delivered")
        self._plain -= n
        self._give_back()

    # -- inside

    def _advance(self) -> None:
        """Do whatever the bytes in the pump allow."""
        pump = self._pump
        try:
            if not pump.secure:
                done = pump.handshake()
                self._flush()
                if not done:
                    return
                self._stop_clock()
                self._sink = self._begin(self)
                if self._sink is None:
                    self.abort()
                    return
                self._deliver_ahead(self._sink)
            while not (self._over or self._finished) and pump.unread and self._deliver():
                pass
            if not self._over:
                self._flush()
                if pump.eof:
                    self._finish()
        except ConnectError as error:
            self._fail(error)

    def _deliver_ahead(self, sink: Sink) -> None:
        ahead, self._ahead = self._ahead, b""
        if ahead and not self._over:
            self._plain += len(ahead)
            sink.on_data(memoryview(ahead))

    def _deliver(self) -> bool:
        """Decrypt once and deliver; False when nothing more is there.

        Into a buffer of its own: the Sink may make other filters decrypt before it returns.
        """
        assert self._sink is not None
        space = memoryview(bytearray(min(PIECE, max(1024, self._pump.unread))))
        n = self._pump.read_into(space)
        if n:
            self._plain += n
            self._sink.on_data(space[:n])
        return n > 0

    def _give_back(self) -> None:
        """Return the credit that delivered bytes do not hold back."""
        free = self._cipher - max(0, self._plain)
        if free > 0 and not self._over:
            self._cipher -= free
            self._pipe.consume(free)

    def _write(self, view: memoryview) -> None:
        try:
            self._pump.write(view)
        except ConnectError as error:
            self._fail(error)
            return
        self._flush()

    def _flush(self) -> bool:
        """Send what the pump has produced; False when some of it is kept."""
        if self._pump.has_output:
            self._kept += self._pump.output()
        return self._push()

    def _push(self) -> bool:
        if self._kept and not self._over:
            del self._kept[: self._pipe.send(self._kept)]
            if len(self._kept) > KEPT:
                self.abort()  # nobody reads, and somebody makes us answer
        return not self._kept

    def _finish(self) -> None:
        """Tell that the visitor has ended, once."""
        if not self._finished:
            self._finished = True
            if self._sink is not None:
                self._sink.on_end()
            self._release_if_done()

    def _fail(self, error: ConnectError) -> None:
        """Tell the visitor by the alert and the end, whoever serves by a reset."""
        if self._over or self._failed:
            return
        self._failed = True
        self._stop_clock()
        self._clock = asyncio.get_running_loop().call_later(LINGER, self._cut)
        if self._flush():
            self._pipe.end()
        if self._sink is not None:
            self._sink.on_reset(6)
        else:
            self._on_failed(error)

    def _discard(self, n: int) -> None:
        """Drop what comes behind the end, but not without end."""
        self._discarded += n
        if self._discarded > DISCARD:
            self._cut()

    def _cut(self) -> None:
        """The visitor has had its moment."""
        if not self._over:
            self._leave()
            self._pipe.abort()

    def _too_slow(self) -> None:
        self._clock = None
        self._fail(ConnectError("tls", f"no TLS handshake within {self._timeout:g} s"))

    def _leave(self) -> None:
        """Touch the Pipe no more."""
        self._over = True
        self._kept.clear()
        self._stop_clock()
        self._pump.release()

    def _release_if_done(self) -> None:
        if self._ended and self._finished and not self._kept:
            self._pump.release()

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
