"""The session machine: bytes and time in, calls on Sinks and bytes out. It knows no socket.

**In.** The driver calls ``feed`` with whatever arrived; ``Reader`` splits it. A stream that the
peer opens gets an ``Arrival`` as its first Sink, which collects type and request; then the handler
is asked for the real one.

**Out.** Streams write into ``Output``; ``on_output`` asks the driver for a flush: ``take_output``
until None, then ``wake``.

**Faults.** What a peer does wrong on one stream costs that stream (RST). What breaks the framing or
the ids raises ``RemoteProtocolError`` from ``feed``: the driver calls ``goaway`` with its code,
flushes and closes. A Sink that raises loses its own stream, nothing else.

**Time.** The only clock is the ``now`` that the driver brings. The one thing that waits is an
aborted stream, see ``slots``.
"""

from typing import TYPE_CHECKING, Protocol

from portway.errors import (
    LocalProtocolError,
    PortwayError,
    RemoteProtocolError,
    SessionClosed,
)
from portway.wire import frames
from portway.wire.arrival import Arrival
from portway.wire.frames import HEADER, INITIAL_WINDOW, MAX_STREAM_ID, ErrorCode, Role
from portway.wire.opening import RPC_TYPES, Opening, StreamType
from portway.wire.output import ANSWER_LIMIT, MIN_ROOM, NO_CREDIT, Areas, Output
from portway.wire.profile import STRICT, Profile
from portway.wire.reader import GOAWAY_TEXT, Reader
from portway.wire.slots import Slots
from portway.wire.states import RECEIVING, SENDING, Event, State
from portway.wire.stream import NOBODY, Stream
from portway.wire.window import SESSION_GRANTS

if TYPE_CHECKING:
    from portway.pipe import Sink

# To reach a member through its enumeration costs as much as a call: here, several times for each stream.
_, _PEER_ENDED, _, _ABORTED, _GONE = State
_END, _ABORT, _PEER_END, _PEER_RESET, _EXPIRED, _SESSION_END = Event
_PROXY, _HEARTBEAT = StreamType.PROXY, StreamType.HEARTBEAT
_CANCELLED = ErrorCode.STREAM_CANCELLED


class Handler(Protocol):
    """What a connection tells its session. No call may feed the connection again."""

    def on_open(self, stream: Stream, opening: Opening, /) -> "Sink | None":
        """Take a stream that the peer opened: return its Sink, or None to refuse it (RST 5)."""
        ...

    def on_output(self) -> None:
        """A flush is due: arrange one soon. Called once between two flushes."""
        ...

    def on_closed(self, cause: PortwayError | None, /) -> None:
        """Hear that all is over: once, after every stream's ``on_reset``. None: we ended it normally."""
        ...

    def on_fault(self, stream: Stream, error: BaseException, /) -> None:
        """Hear of an exception of a stream's Sink. The stream is aborted already."""
        ...


