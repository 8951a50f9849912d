"""The frame reader: received bytes to calls, in one loop without an object per frame.

Frames need not be whole. A body is handed on in the pieces in which it comes; only a broken head
(a header, or the twelve bytes of RST and WNDINC) is kept until the next feed. ``Connection``
derives from this class and answers the calls for everything that is rare.
"""

from typing import TYPE_CHECKING, Final

from portway.wire import frames
from portway.wire.frames import FLAG_FIN, FLAG_SYN, HEADER, FrameType

if TYPE_CHECKING:
    from portway.wire.stream import Stream

_FIXED: Final = HEADER + 4
GOAWAY_TEXT: Final = 256
"""Bytes of a GOAWAY's debug text that are read or written."""


class Reader:
    """Splits what arrives into frames. ``deaf`` turns True when no further byte is wanted."""

    def __init__(self, streams: "dict[int, Stream]") -> None:
        """Start before the first frame; ``streams`` is the live table of known streams."""
        self.deaf = False
        self.bytes_in = 0
        self._known = streams
        self._partial = b""
        self._rest = 0
        self._current: Stream | None = None
        self._fin = False

    def read(self, view: memoryview) -> None:
        """Take received bytes, in pieces of any size."""
        self.bytes_in += len(view)
        position = self._mend(view) if self._partial else 0
        if position < len(view):
            self._run(view, position)

    def _mend(self, view: memoryview) -> int:
        """Complete the broken head kept from last time; return the bytes used."""
        head = self._partial
        used = max(0, HEADER - len(head))
        head += view[:used]
        if len(head) >= HEADER:
            kind = head[3] >> 4
            more = 0
            if kind in (FrameType.RST, FrameType.WNDINC):
                more = _FIXED - len(head)
            elif kind == FrameType.GOAWAY:
                more = len(view)
            head += view[used : used + more]
            used += more
        self._partial = b""
        self._run(memoryview(head), 0)
        return used

    def _run(self, view: memoryview, position: int) -> None:  # noqa: C901 - the hot path: calls cost more than lines
        """Read frames from ``position`` on."""
        size = len(view)
        known = self._known
        unpack_head = frames.unpack_head
        rest = self._rest
        stream = self._current
        while not self.deaf:
            if rest:
                take = size - position
                if take > rest:
                    take = rest
                elif not take:
                    break
                rest -= take
                if stream is not None:
                    try:
                        stream.sink.on_data(view[position : position + take])
                    except Exception as error:  # noqa: BLE001 - a Sink's fault costs its stream, not the session
                        self.contain(stream, error)
                position += take
                if rest:
                    break
                if self._fin:
                    self._fin = False
                    if stream is not None:
                        self.peer_end(stream)
                continue
            if size - position < HEADER:
                break
            word, stream_id = unpack_head(view, position)
            kind = word >> 4 & 15
            if kind == 1:  # DATA
                position += HEADER
                rest = word >> 8
                stream = self.accept(stream_id) if word & FLAG_SYN else known.get(stream_id)
                if stream is None:
                    self.stray(stream_id, word)
                elif rest:
                    grant = stream.grant - rest
                    if grant < 0:
                        self.overrun(stream, word)
                        stream = None
                    else:
                        stream.grant = grant
                        if word & FLAG_FIN:
                            self._fin = True
                elif word & FLAG_FIN:
                    self.peer_end(stream)
            elif kind == 2 or kind == 0:  # WNDINC, RST
                if size - position < _FIXED:
                    break
                value: int = frames.unpack_u32(view, position + HEADER)[0]
                position += _FIXED
                if kind:
                    self.peer_credit(stream_id, word, value)
                else:
                    self.peer_reset(stream_id, word, value)
            elif kind == 3:  # GOAWAY: nothing after it can be trusted, least of all its length
                self.peer_goaway(bytes(view[position + HEADER : position + 2 * HEADER + GOAWAY_TEXT]))
            else:  # a type of the future: its body is skipped
                position += HEADER
                rest = word >> 8
                stream = None
        self._rest = rest
        self._current = stream if rest else None
        if position < size and not self.deaf:
            self._partial = bytes(view[position:])

    # -- what the connection answers

    def accept(self, stream_id: int) -> "Stream | None":
        """The peer opens a stream. None: refused."""
        raise NotImplementedError

    def stray(self, stream_id: int, word: int) -> None:
        """DATA that no stream takes; its body will be dropped."""
        raise NotImplementedError

    def overrun(self, stream: "Stream", word: int) -> None:
        """DATA beyond a stream's grant, which is 0 where none may come; its body will be dropped."""
        raise NotImplementedError

    def peer_end(self, stream: "Stream") -> None:
        """FIN."""
        raise NotImplementedError

    def peer_reset(self, stream_id: int, word: int, code: int) -> None:
        """RST."""
        raise NotImplementedError

    def peer_credit(self, stream_id: int, word: int, increment: int) -> None:
        """WNDINC."""
        raise NotImplementedError

    def peer_goaway(self, body: bytes) -> None:
        """GOAWAY; ``body`` is as much of it as has arrived."""
        raise NotImplementedError

    def contain(self, stream: "Stream", error: Exception) -> None:
        """A Sink raised."""
        raise NotImplementedError
