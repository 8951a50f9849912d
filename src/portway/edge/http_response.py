"""The answer's way: from an agent's stream to the visitor.

An ``Upstream`` is the Sink of one stream. It reads response heads strictly, writes them anew, relays
bodies under their framing without collecting them, and tells the visitor's connection how it ended:

::

    IDLE ──expect──▶ HEAD ──head──▶ LENGTH | CHUNKED | UNTIL_END ──complete──▶ IDLE
                      │  ▲1xx                     │ FIN or reset before the end
                      │ 101                       ▼
                      ▼                      the visitor is cut: a broken answer never looks whole
                     RAW                  (FIN before any byte: ERR_NGROK_8012; no HTTP: ERR_NGROK_3004)

Bytes that nobody asked for (behind an answer, or while IDLE) cost the upstream its stream and never
reach a visitor: they would be taken for the answer to the next request.
"""

from enum import Enum
from typing import TYPE_CHECKING, Final

from portway.codec.chunked import ChunkScanner
from portway.codec.headers import response_head
from portway.codec.http1 import CHUNKED, NO_BODY, UNTIL_CLOSE, ResponseHead, find_head
from portway.codec.repeated import AnswerReader
from portway.errors import HttpError

if TYPE_CHECKING:
    from portway.edge.http import HttpVisitor
    from portway.edge.http_exchange import Exchange
    from portway.edge.member import Member
    from portway.pipe import Pipe

MAX_INTERIM: Final = 32
"""Most 1xx answers to one request."""


class Phase(Enum):
    """What the stream's next bytes are."""

    IDLE = "idle"
    HEAD = "head"
    LENGTH = "length"
    CHUNKED = "chunked"
    UNTIL_END = "until end"
    RAW = "raw"
    OVER = "over"


_IDLE, _HEAD, _LENGTH, _CHUNKED = Phase.IDLE, Phase.HEAD, Phase.LENGTH, Phase.CHUNKED
_UNTIL_END, _RAW, _OVER = Phase.UNTIL_END, Phase.RAW, Phase.OVER