class Connection(Reader):
    """One session's protocol machine; see the module for the flow.

    Counters: ``bytes_in``, ``bytes_out``, ``opened``. ``closed`` turns True once, for good. ``slots``,
    ``output``, ``raised`` (bytes that windows were raised by) and ``collecting`` (bytes of unfinished
    openings) are the machine's own, for tests to look at.
    """

    def __init__(self, role: Role, handler: Handler, areas: Areas, *, profile: Profile = STRICT) -> None:
        """Make a machine for one end; ``areas`` is the loop's pool of bulk areas."""
        self.role = role
        self.handler = handler
        self.profile = profile
        self.closed = False
        self.peer_code: int | None = None
        """The code of the peer's GOAWAY; None when none has come, or an unreadable one."""
        self.draining = False
        self.bytes_out = 0
        self.collecting = 0
        self.output = Output(areas, handler.on_output, profile.frame_limit)
        self.slots = Slots(role, self.output)
        self.raised = 0
        self.near = False
        """The peer answers quickly: windows are raised by less. Set by the session, which measures."""
        self._now = 0.0
        self._fault: RemoteProtocolError | None = None
        self._scratch: bytearray | None = None
        super().__init__(self.slots.streams)

    def __repr__(self) -> str:
        """Show the end, its state and its counts."""
        state = "closed" if self.closed else "draining" if self.draining else "open"
        return f"<Connection {self.role.value} {state} {self.profile.name} streams={self.streams}>"

    # -- for the driver

    def feed(self, view: memoryview, now: float) -> None:
        """Take received bytes, in pieces of any size; ``view`` is not kept.

        Raise RemoteProtocolError when the session cannot go on; later bytes are then ignored.
        """
        self._now = now
        self.read(view)

    def feed_eof(self, now: float) -> None:
        """The peer has closed the connection: a normal end, in whatever place it comes."""
        self._now = now
        self.abort(SessionClosed("the peer closed the connection"))

    def take_output(self) -> memoryview | None:
        """Return the next bytes to send, valid until the next call; None when the flush is complete."""
        data = self.output.take()
        if data is not None:
            self.bytes_out += len(data)
        return data

    def wake(self) -> None:
        """Give turns to parked writers; to be called after each flush."""
        self.output.wake(self._tell_room)

    def deadline(self) -> float | None:
        """When ``on_deadline`` wants to be called, on the clock of ``feed``'s ``now``; None: never."""
        return self.slots.deadline

    def on_deadline(self, now: float) -> None:
        """Forget aborted streams whose peers stayed silent."""
        self._now = now
        for stream in self.slots.expire(now):
            stream.move(_EXPIRED)
            self.slots.retire(stream)

    @property
    def overloaded(self) -> bool:
        """The peer has provoked more answers than it reads: stop reading from it until flushed."""
        return self.output.answers > ANSWER_LIMIT

    # -- for the session

    @property
    def streams(self) -> int:
        """How many streams are known, aborted ones included while they count."""
        return len(self.slots.streams)

    @property
    def proxied(self) -> int:
        """How many of them are not urgent: those that a drain waits for."""
        return sum(1 for stream in self.slots.streams.values() if not stream.urgent)

    @property
    def opened(self) -> int:
        """Streams opened so far, by either end."""
        return self.slots.opened

    def open_stream(self, opening: bytes, sink: "Sink", urgent: bool = False) -> Stream:
        """Open a stream with ``pack_opening(…)``, and perhaps first data, without FIN.

        All of it goes into the SYN frame; only what is longer than the peer's frame limit follows
        in further frames. At most INITIAL_WINDOW bytes. Raise StreamLimit when the peer bears no
        more streams, SessionClosed when closed or, unless ``urgent``, draining.
        """
        if self.deaf or (self.draining and not urgent):
            raise SessionClosed("the session is over" if self.deaf else "the session is ending")
        size = len(opening)
        if not 0 < size <= INITIAL_WINDOW:
            raise LocalProtocolError(f"an opening of {size} bytes")
        stream = Stream(self, self.slots.claim(self.profile, urgent=urgent), sink, urgent=urgent)
        stream.credit -= size
        self.slots.add(stream)
        limit = self.profile.frame_limit
        if size <= limit:
            self.output.put_first(frames.pack_head(size << 8 | frames.SYN_WORD, stream.id) + opening)
            return stream
        word = frames.SYN_WORD
        for start in range(0, size, limit):
            part = opening[start : start + limit]
            self.output.put_first(frames.pack_head(len(part) << 8 | word, stream.id) + part)
            word = frames.DATA_WORD
        return stream

    def configure(self, profile: Profile) -> None:
        """Treat the peer by another profile from now on."""
        self.profile = profile
        self.output.limit(profile.frame_limit)
        for stream in self.slots.streams.values():
            stream.gain(0, profile.send_credit_cap)

    def drain(self) -> None:
        """Finish, then stop: proxied streams are neither opened nor accepted any more."""
        self.draining = True

    def goaway(self, code: int, text: str = "") -> None:
        """End the session: GOAWAY behind all that is buffered, and nothing after it; idempotent.

        The driver flushes and closes. Every Sink hears ``on_reset(14)``, then ``on_closed`` is called.
        """
        if self.closed:
            return
        body = text.encode()[:GOAWAY_TEXT]
        self.output.put_last(frames.goaway(self.slots.peer_last, code, body))
        cause: PortwayError | None = self._fault
        if cause is None and code:
            cause = SessionClosed(f"we ended the session with code {code}: {text}")
        self._close(cause)

    def abort(self, cause: PortwayError | None) -> None:
        """End the session without another byte, as when its socket is lost; idempotent."""
        if not self.closed:
            self.output.clear()
            self._close(cause)

    def _close(self, cause: PortwayError | None) -> None:
        self.closed = self.deaf = True
        ended = [(stream, stream.sink) for stream in self.slots.streams.values()]
        # All are over before the first Sink hears of it: none can put a frame behind GOAWAY.
        for stream, _ in ended:
            self._finish(stream, _SESSION_END)
        self.output.forget_writers()
        self.slots.deadline = None
        for stream, sink in ended:
            self._tell_reset(stream, sink, ErrorCode.SESSION_CLOSED)
        self.handler.on_closed(cause)

    # -- what the reader finds

    def accept(self, stream_id: int) -> Stream | None:
        """The peer opens a stream. None: it has too many."""
        self._check_id(stream_id)
        slots = self.slots
        if not slots.is_peers(stream_id):
            raise self._broken(ErrorCode.PROTOCOL_ERROR, f"SYN with id {stream_id} of the wrong parity")
        if stream_id in slots.streams:
            raise self._broken(ErrorCode.PROTOCOL_ERROR, f"SYN on open stream {stream_id}")
        if not slots.admit(stream_id, self.profile.peer_limit):
            if slots.flooded:
                raise self._broken(ErrorCode.ENHANCE_YOUR_CALM, "too many streams")
            return None
        stream = Stream(self, stream_id, NOBODY, urgent=False)
        stream.sink = Arrival(self, stream)
        slots.add(stream)
        return stream

    def stray(self, stream_id: int, word: int) -> None:
        """Answer DATA that no stream takes: RST, but for an empty FIN."""
        self._check_id(stream_id)
        if word & frames.FLAG_SYN:
            self._answer(frames.rst(stream_id, ErrorCode.ACCEPT_QUEUE_FULL))
        elif word >> 8 or not word & frames.FLAG_FIN:
            self._answer(frames.rst(stream_id, ErrorCode.STREAM_CLOSED))

    def overrun(self, stream: Stream, word: int) -> None:
        """Reset a stream that sent beyond its grant, or after its FIN; drop what an aborted one sends."""
        length = word >> 8
        if stream.state is _PEER_ENDED:
            self._fail(stream, ErrorCode.STREAM_CLOSED)
        elif stream.state in RECEIVING:
            too_long = length > stream.window
            self._fail(stream, ErrorCode.FRAME_SIZE_ERROR if too_long else ErrorCode.FLOW_CONTROL_ERROR)
        elif not self.profile.reset_on_abort:
            self._answer(frames.rst(stream.id, ErrorCode.STREAM_CLOSED))
        if word & frames.FLAG_FIN:
            self.peer_end(stream)

    def peer_end(self, stream: Stream) -> None:
        """FIN: the Sink hears the end, unless it has heard one before."""
        heard = stream.state in RECEIVING
        sink = stream.sink
        if heard:
            self._close_in(stream)
        if stream.state is not _GONE and stream.move(_PEER_END) is _GONE:
            self._retire(stream)
        if heard:
            try:
                sink.on_end()
            except Exception as error:  # noqa: BLE001 - a Sink's fault costs its stream, not the session
                self.contain(stream, error, sink)

    def peer_reset(self, stream_id: int, word: int, code: int) -> None:
        """RST: both directions are over; the FIN that we owe tells the peer that the slot is free."""
        if word >> 8 != 4:
            raise self._broken(ErrorCode.FRAME_SIZE_ERROR, f"RST of length {word >> 8}")
        stream = self.slots.streams.get(stream_id)
        if stream is None:
            self._check_id(stream_id)
            return
        if stream.state in SENDING:
            self._put_final(stream, frames.fin(stream_id))
        sink = stream.sink
        self._finish(stream, _PEER_RESET)
        self._tell_reset(stream, sink, code)

    def peer_credit(self, stream_id: int, word: int, increment: int) -> None:
        """WNDINC: more credit; who was out of it queues for room."""
        if word >> 8 != 4:
            raise self._broken(ErrorCode.FRAME_SIZE_ERROR, f"WNDINC of length {word >> 8}")
        increment &= frames.MAX_CREDIT
        if not increment:
            raise self._broken(ErrorCode.PROTOCOL_ERROR, "WNDINC of 0")
        stream = self.slots.streams.get(stream_id)
        if stream is None:
            self._check_id(stream_id)
        elif stream.state in SENDING:
            stream.gain(increment, self.profile.send_credit_cap)
            if stream.waiting == NO_CREDIT:
                self.output.join(stream)

    def peer_goaway(self, body: bytes) -> None:
        """GOAWAY: the session is over, whatever else has arrived."""
        if len(body) < HEADER:
            self.abort(SessionClosed("the peer ended the session"))
            return
        code: int = frames.unpack_u32(body, 4)[0]
        self.peer_code = code
        text = body[HEADER:].decode("utf-8", "replace")
        self.abort(SessionClosed(f"the peer ended the session with code {code}: {text}"))

    def contain(self, stream: Stream, error: Exception, sink: "Sink | None" = None) -> None:
        """A Sink raised: its stream ends on both sides, the session lives."""
        sink = sink or stream.sink
        if stream.state < _ABORTED:
            self.cut(stream, ErrorCode.INTERNAL_ERROR)
        if sink is not NOBODY:
            self._tell_reset(stream, sink, ErrorCode.INTERNAL_ERROR)
        self.handler.on_fault(stream, error)

    # -- what streams ask

    def offer(self, stream: Stream, opening: Opening) -> None:
        """Ask the handler for the Sink of a stream whose opening is complete."""
        stream.urgent = opening.type in RPC_TYPES or opening.type == _HEARTBEAT
        refused = self.draining and opening.type == _PROXY
        sink = None if refused else self.handler.on_open(stream, opening)
        if stream.state >= _ABORTED:
            return
        if sink is None:
            stream.sink = NOBODY
            stream.abort(ErrorCode.STREAM_REFUSED)
        else:
            stream.sink = sink

    def scratch(self) -> bytearray:
        """Return the lend of urgent streams, which do not write to the bulk area."""
        if self._scratch is None:
            self._scratch = bytearray(MIN_ROOM)
        return self._scratch

    def is_peers(self, stream_id: int) -> bool:
        """Whether the peer opens streams with such an id."""
        return self.slots.is_peers(stream_id)

    def end(self, stream: Stream) -> None:
        """Send a stream's FIN."""
        stream.stop_sending()
        self._put_final(stream, frames.fin(stream.id))
        if stream.move(_END) is _GONE:
            self._retire(stream)

    def cut(self, stream: Stream, code: int) -> None:
        """Abort a stream in the way its peer understands. Its Sink hears nothing more."""
        profile = self.profile
        frame = b""
        if profile.fin_before_reset and stream.state in SENDING:
            frame = frames.fin(stream.id)
        if profile.reset_on_abort or code != _CANCELLED:
            # Code 0 would not even stop the writer of some peers.
            frame += frames.rst(stream.id, code or _CANCELLED)
        elif owed := stream.window - stream.grant:
            # Its writer may wait for this credit; what it then sends tells it that nobody listens.
            self.output.put_first(frames.wndinc(stream.id, owed))
        self._put_final(stream, frame)
        self._finish(stream, _ABORT)
        if stream.state is _ABORTED:
            self.slots.linger(stream, self._now)

    def give_back(self, stream: Stream) -> None:
        """Send a WNDINC; a stream's first one that finds room also raises its window."""
        profile = self.profile
        window = profile.near_window if self.near else profile.receive_window
        extra = max(0, min(window, profile.receive_window) - stream.window)
        if extra:
            if self.streams * INITIAL_WINDOW + self.raised + extra > SESSION_GRANTS:
                extra = 0
            self.raised += extra
        increment = stream.give_back(extra)
        output = self.output
        if stream.grant_epoch == output.epoch:  # one is still unflushed: make it say more
            at = stream.grant_at
            increment += frames.unpack_u32(output.first, at)[0]
            frames.pack_u32_into(output.first, at, increment)
            return
        stream.grant_epoch = output.epoch
        stream.grant_at = len(output.first) + HEADER
        output.put_first(frames.wndinc(stream.id, increment))

    # -- inside

    def _fail(self, stream: Stream, code: int) -> None:
        """Cut a stream for what its peer did."""
        sink = stream.sink
        self.cut(stream, code)
        self._tell_reset(stream, sink, code)

    def _finish(self, stream: Stream, event: Event) -> None:
        """Stop both directions and drop the Sink."""
        stream.stop_sending()
        self._close_in(stream)
        stream.sink = NOBODY
        if stream.move(event) is _GONE:
            self._retire(stream)

    def _retire(self, stream: Stream) -> None:
        """Forget a stream that is GONE. Without its Sink it forms no cycle with its leg."""
        stream.sink = NOBODY
        self.slots.retire(stream)

    def _close_in(self, stream: Stream) -> None:
        if stream.window > INITIAL_WINDOW:
            self.raised -= stream.window - INITIAL_WINDOW
        stream.close_in()

    def _put_final(self, stream: Stream, frame: bytes) -> None:
        """Add FIN or RST behind the stream's data."""
        output = self.output
        stream.final_epoch = output.epoch
        if stream.urgent:
            output.put_first(frame)
            if self.is_peers(stream.id):
                output.answers += len(frame)
        else:
            output.put_last(frame)

    def _answer(self, frame: bytes) -> None:
        """Add a frame that the peer provoked and that no stream bounds."""
        self.output.put_first(frame)
        self.output.answers += len(frame)

    def _tell_room(self, stream: Stream) -> None:
        try:
            stream.sink.on_room()
        except Exception as error:  # noqa: BLE001 - a Sink's fault costs its stream, not the session
            self.contain(stream, error)

    def _tell_reset(self, stream: Stream, sink: "Sink", code: int) -> None:
        try:
            sink.on_reset(code)
        except Exception as error:  # noqa: BLE001 - a Sink's fault must not reach other streams
            self.handler.on_fault(stream, error)

    def _check_id(self, stream_id: int) -> None:
        if not 0 < stream_id <= MAX_STREAM_ID:
            raise self._broken(ErrorCode.PROTOCOL_ERROR, f"illegal stream id {stream_id}")

    def _broken(self, code: int, text: str) -> RemoteProtocolError:
        """Make the error that ends the session; no further byte is read."""
        self.deaf = True
        self._fault = RemoteProtocolError(code, text)
        return self._fault
