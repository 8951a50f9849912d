"""The upstream's side of a passage in HTTP/1: a stream whose answers are read down to their payload.

The same strict reader and scanner as on the direct way (``http_response.py``), and the same rule: bytes
that nobody asked for cost the upstream its stream and never reach a visitor. Every byte of the stream
that is no payload is consumed at once; the payload when the passage says so.
"""

from typing import TYPE_CHECKING

from portway.codec.chunked import ChunkScanner, chunk, last_chunk
from portway.codec.http1 import CHUNKED, NO_BODY, UNTIL_CLOSE, ResponseHead, find_head
from portway.codec.repeated import AnswerReader
from portway.edge.http_response import MAX_INTERIM, Phase
from portway.errors import HttpError

if TYPE_CHECKING:
    from portway.codec.http1 import RequestHead
    from portway.edge.http_passage import Passage
    from portway.edge.http_sides import Lines
    from portway.edge.http_upstreams import Upstreams
    from portway.edge.member import Member
    from portway.pipe import Pipe


class Http1Upstream:
    """One stream to a member, for one request after the other."""

    __slots__ = (
        "_chunking", "_gone", "_head", "_interim", "_keep", "_method", "_most", "_partial", "_passage",
        "_pipe", "_reader", "_request_ended", "_rest", "_scanner", "_served", "_unsent", "_upgrade",
        "_upstreams", "member", "phase",
    )  # fmt: skip

    def __init__(self, upstreams: "Upstreams", member: "Member") -> None:
        """Make the Sink; ``attach`` and ``serve`` follow when the stream is open."""
        limits = upstreams.edge.config.limits
        self._upstreams = upstreams
        self.member = member
        self.phase = Phase.IDLE
        self._most = limits.head_bytes
        self._reader = AnswerReader(limits.head_fields)
        self._partial = bytearray()
        self._scanner: ChunkScanner | None = None
        self._rest = 0
        self._interim = 0
        self._served = 0
        self._keep = True
        self._chunking = False
        self._upgrade: bytes | None = None
        self._method = b""
        self._unsent = b""
        self._request_ended = False
        self._gone = False
        self._head: ResponseHead | None = None  # read, and not told yet

    def __repr__(self) -> str:
        """Show what is expected and what has passed."""
        return f"<Http1Upstream {self.phase.value} served={self._served}>"

    def attach(self, pipe: "Pipe") -> None:
        """Join the stream that was opened for this Sink."""
        self._pipe = pipe

    def serve(self, passage: "Passage") -> None:
        """Serve this one next."""
        self._passage = passage
        self._interim = 0
        self._request_ended = False
        self.phase = Phase.HEAD

    def close(self) -> None:
        """End a stream that serves nobody."""
        self.phase = Phase.OVER
        self._pipe.end()

    # -- the passage's side

    @property
    def reused(self) -> bool:
        """A request was served over this stream before."""
        return self._served > 0

    def begin(self, head: "RequestHead", raw: bytes) -> None:
        """Send the head."""
        self._method = head.method
        self._upgrade = head.upgrade
        self._chunking = head.framing is CHUNKED
        self._request_ended = head.framing is NO_BODY
        self._passage.exchange.reused = self.reused
        self._put(raw)

    def send(self, data: bytes) -> int:
        """Send payload under the framing of the head."""
        if self._unsent:
            return 0
        self._put(chunk(data) if self._chunking else data)
        return len(data)

    def end(self, trailers: "Lines") -> None:
        """Send what ends the body."""
        self._request_ended = True
        if self._chunking and self.phase is not Phase.RAW:
            self._put(last_chunk(trailers))
        elif self.phase is Phase.RAW and not self._unsent:
            self._pipe.end()

    def consume(self, n: int) -> None:
        """Give credit back for payload."""
        if not self._gone:
            self._pipe.consume(n)

    def abort(self) -> None:
        """Cut the stream, if it still serves."""
        if self.phase not in (Phase.IDLE, Phase.OVER):
            self._cut()

    def _cut(self) -> None:
        self.phase = Phase.OVER
        self._gone = True
        self._pipe.abort()

    def _put(self, data: bytes) -> None:
        if self._unsent:
            self._unsent += data
            return
        took = self._pipe.send(data)
        if took < len(data):
            self._unsent = data[took:]

    # -- the Sink

    def on_data(self, view: memoryview) -> None:
        """Read a piece of the answer."""
        data = bytes(view)
        phase = self.phase
        if phase is Phase.IDLE or phase is Phase.OVER:
            self._upstreams.forget(self)
            self._cut()
            return
        out: list[bytes] = []
        try:
            used = self._scan(data, out)
        except HttpError:
            self._break(began=True)
            return
        self._pipe.consume(len(data) - sum(map(len, out)))
        passage = self._passage
        head, self._head = self._head, None
        if head is not None:
            passage.on_head(head)
            if self._gone:
                return
        done = self.phase is Phase.IDLE
        if done:
            self._done(in_order=used == len(data))
        for piece in out:
            passage.on_body(piece)
        if done:
            passage.on_end(self._trailers())

    def on_end(self) -> None:
        """The upstream has finished: in order, or too early."""
        phase = self.phase
        if phase is Phase.RAW:
            self._passage.on_end([])
            return
        began = self._began
        self.phase = Phase.OVER
        self._pipe.end()
        if phase is Phase.IDLE:
            self._upstreams.forget(self)
        elif phase is Phase.UNTIL_END:
            self._passage.on_end([])
        elif phase is not Phase.OVER:
            self._passage.on_broken(self, began=began)

    def on_reset(self, code: int) -> None:
        """The stream is gone: never a clean end."""
        phase, began = self.phase, self._began
        self.phase = Phase.OVER
        self._gone = True
        if phase is Phase.IDLE:
            self._upstreams.forget(self)
        elif phase is not Phase.OVER:
            self._passage.on_broken(self, began=began, reset=code)

    def on_room(self) -> None:
        """Send on what waited."""
        if self._unsent:
            took = self._pipe.send(self._unsent)
            self._unsent = self._unsent[took:]
            if self._unsent:
                return
            if self.phase is Phase.RAW and self._request_ended:
                self._pipe.end()
                return
        if self.phase is not Phase.OVER and self.phase is not Phase.IDLE:
            self._passage.on_room()

    # -- reading

    @property
    def _began(self) -> bool:
        return self.phase is not Phase.HEAD or self._interim > 0 or bool(self._partial)

    def _scan(self, data: bytes, out: list[bytes]) -> int:
        """Read heads and payload; return how many bytes belonged to the answer."""
        pos, size = 0, len(data)
        while pos < size:
            phase = self.phase
            if phase is Phase.HEAD:
                pos = self._scan_head(data, pos)
            elif phase is Phase.LENGTH:
                piece = data[pos : pos + self._rest]
                out.append(piece)
                pos += len(piece)
                self._rest -= len(piece)
                if not self._rest:
                    self.phase = Phase.IDLE
            elif phase is Phase.CHUNKED:
                pos += self._scan_chunks(data[pos:], out)
            elif phase is Phase.UNTIL_END or phase is Phase.RAW:
                out.append(data[pos:])
                return size
            else:
                break
        return pos

    def _scan_head(self, data: bytes, pos: int) -> int:
        looked = len(self._partial)
        self._partial += data[pos:]
        end = find_head(self._partial, looked, 502, self._most)
        if end < 0:
            if not looked and not b"HTTP/1.".startswith(self._partial[:7]):
                raise HttpError(502, "The upstream does not answer in HTTP/1.")
            return len(data)
        head = self._reader.read(bytes(self._partial[:end]), self._method)
        self._partial = bytearray()
        self._begin_answer(head)
        return pos + end - looked

    def _scan_chunks(self, data: bytes, out: list[bytes]) -> int:
        scanner = self._scanner
        assert scanner is not None
        pieces: list[bytes] = []
        used = scanner.scan(data, pieces)
        if pieces:
            out.append(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if scanner.done:
            self.phase = Phase.IDLE
        return used

    def _begin_answer(self, head: ResponseHead) -> None:
        framing = head.framing
        if head.status < 200:
            self._interim_answer(head)
            return
        self._keep = head.keep_alive
        if framing is NO_BODY:
            self.phase = Phase.IDLE
        elif framing is CHUNKED:
            self._scanner = ChunkScanner(502)
            self.phase = Phase.CHUNKED
        elif framing is UNTIL_CLOSE:
            self.phase = Phase.UNTIL_END
        else:
            self._rest = framing.length
            self.phase = Phase.LENGTH
        self._head = head

    def _interim_answer(self, head: ResponseHead) -> None:
        self._interim += 1
        if head.status == 101:
            if self._upgrade is None or head.upgrade != self._upgrade:
                raise HttpError(502, "The upstream switches to a protocol that nobody asked for.")
            self.phase = Phase.RAW
            self._request_ended = False
            self._head = head
        elif self._interim > MAX_INTERIM:
            raise HttpError(502, "The upstream sends interim answers without end.")
        else:
            self._passage.on_interim(head)

    def _trailers(self) -> "Lines":
        scanner, self._scanner = self._scanner, None
        return scanner.trailers if scanner is not None else []

    def _done(self, *, in_order: bool) -> None:
        """The answer is complete: keep the stream if it can serve again."""
        self._served += 1
        if not in_order or not self._request_ended or self._unsent:
            self._cut()
        elif self._keep:
            self._upstreams.back(self)
        else:
            self.close()

    def _break(self, *, began: bool) -> None:
        self._cut()
        self._passage.on_broken(self, began=began)
