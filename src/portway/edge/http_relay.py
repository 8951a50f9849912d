"""The request's way: from the visitor's socket to the agent's stream.

A body of known length is read into what the stream lends, never more than its rest; a chunked one is
scanned where it lies, and what follows its end is copied before the lend is settled: it is the
next request, and is held. Bytes that came otherwise (behind a head, or while the stream was parked) are
copied into the stream, and what it does not take waits here for room.

Where a passage stands between, the body is given to it as payload instead, and nothing is lent.
"""

from enum import Enum
from typing import TYPE_CHECKING

from portway.codec.chunked import ChunkScanner
from portway.codec.http1 import CHUNKED, NO_BODY, Framing
from portway.edge.http_socket import HttpSocket
from portway.errors import HttpError

if TYPE_CHECKING:
    from portway.edge.http_exchange import Exchange
    from portway.edge.http_passage import Passage
    from portway.edge.http_response import Upstream
    from portway.net.tls import TlsPump
    from portway.pipe import Pipe


class Phase(Enum):
    """What the visitor's next bytes are."""

    HEAD = "head"
    BODY = "body"
    WAIT = "wait"
    RAW = "raw"
    LINGER = "linger"


_HEAD, _BODY, _WAIT, _RAW, _LINGER = Phase


class RequestRelay(HttpSocket):
    """A visitor's socket whose bytes are heads, bodies or raw."""

    __slots__ = (
        "_exchange", "_held", "_passage", "_phase", "_pipe", "_rest", "_scanner", "_unsent", "_upstream",
    )  # fmt: skip

    def __init__(self, pump: "TlsPump | None", first: bytes) -> None:
        """Start before the first head."""
        super().__init__(pump, first)
        self._phase = _HEAD
        self._exchange: Exchange | None = None
        self._upstream: Upstream | None = None
        self._passage: Passage | None = None  # of the running request, where it has one
        self._held = b""
        self._unsent = b""
        self._rest = 0
        self._scanner: ChunkScanner | None = None

    # -- what the subclass is asked

    def _heads(self, data: bytes) -> None:
        """Serve the requests in ``data``."""
        raise NotImplementedError

    def _malformed(self, exchange: "Exchange", error: HttpError) -> None:
        """The body of the running request is malformed."""
        raise NotImplementedError

    def _wall(self) -> float:
        """Return Unix seconds."""
        raise NotImplementedError

    # -- for the subclass

    def _join(self, pipe: "Pipe") -> None:
        """Send to this stream from now on."""
        self._pipe = pipe

    def _enter(self, phase: Phase) -> None:
        """Say what the next bytes are."""
        self._phase = phase
        self._direct = (phase is _BODY or phase is _RAW) and self._passage is None

    def _expect(self, framing: Framing) -> None:
        """Say how the body of the request that begins is framed."""
        if framing is NO_BODY:
            self._phase = _WAIT
            return
        self._rest = framing.length
        self._scanner = ChunkScanner() if framing is CHUNKED else None
        self._enter(_BODY)

    @property
    def request_sent(self) -> bool:
        """The running request has been read and sent whole."""
        return self._phase is not _BODY and not self._unsent

    def _hold(self, data: bytes) -> None:
        """Keep bytes of a later request, and read no more: at most one buffer is held."""
        self._held += data
        self._pause()

    # -- the socket's bytes

    def _take(self, data: bytes) -> None:
        """Take bytes that lie in a buffer of ours."""
        phase = self._phase
        if phase is _HEAD:
            if self._held:
                self._hold(data)
            else:
                self._heads(data)
        elif phase is _BODY or phase is _RAW:
            self._relay(data)
        elif phase is _WAIT:
            self._hold(data)

    # -- to the stream

    def _lend(self) -> memoryview | None:
        """Return space in the stream, no more than belongs to the body."""
        if self._unsent:
            return None  # what waits goes first
        lent = self._pipe.lend()
        if lent is not None and self._phase is _BODY and self._scanner is None and len(lent) > self._rest:
            return lent[: self._rest]
        return lent

    def _filled(self, lent: memoryview, n: int) -> None:
        """Settle a lend that holds ``n`` bytes from the visitor."""
        self.ticks = 0
        tail = b""
        if self._phase is _RAW:
            used = n
        else:
            used = self._count(lent[:n])
            if used < 0:
                return
            if used < n:
                tail = bytes(lent[used:n])  # before the lend is void
        room = self._pipe.filled(used)
        if self._phase is _BODY and self._body_done():
            if tail:
                self._hold(tail)
        elif not room:
            self._pause()

    def _relay(self, data: bytes) -> None:
        """Send bytes of a body, or raw ones, that lie in a buffer of ours."""
        self.ticks = 0
        if self._passage is not None:
            self._relay_payload(data, self._passage)
            return
        used = len(data)
        if self._phase is _BODY:
            used = self._count(memoryview(data))
            if used < 0:
                return
        self._send(data if used == len(data) else data[:used])
        if self._phase is _BODY and self._body_done() and used < len(data):
            self._hold(data[used:])

    def _relay_payload(self, data: bytes, passage: "Passage") -> None:
        """Give the passage what is in these bytes."""
        scanner, used = self._scanner, len(data)
        payload = data
        if self._phase is _BODY and scanner is None:
            payload = data[: self._rest]
            used = len(payload)
            self._rest -= used
        elif scanner is not None:
            pieces: list[bytes] = []
            try:
                used = scanner.scan(data, pieces)
            except HttpError as error:
                passage.malformed(error)
                return
            payload = b"".join(pieces)
        room = passage.body(payload) if payload else True
        if self._phase is _BODY and self._passage is passage and self._body_done():
            passage.end(scanner.trailers if scanner is not None else [])
            if used < len(data):
                self._take(data[used:])
        elif not room:
            self._pause()

    def _count(self, view: memoryview) -> int:
        """Say how many of these bytes are of the body; -1 when it is malformed, and answered."""
        exchange = self._exchange
        assert exchange is not None
        if self._scanner is None:
            used = min(len(view), self._rest)
            self._rest -= used
        else:
            try:
                used = self._scanner.scan(view)
            except HttpError as error:
                self._malformed(exchange, error)
                return -1
        exchange.bytes_in += used
        return used

    def _body_done(self) -> bool:
        """After some of the body: if that was its end, wait for the answer."""
        done = self._scanner.done if self._scanner is not None else not self._rest
        if done:
            self._scanner = None
            if self._exchange is not None:
                self._exchange.complete_at = self._wall()
            self._enter(_WAIT)
        return done

    def _send(self, data: bytes) -> None:
        """Send by copying; what the stream does not take waits for room."""
        if self._unsent:
            self._unsent += data
            self._pause()
            return
        took = self._pipe.send(data)
        if took < len(data):
            self._unsent = data[took:]
            self._pause()

    def upstream_has_room(self, upstream: "Upstream") -> None:
        """Send what waited; then read on."""
        if upstream is not self._upstream:
            return
        if self._unsent:
            took = self._pipe.send(self._unsent)
            self._unsent = self._unsent[took:]
            if self._unsent:
                return
        if self._phase is _BODY or self._phase is _RAW or (self._phase is _WAIT and not self._held):
            self._resume()
