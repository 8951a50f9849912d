"""Following HTTP on a relayed connection, so that finished requests can be told.

An `Observer` stands between a stream and its leg: Sink to the one, Pipe to the other. It looks at every
piece as it passes, changes nothing and delays nothing; of a body it only finds the end. What it
cannot read it stops reading: from then on the connection passes unobserved. It is put in only where
somebody listens for events.

Requests may be pipelined, so begun exchanges wait in a queue; answers complete them in order. An
interim answer (1xx) completes nothing. After 101, and for an answer that ends with its connection, the
exchange is complete when the connection is.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from portway.codec.chunked import ChunkScanner
from portway.codec.http1 import Framing, Kind, find_head, parse_request, parse_response
from portway.codec.proxy_protocol import ProxyProtocolError, decode
from portway.errors import HttpError
from portway.pipe import Pipe, Sink

PIECE = 16_384
"""Bytes of a head that are looked at in one go."""

Report = Callable[[str, str, int, float], None]
"""Told of a finished request: method, target, status, duration in seconds."""


@dataclass(slots=True)
class Exchange:
    """A request that waits for its answer."""

    method: bytes
    target: bytes
    began: float
    status: int = 0


class Follower:
    """Finds the heads in one direction's bytes. ``on_head`` returns the framing of what follows."""

    __slots__ = ("_buffer", "_on_done", "_on_head", "_preface", "_rest", "_scanner", "_status", "blind")

    def __init__(
        self,
        on_head: Callable[[bytes], Framing | None],
        on_done: Callable[[], None],
        *,
        status: int,
        preface: bool = False,
    ) -> None:
        """Begin before the first head; with ``preface`` a PROXY header comes ahead of it.

        ``on_head`` returns None for what cannot be followed; ``on_done`` hears each message's end.
        ``status`` is that of a `ChunkScanner`.
        """
        self._on_head = on_head
        self._on_done = on_done
        self._status = status
        self._preface = preface
        self._buffer = bytearray()
        self._rest = 0
        self._scanner: ChunkScanner | None = None
        self.blind = False

    def feed(self, view: memoryview) -> None:
        """Look at the next bytes."""
        if len(view) < self._rest:  # most pieces of most bodies
            self._rest -= len(view)
            return
        try:
            while view and not self.blind:
                view = view[self._step(view) :]
        except (HttpError, ProxyProtocolError):
            self.stop()

    def stop(self) -> None:
        """Look no more."""
        self.blind = True
        self._buffer.clear()

    def _step(self, view: memoryview) -> int:
        """Take the bytes of one part: of a body, or of a head."""
        if self._rest:
            taken = min(self._rest, len(view))
            self._rest -= taken
            if not self._rest:
                self._on_done()
            return taken
        if self._scanner is not None:
            taken = self._scanner.scan(view)
            if self._scanner.done:
                self._scanner = None
                self._on_done()
            return taken
        return self._head(view[:PIECE])

    def _head(self, view: memoryview) -> int:
        seen = len(self._buffer)
        self._buffer += view
        end = self._end_of_preface() if self._preface else find_head(self._buffer, seen)
        if end < 0:
            return len(view)
        head = bytes(self._buffer[:end])
        self._buffer.clear()
        if self._preface:
            self._preface = False
        else:
            self._body(self._on_head(head))
        return end - seen

    def _end_of_preface(self) -> int:
        found = decode(bytes(self._buffer))
        return -1 if found is None else found.size

    def _body(self, framing: Framing | None) -> None:
        if framing is None or framing.kind is Kind.CLOSE:
            self.stop()
        elif framing.kind is Kind.CHUNKED:
            self._scanner = ChunkScanner(self._status)
        elif framing.kind is Kind.LENGTH:
            self._rest = framing.length
        else:
            self._on_done()


class Observer:
    """A Sink for the stream and a Pipe for the leg, which follows the HTTP between them."""

    __slots__ = (
        "_answers",
        "_clock",
        "_fallback",
        "_lent",
        "_open",
        "_pipe",
        "_report",
        "_requests",
        "_sink",
    )

    def __init__(
        self, pipe: Pipe, report: Report, clock: Callable[[], float], *, proxy_header: bool = False
    ) -> None:
        """Stand before this pipe; `to` says which sink is behind. ``clock`` returns seconds."""
        self._pipe = pipe
        self._sink: Sink | None = None
        self._report = report
        self._clock = clock
        self._lent: memoryview | None = None
        self._fallback = 0
        self._open: deque[Exchange] = deque()
        self._requests = Follower(self._asked, _nothing, status=400, preface=proxy_header)
        self._answers = Follower(self._answered, self._complete, status=502)

    def to(self, sink: Sink) -> None:
        """Deliver to this sink."""
        self._sink = sink

    # -- the Sink: from the visitor

    def on_data(self, view: memoryview) -> None:
        """Look, and pass on."""
        if not self._requests.blind:
            self._requests.feed(view)
        self._behind().on_data(view)

    def on_end(self) -> None:
        """Pass on."""
        self._behind().on_end()

    def on_reset(self, code: int) -> None:
        """Pass on; what was still open is complete as far as it got."""
        self.finish()
        self._behind().on_reset(code)

    def on_room(self) -> None:
        """Pass on."""
        self._behind().on_room()

    # -- the Pipe: to the visitor

    def lend(self) -> memoryview | None:
        """Lend what the pipe lends."""
        self._lent = self._pipe.lend()
        return self._lent

    def filled(self, n: int) -> bool:
        """Look, and pass on."""
        if self._lent is not None and not self._answers.blind:
            self._answers.feed(self._lent[:n])
        self._lent = None
        return self._pipe.filled(n)

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Look at what the pipe takes."""
        if self._answers.blind:
            return self._pipe.send(data)
        piece = bytes(data)  # the caller may cut what was taken from its buffer: no view of it may stay
        taken = self._pipe.send(piece)
        self._answers.feed(memoryview(piece)[:taken])
        return taken

    def end(self) -> None:
        """Pass on; an answer that ends with its connection is complete."""
        self.finish()
        self._pipe.end()

    def abort(self, code: int = 6) -> None:
        """Pass on."""
        self.finish()
        self._pipe.abort(code)

    def consume(self, n: int) -> None:
        """Pass on."""
        self._pipe.consume(n)

    # -- what was seen

    def finish(self) -> None:
        """Take the end of the connection for the end of an answer that has begun. Idempotent."""
        if self._open:
            self._open[0].status = self._open[0].status or self._fallback
            self._complete()
        self._open.clear()

    def unanswered(self, status: int) -> None:
        """Expect no answer: the service will give the visitor one with this status."""
        self._fallback = status

    def _asked(self, head: bytes) -> Framing | None:
        request = parse_request(head)
        self._open.append(Exchange(request.method, request.target, self._clock()))
        return request.framing

    def _answered(self, head: bytes) -> Framing | None:
        exchange = self._open[0] if self._open else None
        response = parse_response(head, exchange.method if exchange else b"GET")
        if response.status == 101:
            self._requests.stop()
        if exchange is not None and (response.status >= 200 or response.status == 101):
            exchange.status = response.status
        return None if response.status == 101 else response.framing

    def _complete(self) -> None:
        if not self._open or not self._open[0].status:
            return  # an interim answer, or one that nobody asked for
        done = self._open.popleft()
        duration = self._clock() - done.began
        self._report(done.method.decode("ascii"), done.target.decode("ascii"), done.status, duration)

    def _behind(self) -> Sink:
        assert self._sink is not None, "the observer was not told its sink"
        return self._sink


def _nothing() -> None:
    """Ignore the end of a request's body."""
