"""What one side of an HTTP/2 connection says, and may say: streams, windows, and the bytes that go out.

Windows (RFC 9113 §5.2) are kept here for both directions. Credit goes back to the peer when half a window
of it has gathered, or when the peer can send nothing more without it.
"""

from typing import Final

from portway.codec import http2_frames as frames
from portway.codec.http2_hpack import Fields, Writer

REMEMBERED: Final = 1024
"""Closed streams whose late frames are told from frames of streams that never were."""

_UNKNOWN: Final = -1
"""Of a body, how long it will be."""


class Stream:
    """A stream on which either side may still send."""

    __slots__ = ("bodiless", "ended", "finished", "headed", "left", "owed", "to_come", "to_send")

    def __init__(self, to_come: int, to_send: int, *, bodiless: bool = False) -> None:
        self.to_come = to_come
        """The peer's window: bytes that it may send."""
        self.to_send = to_send
        """Ours; below 0 after it was made smaller."""
        self.owed = 0
        """Bytes that were consumed, and are not given back yet."""
        self.left = _UNKNOWN
        """Bytes of the body that have to come."""
        self.bodiless = bodiless
        """It is answered without a body, whatever the length that is stated: HEAD."""
        self.headed = False
        """The peer's head has come; interim ones do not count."""
        self.finished = False
        """The peer has sent its end."""
        self.ended = False
        """We have sent ours."""


class Sending:
    """The streams of a connection, and all that is sent over it."""

    __slots__ = (
        "_client", "_closed", "_first_window", "_frame_most", "_highest", "_most_streams",
        "_offers_upgrades", "_opened", "_out", "_owed", "_stream_window", "_streams", "_to_come", "_to_send",
        "_window", "_writer",
    )  # fmt: skip

    def __init__(
        self, *, client: bool, streams: int, stream_window: int, connection_window: int, head_bytes: int
    ) -> None:
        """Greet the peer. All sizes are what it may send."""
        self._client = client
        self._writer = Writer()
        self._streams: dict[int, Stream] = {}
        self._closed: dict[int, bool] = {}  # the latest, and whether it was we who reset it
        self._highest = 0  # of the peer's streams
        self._opened = 0  # of ours, the highest
        self._window = max(connection_window, frames.FIRST_WINDOW)
        self._to_come: int = self._window
        self._owed = 0
        self._to_send = frames.FIRST_WINDOW
        self._stream_window = stream_window
        self._first_window = frames.FIRST_WINDOW  # the same as the peer says it
        self._frame_most = frames.FRAME_BYTES
        self._most_streams = frames.MOST
        self._offers_upgrades = False
        self._out = bytearray(frames.PREFACE if client else b"")
        values = {
            frames.MOST_STREAMS: streams,
            frames.STREAM_WINDOW: stream_window,
            frames.HEAD_SIZE: head_bytes,
            (frames.ENABLE_PUSH if client else frames.CONNECT_PROTOCOL): 0 if client else 1,
        }
        self._out += frames.frame(frames.SETTINGS, 0, 0, frames.settings(values))
        if self._window > frames.FIRST_WINDOW:
            self._grant(0, self._window - frames.FIRST_WINDOW)

    def __repr__(self) -> str:
        """Show how many streams there are."""
        return f"<{type(self).__name__} {len(self._streams)} streams>"

    @property
    def highest(self) -> int:
        """The highest stream that the peer has opened."""
        return self._highest

    @property
    def most_streams(self) -> int:
        """How many streams the peer bears at a time."""
        return self._most_streams

    @property
    def offers_upgrades(self) -> bool:
        """The peer takes extended CONNECT (RFC 8441)."""
        return self._offers_upgrades

    def head(self, stream: int, fields: Fields, *, end: bool = False) -> None:
        """Send a head or trailers. What comes after a stream's reset is dropped."""
        found = self._streams.get(stream)
        if found is None:
            if not self._client or stream <= self._opened:
                return
            self._opened = stream
            found = self._streams[stream] = Stream(
                self._stream_window, self._first_window, bodiless=(b":method", b"HEAD") in fields
            )
        elif found.ended:
            return
        block = self._writer.write(fields)
        most = self._frame_most
        flags = frames.END_STREAM if end else 0
        if len(block) <= most:
            self._out += frames.frame(frames.HEADERS, flags | frames.END_HEADERS, stream, block)
        else:
            self._out += frames.frame(frames.HEADERS, flags, stream, block[:most])
            for at in range(most, len(block), most):
                last = frames.END_HEADERS if at + most >= len(block) else 0
                self._out += frames.frame(frames.CONTINUATION, last, stream, block[at : at + most])
        if end:
            self._end(stream, found)

    def room(self, stream: int) -> int:
        """Return how many bytes of a body may be sent in one frame now."""
        found = self._streams.get(stream)
        if found is None or found.ended:
            return 0
        return min(found.to_send, self._to_send, self._frame_most)

    def payload(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Send bytes for which there is ``room``; none at all with ``end`` alone."""
        found = self._streams.get(stream)
        if found is None or found.ended:
            return
        size = len(data)
        if size and size > self.room(stream):
            raise ValueError("there is no room for so much")
        found.to_send -= size
        self._to_send -= size
        flags = frames.END_STREAM if end else 0
        self._out += frames.HEADER.pack(size >> 8, size & 0xFF, frames.DATA, flags, stream)
        self._out += data
        if end:
            self._end(stream, found)

    def _end(self, number: int, stream: Stream) -> None:
        stream.ended = True
        if stream.finished:
            self._close(number, ours=False)

    def consumed(self, stream: int, size: int) -> None:
        """Say that bytes have left for good: credit goes back to the peer."""
        self._credit(size)
        found = self._streams.get(stream)
        if found is not None and not found.finished:
            found.owed += size
            if _worth_it(found.owed, found.to_come, self._stream_window):
                found.to_come += found.owed
                self._grant(stream, found.owed)
                found.owed = 0

    def _credit(self, size: int) -> None:
        """Give back what the connection's window bears again."""
        self._owed += size
        if _worth_it(self._owed, self._to_come, self._window):
            self._to_come += self._owed
            self._grant(0, self._owed)
            self._owed = 0

    def _grant(self, stream: int, size: int) -> None:
        self._out += frames.frame(frames.WINDOW_UPDATE, 0, stream, frames.U32.pack(size))

    def reset(self, stream: int, code: int) -> None:
        """Cut a stream."""
        if stream in self._streams:
            self._close(stream, ours=True)
            self._out += frames.frame(frames.RST_STREAM, 0, stream, frames.U32.pack(code))

    def goaway(self, code: int = frames.NO_ERROR, *, soon: bool = False) -> None:
        """Say that no stream above the highest so far will be served. What runs goes on.

        ``soon``: only announce that, since streams may be on their way (RFC 9113 §6.8).
        """
        last = frames.MOST if soon else self._highest
        self._out += frames.frame(frames.GOAWAY, 0, 0, frames.TWO_U32.pack(last, code))

    def output(self) -> bytes:
        """Take all bytes that are to be sent."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def _close(self, number: int, *, ours: bool) -> None:
        del self._streams[number]
        closed = self._closed
        closed[number] = ours
        if len(closed) > REMEMBERED:
            del closed[next(iter(closed))]


def _worth_it(owed: int, to_come: int, window: int) -> bool:
    """Say whether to give credit back now: half a window of it, or the peer can send nothing."""
    return owed >= window // 2 or (to_come <= 0 and owed > min(1024, window // 4))
