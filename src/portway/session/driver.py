"""The driver: a `wire.Connection` on a real socket, under TLS, in real time.

Theory of operation
-------------------
In.   The socket reads into the loop's shared buffer. The pump decrypts, piece by piece, into the other
      shared buffer, and each piece is fed to the connection, which calls Sinks. Nothing is kept here.
Out.  `on_output` says that something waits. One flush is then scheduled for the end of this turn of
      the loop, so that frames of many streams share a TLS record and a system call: every byte that a
      session ever sends passes `_flush`. Small areas are joined up to one record. While the transport
      is full nothing is flushed: the connection's areas fill, and every writer parks. A peer that
      provokes more answers than it reads is not read any more until they are out.
Time. One timer, armed for the earliest deadline. Handles are cheap to keep and costly to move, so a
      timer that fires too early just arms itself again. All times are those of the loop.

Ends. `close` sends GOAWAY as the last thing, shuts our direction and reads on until the peer has
      closed too, 250 ms at most: closing a socket with unread bytes would reset it, and the GOAWAY
      might be lost. A peer that closes without saying anything, TLS's close_notify included, is a
      normal end. Whatever ends the session, every Sink hears `on_reset(14)` at once; the socket may
      outlive that by the 250 ms, and `wait_closed` waits for it.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final, cast

from portway.errors import ConnectError, PortwayError, RemoteProtocolError, SessionClosed
from portway.net.address import written
from portway.net.buffers import buffers
from portway.net.tls import TlsPump
from portway.wire.connection import Connection, Handler
from portway.wire.frames import Role
from portway.wire.profile import NEWCOMER, STRICT

LINGER: Final = 0.25
"""Seconds that the last bytes may take to get out."""

HIGH_WATER: Final = 524_288
"""Bytes in the transport above which nothing more is flushed: one full area."""

RECORD: Final = 16_384
"""Bytes of one TLS record: smaller pieces are joined up to it."""

QUICK_ACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)
"""The option that has the kernel acknowledge at once, where there is one (Linux)."""

_log = logging.getLogger("portway.session")


class Driver(asyncio.BufferedProtocol):
    """The half of a session that knows its socket and nothing of what the streams mean.

    The other half, `Session`, is the connection's Handler and fills in the five hooks at the end.
    """

    def __init__(
        self, role: Role, handler: Handler, context: ssl.SSLContext, server_hostname: str | None
    ) -> None:
        """Make one end; `handler` hears the connection. Needs a running loop."""
        shared = buffers()
        self._loop = asyncio.get_running_loop()
        self._raw = shared.raw
        self._parse = shared.parse
        self._pump = TlsPump(context, server_side=role is Role.SERVICE, server_hostname=server_hostname)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._flush_due = False
        self._paused = False
        self._held = False  # not reading: the peer provokes more answers than it reads
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._ended_by: PortwayError | None = None  # what the connection says of its end
        self.role = role
        profile = NEWCOMER if role is Role.SERVICE else STRICT
        self.connection = Connection(role, handler, shared.areas, profile=profile)
        self.started_at = self._loop.time()
        """When it was made, by the loop's clock."""
        self.peername = ""
        """The peer's address, ``ip:port`` (IPv6 in brackets); "" for a socket without one."""
        self.closed = False
        """Whether the session is over; from then on nothing can be opened."""
        self.cause: PortwayError | None = None
        """Why it is over: None while it is not, and when we closed it without a fault."""

    async def ready(self) -> None:
        """Wait until TLS stands. Raises ConnectError or SessionClosed when it never will."""
        await asyncio.shield(self._ready)

    @property
    def tls_version(self) -> str:
        """Such as "TLSv1.3"; "" before the handshake."""
        return self._pump.version

    @property
    def tls_cipher(self) -> str:
        """The cipher suite; "" before the handshake."""
        return self._pump.cipher

    @property
    def peer_certificate(self) -> bytes:
        """The peer's certificate as DER, or b""."""
        return self._pump.peer_certificate

    # -- ends

    def close(self, code: int = 0, text: str = "", cause: PortwayError | None = None) -> None:
        """End the session: GOAWAY with this code and text, then the socket. Idempotent.

        `cause` is what the handler hears; without one a code other than 0 makes one.
        """
        if cause is None and code:
            cause = SessionClosed(text or f"closed with code {code}")
        if self._begin_end(cause):
            if self._pump.secure:
                self.connection.goaway(code, text or "no error")
            self._finish_end(politely=True)

    def abort(self, cause: PortwayError) -> None:
        """Cut the session without a word. Idempotent."""
        if self._begin_end(cause):
            self._finish_end(politely=False)

    async def wait_closed(self) -> None:
        """Wait until the socket is gone too."""
        await asyncio.shield(self._gone)

    def _begin_end(self, cause: PortwayError | None) -> bool:
        """Mark the session as over; False when it was already."""
        if self.closed:
            return False
        self.closed = True
        self.cause = cause
        return True

    def _finish_end(self, *, politely: bool) -> None:
        """Let go of everything, and then of the socket."""
        self.connection.abort(self.cause)  # nothing, when it was closed by a GOAWAY
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._ready.done():
            self._ready.set_exception(self.cause or SessionClosed("the session was closed"))
            self._ready.exception()  # nobody may be waiting for it
        self._over()
        transport = self._transport
        if transport is None:
            self._settle()
        elif politely and not transport.is_closing():
            self._send_last(transport)
        else:
            transport.abort()

    def _send_last(self, transport: asyncio.Transport) -> None:
        """Send what is left, shut our direction, and give the peer a moment to close."""
        try:
            self._encrypt()
            self._pump.close_notify()
        except ConnectError:
            pass  # TLS has failed: what is left is the alert that says so
        self._transmit(transport)
        if transport.can_write_eof():
            transport.write_eof()
        if self._held:
            self._held = False
            transport.resume_reading()
        self._timer = self._loop.call_later(LINGER, transport.abort)

    def _settle(self) -> None:
        """The socket is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._pump.release()
        if not self._gone.done():
            self._gone.set_result(None)

    # -- the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        transport = cast("asyncio.Transport", transport)  # uvloop's is none by class
        self._transport = transport
        transport.set_write_buffer_limits(HIGH_WATER)
        self.peername = _address(transport)
        if self.closed:  # its owner gave up while the socket was being connected
            transport.abort()
            return
        if self.role is Role.AGENT:
            self._guard(self._handshake)
        self._arm()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the loop's buffer."""
        return self._raw

    def buffer_updated(self, nbytes: int) -> None:
        """Take what the socket has read."""
        if self.closed:
            return  # the peer talks on while we wait for its end
        self._pump.received(self._raw[:nbytes])
        self._guard(self._read)
        if nbytes < RECORD and self.connection.profile.holds_small_writes:
            self._acknowledge()

    def eof_received(self) -> bool:
        """The peer has closed: that ends the session, with or without TLS's close_notify."""
        self.abort(SessionClosed("the peer closed the connection"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self.abort(SessionClosed(f"the connection was lost{f': {exc}' if exc else ''}"))
        self._settle()

    def pause_writing(self) -> None:
        """Flush nothing: the areas fill, and every writer parks."""
        self._paused = True

    def resume_writing(self) -> None:
        """Flush again."""
        self._paused = False
        if not self.closed:
            self._guard(self._flush)

    def _guard(self, step: Callable[[], None]) -> None:
        """Do one step of the machine; a fault of the peer ends the session as the protocol wants."""
        try:
            step()
        except RemoteProtocolError as error:
            _log.warning("session with %s: the peer broke the protocol: %s", self.peername, error)
            self.close(error.code, str(error), error)
        except ConnectError as error:
            if self._begin_end(error):
                self._finish_end(politely=True)

    def _handshake(self) -> None:
        done = self._pump.handshake()
        if self._transport is not None:
            self._transmit(self._transport)
        if done:
            self._ready.set_result(None)
            self._secured()
            self._due()  # what was written before

    def _read(self) -> None:
        """Decrypt and feed all that is there, unless the peer asks for more than it reads."""
        pump, connection = self._pump, self.connection
        if not pump.secure:
            self._handshake()
            if not pump.secure:
                return
        now = self._loop.time()
        self._heard(now)
        while not (connection.closed or connection.overloaded) and (n := pump.read_into(self._parse)):
            connection.feed(self._parse[:n], now)
        if connection.closed or pump.eof:
            self.abort(self._ended_by or SessionClosed("the peer closed the connection"))
            return
        if connection.overloaded:
            self._hold()
        if pump.has_output:
            self._due()
        due = connection.deadline()
        if self._timer is None or (due is not None and due < self._timer_at):
            self._arm()  # the deadlines of the other half arm it themselves

    def _acknowledge(self) -> None:
        """Have the kernel acknowledge now: the peer holds its next small write back until then.

        The kernel forgets the wish at its leisure, so it is told after every small read. Large ones
        are acknowledged anyway.
        """
        transport = self._transport
        sock: socket.socket | None = transport.get_extra_info("socket") if transport else None
        if sock is None or QUICK_ACK is None or self.closed:
            return
        with suppress(OSError):  # no TCP, or gone
            sock.setsockopt(socket.IPPROTO_TCP, QUICK_ACK, 1)

    def _hold(self) -> None:
        """Stop reading until what the peer has provoked was sent."""
        if not self._held and self._transport is not None:
            self._held = True
            self._transport.pause_reading()
            self._due()

    def _due(self) -> None:
        """Have one flush at the end of this turn of the loop."""
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush_now)

    def _flush_now(self) -> None:
        self._flush_due = False
        if not self.closed:
            self._guard(self._flush)

    def _flush(self) -> None:
        """Send all that waits, then let parked writers go on."""
        transport = self._transport
        if self._paused or transport is None or not self._pump.secure:
            return
        self._encrypt()
        self._transmit(transport)
        self.connection.wake()
        if self._held and not self._paused and not self.connection.overloaded:
            self._held = False
            transport.resume_reading()
            self._read()

    def _encrypt(self) -> None:
        """Give the connection's output to TLS, small areas joined to one record."""
        if not self._pump.secure:
            return
        take, write = self.connection.take_output, self._pump.write
        small = b""
        while (view := take()) is not None:
            if len(small) + len(view) <= RECORD:
                small += bytes(view)
                continue
            write(small)
            small = b""
            write(view)
        write(small)

    def _transmit(self, transport: asyncio.Transport) -> None:
        if self._pump.has_output:
            transport.write(self._pump.output())

    # -- what the connection says

    def on_output(self) -> None:
        """Something waits to be sent."""
        if not self.closed:
            self._due()

    def on_closed(self, cause: PortwayError | None) -> None:
        """No frame will be read or sent any more: note why."""
        self._ended_by = cause

    # -- time

    def _arm(self) -> None:
        """Have `_on_timer` called no later than the next deadline."""
        when = self._deadline()
        if when is None or self.closed:
            return
        if self._timer is not None:
            if self._timer_at <= when:
                return
            self._timer.cancel()
        self._timer_at = when
        self._timer = self._loop.call_at(when, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = self._loop.time()
        due = self.connection.deadline()
        if due is not None and now >= due:
            self._guard(lambda: self.connection.on_deadline(now))
        if not self.closed:
            self._elapsed(now)
            self._arm()

    # -- hooks of the other half

    def _secured(self) -> None:
        """TLS stands."""
        raise NotImplementedError

    def _heard(self, now: float) -> None:
        """Bytes came from the peer."""
        raise NotImplementedError

    def _deadline(self) -> float | None:
        """When `_on_timer` must be called next."""
        raise NotImplementedError

    def _elapsed(self, now: float) -> None:
        """Look at your own deadlines."""
        raise NotImplementedError

    def _over(self) -> None:
        """The session has ended: let go of everything, and tell the owner."""
        raise NotImplementedError


def _address(transport: asyncio.Transport) -> str:
    """Return the peer's address, and make small writes go out at once."""
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer: object = transport.get_extra_info("peername")
    return written(cast("tuple[object, ...]", peer)) if isinstance(peer, tuple) else ""