class Upstream:
    """One stream to an agent, used for one request after the other of one visitor."""

    __slots__ = (
        "_exchange",
        "_interim",
        "_most",
        "_partial",
        "_payload",
        "_reader",
        "_rest",
        "_scanner",
        "_visitor",
        "_written",
        "_written_of",
        "ended",
        "keep",
        "member",
        "owed",
        "phase",
        "pipe",
        "served",
    )

    def __init__(self, visitor: "HttpVisitor") -> None:
        """Make the Sink; ``attach`` follows when the stream is open."""
        self._visitor = visitor
        self.member: Member | None = None
        self.pipe: Pipe | None = None
        self.phase = _IDLE
        self.served = 0
        """Answers that came over this stream."""
        self.keep = True
        """The upstream will read another request."""
        self.ended = False
        """The upstream has ended its side."""
        self.owed = 0
        """Bytes written to a visitor that is slow to take them: not consumed yet."""
        self._interim = 0
        self._partial = bytearray()
        self._payload = False
        self._rest = 0
        self._scanner: ChunkScanner | None = None
        limits = visitor.limits
        self._most = limits.head_bytes
        self._reader = AnswerReader(limits.head_fields)
        self._written_of: ResponseHead | None = None
        self._written = b""

    def __repr__(self) -> str:
        """Show what is expected and what has passed."""
        return f"<Upstream {self.phase.value} served={self.served} owed={self.owed} {self.pipe!r}>"

    # -- for the visitor's connection

    def attach(self, member: "Member", pipe: "Pipe") -> None:
        """Join the stream that was opened for this Sink."""
        self.member = member
        self.pipe = pipe

    def expect(self, exchange: "Exchange") -> None:
        """Read the next bytes as the answer to this request."""
        self._exchange: Exchange = exchange
        self._interim = 0
        self.phase = _HEAD

    @property
    def reusable(self) -> bool:
        """Another request may be sent over this stream."""
        return self.phase is _IDLE and self.keep and not self.ended

    @property
    def began(self) -> bool:
        """Some byte of an answer to the running request has come."""
        return self.phase is not _HEAD or self._interim > 0 or bool(self._partial)

    def close(self) -> None:
        """Let go of a stream that nothing is expected from: end it in order."""
        if self.phase is not _OVER and self.pipe is not None:
            self.phase = _OVER
            self.pipe.end()

    def leave(self) -> None:
        """Let go for a visitor that has gone: with a reset, unless nothing was expected any more.

        A reset behind an orderly end would cost a slot: official agents do not answer it, so the stream
        counts for half a minute more, and 480 of them is all that they bear.
        """
        if self.reusable or self.phase is _OVER:
            self.close()
        else:
            self.abort()

    def abort(self) -> None:
        """Cut the stream; nothing more is heard of it."""
        if self.pipe is not None and not (self.phase is _OVER and self.ended):
            self.pipe.abort()
        self.phase = _OVER
        self.ended = True

    def pay(self) -> None:
        """The visitor has taken what it was slow with: give the credit back."""
        owed, self.owed = self.owed, 0
        if owed and self.pipe is not None and not (self.phase is _OVER and self.ended):
            self.pipe.consume(owed)

    # -- the Sink

    def on_data(self, view: memoryview) -> None:
        """Relay a piece of the answer."""
        n = len(view)
        visitor = self._visitor
        phase = self.phase
        if phase is _LENGTH and n < self._rest:
            self._rest -= n
            self._exchange.bytes_out += n
        elif phase is _HEAD or phase is _LENGTH or phase is _CHUNKED:
            self._relay(bytes(view))
            return
        elif phase is _IDLE or phase is _OVER:
            self.abort()
            return
        elif phase is _UNTIL_END:
            self._exchange.bytes_out += n
        visitor.ticks = 0
        visitor.write(view)
        self._taken(n)

    def on_end(self) -> None:
        """The upstream has finished: in order, or too early."""
        self.ended = True
        phase = self.phase
        if phase is _RAW:
            self._visitor.upstream_ended(self)
            return
        began = self.began
        self.phase = _OVER
        if self.pipe is not None:
            self.pipe.end()
        if phase is _UNTIL_END:
            self._visitor.answered(self)
        elif phase is _HEAD:
            self._visitor.unanswered(self, began=began)
        elif phase in (_LENGTH, _CHUNKED):
            self._visitor.cut()

    def on_reset(self, code: int) -> None:
        """The stream is gone: never a clean end."""
        phase, began = self.phase, self.began
        self.phase = _OVER
        self.ended = True
        if phase is _HEAD:
            self._visitor.unanswered(self, began=began, reset=code)
        elif phase not in (_IDLE, _OVER):
            self._visitor.cut()

    def on_room(self) -> None:
        """Send on what waited."""
        if self.phase is not _OVER:
            self._visitor.upstream_has_room(self)

    # -- inside

    def _taken(self, n: int) -> None:
        if self._visitor.clogged:
            self.owed += n
        elif self.pipe is not None and self.phase is not _OVER:
            self.pipe.consume(n)

    def _relay(self, data: bytes) -> None:
        """Read a piece that may hold a head, or the end of an answer."""
        visitor = self._visitor
        visitor.ticks = 0
        unheard = self.phase is _HEAD
        out: list[bytes] = []
        try:
            used = self._scan(data, out)
        except HttpError:
            self.abort()
            if unheard:
                visitor.unanswered(self, began=True)
            else:
                visitor.cut()
            return
        if out:
            visitor.write(out[0] if len(out) == 1 else b"".join(out))
        self._taken(len(data))
        if self.phase is _IDLE:
            self.served += 1
            if used < len(data):
                self.abort()
            visitor.answered(self)
        elif self.phase is _RAW:
            visitor.switched(self)

    def _scan(self, data: bytes, out: list[bytes]) -> int:
        """Read heads and bodies; return how many bytes belonged to the answer."""
        pos, size = 0, len(data)
        while pos < size:
            phase = self.phase
            if phase is _HEAD:
                end = -1 if self._partial else data.find(b"\r\n\r\n", pos)
                if end < 0 or end + 4 - pos > self._most:
                    pos = self._scan_partial(data, pos, out)
                    continue
                end += 4
                self._begin(data if end == size and not pos else data[pos:end], out)
                pos = end
            elif phase is _LENGTH and size - pos == self._rest:
                self.phase = _IDLE
                self._exchange.bytes_out += self._rest
                out.append(data[pos:] if pos else data)
                return size
            elif phase is _IDLE:
                break
            else:
                pos = self._scan_body(data, pos, out)
        return pos

    def _scan_partial(self, data: bytes, pos: int, out: list[bytes]) -> int:
        """Read a head of which a part has come before, or of which only a part has come now."""
        partial = self._partial
        looked = len(partial)
        source: bytes | bytearray = data[pos:]
        if looked:
            partial += source
            source = partial
        end = find_head(source, looked, 502, self._most)
        if end < 0:
            if not looked:
                if not b"HTTP/1.".startswith(source[:7]):
                    raise HttpError(502, "The upstream does not answer in HTTP/1.")
                self._partial = bytearray(source)
            return len(data)
        self._partial = bytearray()
        self._begin(bytes(source[:end]), out)
        return pos + end - looked

    def _begin(self, raw: bytes, out: list[bytes]) -> None:
        """Pass a head on and get ready for its body."""
        exchange = self._exchange
        request = exchange.head
        head = self._reader.read(raw, request.method)
        if head.status < 200:
            self._interim_answer(head, exchange, out)
            return
        chunking = request.minor == 1
        keep = request.keep_alive and head.framing is not UNTIL_CLOSE and not self._visitor.draining
        if request.framing is not NO_BODY and self._is_refusal(head, exchange):
            keep = False
        self.keep = head.keep_alive
        exchange.answered(head)
        exchange.again = b""
        self._visitor.keep_alive = keep
        if head is not self._written_of or not keep:  # the reader gives the same head for the same bytes
            self._written = response_head(head, keep_alive=keep, chunking=chunking)
            self._written_of = head if keep else None
        out.append(self._written)
        framing = head.framing
        if framing is NO_BODY:
            self.phase = _IDLE
        elif framing is CHUNKED:
            self._scanner = ChunkScanner(502)
            self._payload = not chunking
            self.phase = _CHUNKED
            if not chunking:
                self._visitor.only_the_end_tells()
        elif framing is UNTIL_CLOSE:
            self.phase = _UNTIL_END
            self._visitor.only_the_end_tells()
        else:
            self._rest = framing.length
            self.phase = _LENGTH

    def _is_refusal(self, head: ResponseHead, exchange: "Exchange") -> bool:
        """Say whether an answer came before its whole request, and the rest had better not come.

        Such a visitor is told that its connection ends: it may send the rest or not, and nobody could
        tell that from a request. Any other early answer leaves the connection open if the request
        gets complete before the answer does.
        """
        if self._visitor.request_sent:
            return False
        waiting = exchange.head.expect_continue and not exchange.continued and not exchange.bytes_in
        return waiting or head.status >= 400

    def _interim_answer(self, head: ResponseHead, exchange: "Exchange", out: list[bytes]) -> None:
        self._interim += 1
        if head.status == 101:
            if exchange.head.upgrade is None or head.upgrade != exchange.head.upgrade:
                raise HttpError(502, "The upstream switches to a protocol that nobody asked for.")
            exchange.answered(head)
            exchange.again = b""
            out.append(response_head(head, keep_alive=True))
            self.phase = _RAW
            self._visitor.only_the_end_tells()
        elif self._interim > MAX_INTERIM:
            raise HttpError(502, "The upstream sends interim answers without end.")
        elif exchange.head.minor == 1:
            exchange.continued = exchange.continued or head.status == 100
            out.append(response_head(head, keep_alive=True))

    def _scan_body(self, data: bytes, pos: int, out: list[bytes]) -> int:
        exchange = self._exchange
        piece = data[pos:] if pos else data
        k = len(piece)
        if self.phase is _LENGTH:
            if k > self._rest:
                k = self._rest
                piece = piece[:k]
            self._rest -= k
            if not self._rest:
                self.phase = _IDLE
        elif self.phase is _CHUNKED:
            assert self._scanner is not None
            payload: list[bytes] | None = [] if self._payload else None
            k = self._scanner.scan(piece, payload)
            piece = piece[:k] if payload is None else b"".join(payload)
            if self._scanner.done:
                self._scanner = None
                self.phase = _IDLE
        exchange.bytes_out += len(piece)
        out.append(piece)
        return pos + k
