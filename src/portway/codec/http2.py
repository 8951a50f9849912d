"""HTTP/2 connections, either side, without a socket (RFC 9113).

Theory of operation. Bytes go in by ``feed`` and come out by ``output``; in between the owner's ``on_…`` are
called. Here is what RFC 9113 leaves no choice about: the order of frames, the states of streams, windows,
SETTINGS and PING. Two things are others': fields are judged by the strict reader of HTTP/1 heads
(``codec/http2_heads.py``), and streams above the limit are refused one by one by whoever owns the connection,
since a peer may open them before it has seen our SETTINGS.

*Reading.* A frame is looked at when it is whole; that it would be too long is said by its header. Every
``FEED`` bytes, and at the end of what came, the owner is told what the frames said, and is asked whether it
wants more, so that a flood can be stopped soon. A request that has been reset by then is never told.

*Streams.* One is kept while either side may still send. Of those that are closed the last ``REMEMBERED`` are
known: a frame that comes late for one that we have reset is dropped, after its bytes are counted and its
fields are read; for one that the peer had finished it ends the connection.

*Faults.* What breaks the rules ends the connection with GOAWAY, and so does, as the rules allow, much of
what is one stream's fault: no honest peer sends it. A window that is opened too far, frames behind the end of
a stream and a body that is missing reset this stream; who owns the connection counts that.
"""

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from portway.codec import http2_frames as frames
from portway.codec.http2_frames import (
    CANCEL,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    HTTP_1_1_REQUIRED,
    INTERNAL_ERROR,
    NO_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
)
from portway.codec.http2_hpack import ENHANCE_YOUR_CALM, Fields, Reader
from portway.codec.http2_sending import Sending, Stream
from portway.errors import HttpError, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = (
    "ALPN", "CANCEL", "ENHANCE_YOUR_CALM", "HTTP_1_1_REQUIRED", "INTERNAL_ERROR", "NO_ERROR",
    "PROTOCOL_ERROR", "REFUSED_STREAM", "Fields", "Http2", "Owner",
)  # fmt: skip

ALPN: Final = "h2"

FEED: Final = 16_384
"""Bytes that are looked at before the owner may stop it."""

CONTINUATIONS: Final = 64
"""Frames that a head may go on in."""

_HEADER: Final = frames.HEADER.size
_OF_HEADS: Final = (frames.HEADERS, frames.PUSH_PROMISE, frames.CONTINUATION)


class Owner(Protocol):
    """Who is told what a peer has said. Streams are numbers."""

    def on_head(self, stream: int, fields: Fields, *, ended: bool) -> None:
        """A request, or an answer of status 200 or above. ``ended``: it is all there is."""
        ...

    def on_interim(self, stream: int, fields: Fields) -> None:
        """An answer below 200."""
        ...

    def on_payload(self, stream: int, data: bytes, size: int) -> None:
        """Bytes of a body; ``size`` is what they cost of the windows: ``consumed`` is owed it."""
        ...

    def on_finished(self, stream: int, trailers: Fields) -> None:
        """The peer has finished its side of a stream that had not ended with its head."""
        ...

    def on_stream_reset(self, stream: int, code: int, *, by_peer: bool) -> None:
        """A stream is gone: reset by its peer, or by us because of an illegal frame."""
        ...

    def on_window(self, stream: int) -> None:
        """More may be sent; 0 stands for all streams."""
        ...

    def on_settings(self) -> None:
        """The peer has said what it offers."""
        ...

    def on_goaway(self, last: int, code: int) -> None:
        """The peer opens nothing more; what is above ``last`` was not looked at."""
        ...

    def on_idle_frame(self) -> None:
        """A frame came that carries nothing: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, an empty DATA."""
        ...

    @property
    def closed(self) -> bool:
        """Nothing more is wanted from this connection."""
        ...


class Http2(Sending):
    """One connection."""

    __slots__ = (
        "_block",
        "_continued",
        "_dead",
        "_greeted",
        "_need",
        "_owner",
        "_preface",
        "_reader",
        "_rest",
        "_told",
    )

    def __init__(
        self,
        owner: Owner,
        *,
        client: bool,
        streams: int,
        stream_window: int,
        connection_window: int,
        head_bytes: int,
    ) -> None:
        """Start a connection; its first bytes are in ``output``. All sizes are what the peer may send."""
        super().__init__(
            client=client,
            streams=streams,
            stream_window=stream_window,
            connection_window=connection_window,
            head_bytes=head_bytes,
        )
        self._owner = owner
        self._reader = Reader(head_bytes)
        self._preface = b"" if client else frames.PREFACE  # what has to come of it
        self._greeted = False  # the peer's SETTINGS have come
        self._dead = False
        self._rest = bytearray()  # the begun frame
        self._need = 0  # how long it must be for another look
        self._block: tuple[int, int, bytearray] | None = None  # the begun head: stream, flags, bytes
        self._continued = 0
        self._told: list[Callable[[], None]] = []  # what is to be told

    # -- from the peer

    def feed(self, data: bytes) -> None:
        """Take bytes of the peer and tell the owner what they say.

        Raises HttpError when the connection is over for a fault of the peer; the GOAWAY that tells it so
        is then in ``output``.
        """
        if self._dead:
            return
        try:
            self._read(data)
        except RemoteProtocolError as error:
            self._dead = True
            self._told.clear()
            self.goaway(error.code)
            raise HttpError(502 if self._client else 400, f"HTTP/2: {error}") from error

    def _read(self, data: bytes) -> None:
        if self._preface:
            begun = self._preface[: len(data)]
            if not data.startswith(begun):
                raise RemoteProtocolError(PROTOCOL_ERROR, "this is not HTTP/2")
            self._preface = self._preface[len(begun) :]
            data = data[len(begun) :]
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < self._need:
                return
            data = bytes(rest)
            rest.clear()
        at, mark, end = 0, FEED, len(data)
        self._need = _HEADER
        while end - at >= _HEADER:
            high, low, kind, flags, stream = frames.HEADER.unpack_from(data, at)
            size = high << 8 | low
            if size > frames.FRAME_BYTES:
                raise RemoteProtocolError(FRAME_SIZE_ERROR, "a frame is too long")
            if end - at < _HEADER + size:
                self._need = _HEADER + size
                break
            at += _HEADER + size
            self._take(kind, flags, stream & frames.MOST, data[at - size : at])
            if at >= mark:
                mark = at + FEED
                self._tell()
                if self._owner.closed:
                    return
        self._tell()
        if at < end:
            rest += data[at:]

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if self._block is not None and kind != frames.CONTINUATION:
            raise RemoteProtocolError(PROTOCOL_ERROR, "a frame within a head")
        if not self._greeted and (kind != frames.SETTINGS or flags & frames.ACK):
            raise RemoteProtocolError(PROTOCOL_ERROR, "no SETTINGS come first")
        if kind < len(self._BY_KIND):
            self._BY_KIND[kind](self, flags, stream, payload)
        else:
            self._told.append(self._owner.on_idle_frame)  # of a kind that is not known (§4.1)

    def _tell(self) -> None:
        told, self._told = self._told, []
        for tell in told:
            if self._owner.closed:
                return
            tell()

    # -- bodies

    def _take_data(self, flags: int, number: int, payload: bytes) -> None:
        size = len(payload)
        self._to_come -= size
        if self._to_come < 0:
            raise RemoteProtocolError(FLOW_CONTROL_ERROR, "more came than the connection's window")
        stream = self._streams.get(number)
        if stream is None:
            self._late(number)
        elif stream.finished:
            self._cut(number, STREAM_CLOSED)
        else:
            self._take_body(stream, flags, number, payload)
            return
        self._credit(size)

    def _take_body(self, stream: Stream, flags: int, number: int, payload: bytes) -> None:
        size = len(payload)
        ended = flags & frames.END_STREAM
        stream.to_come -= size
        if stream.to_come < 0:
            raise RemoteProtocolError(FLOW_CONTROL_ERROR, "more came than the stream's window")
        if not stream.headed:
            raise RemoteProtocolError(PROTOCOL_ERROR, "a body without a head")
        if flags & frames.PADDED:
            payload = frames.unpadded(payload)
        if stream.left >= 0:
            stream.left -= len(payload)
            if stream.left < 0 or (ended and stream.left):
                raise RemoteProtocolError(PROTOCOL_ERROR, "a body is of another length than it says")
        if payload:
            self._told.append(partial(self._owner.on_payload, number, payload, size))
        else:
            self.consumed(number, size)
            if not ended:
                self._told.append(self._owner.on_idle_frame)
        if ended:
            self._told.append(partial(self._owner.on_finished, number, []))
            self._finish(number, stream)

    # -- heads

    def _take_headers(self, flags: int, number: int, payload: bytes) -> None:
        begun = frames.block(number, flags, payload)
        if flags & frames.END_HEADERS:
            self._take_head(flags, number, begun)
        else:
            self._block = (number, flags, bytearray(begun))
            self._continued = 0

    def _take_continuation(self, flags: int, number: int, payload: bytes) -> None:
        if self._block is None or self._block[0] != number:
            raise RemoteProtocolError(PROTOCOL_ERROR, "CONTINUATION of nothing")
        _, first, begun = self._block
        begun += payload
        self._continued += 1
        if self._continued > CONTINUATIONS:
            raise RemoteProtocolError(PROTOCOL_ERROR, "a head is in too many frames")
        if flags & frames.END_HEADERS:
            self._block = None
            self._take_head(first, number, bytes(begun))

    def _take_head(self, flags: int, number: int, block: bytes) -> None:
        fields = self._reader.read(block)  # of a dropped stream too: it changes the table
        ended = flags & frames.END_STREAM != 0
        stream = self._streams.get(number)
        if stream is None:
            if self._client or number <= self._highest or not number & 1:
                self._late(number)
                return
            self._highest = number
            stream = self._streams[number] = Stream(self._stream_window, self._first_window)
        if stream.finished:
            self._cut(number, STREAM_CLOSED)
        elif stream.headed:
            self._take_trailers(stream, number, fields, ended=ended)
        elif self._client and fields and fields[0][0] == b":status" and fields[0][1][:1] == b"1":
            if ended:
                raise RemoteProtocolError(PROTOCOL_ERROR, "an interim answer ends its stream")
            self._told.append(partial(self._owner.on_interim, number, fields))
        else:
            stream.headed = True
            self._expect(stream, fields)
            if ended and stream.left > 0:
                self._cut(number, PROTOCOL_ERROR)
                return
            self._told.append(partial(self._tell_head, number, fields, ended=ended))
            if ended:
                self._finish(number, stream)

    def _take_trailers(self, stream: Stream, number: int, fields: Fields, *, ended: bool) -> None:
        if not ended:
            raise RemoteProtocolError(PROTOCOL_ERROR, "a second head that is no trailers")
        if stream.left > 0:
            raise RemoteProtocolError(PROTOCOL_ERROR, "a body is shorter than it says")
        self._told.append(partial(self._owner.on_finished, number, fields))
        self._finish(number, stream)

    def _expect(self, stream: Stream, fields: Fields) -> None:
        """Note how long the body will be; lengths that say nothing are left to who judges heads."""
        if self._client and (stream.bodiless or fields[:1] in _BODILESS):
            stream.left = 0
            return
        for name, value in fields:
            if name == b"content-length" and value.isdigit() and len(value) < _DIGITS:
                stream.left = int(value)

    def _tell_head(self, number: int, fields: Fields, *, ended: bool) -> None:
        if self._client or number in self._streams:  # else it was reset before we looked at it
            self._owner.on_head(number, fields, ended=ended)

    # -- streams

    def _late(self, number: int) -> None:
        """Take a frame for no stream that is there: only those that we have reset may still get some."""
        ours = self._closed.get(number)
        if ours is None:
            raise RemoteProtocolError(PROTOCOL_ERROR, "a frame for a stream that is not there")
        if not ours:
            raise RemoteProtocolError(STREAM_CLOSED, "a frame for a stream that is closed")
        self._told.append(self._owner.on_idle_frame)

    def _finish(self, number: int, stream: Stream) -> None:
        stream.finished = True
        if stream.ended:
            self._close(number, ours=False)

    def _cut(self, number: int, code: int) -> None:
        """Reset a stream for a fault of the peer."""
        self.reset(number, code)
        self._told.append(partial(self._owner.on_stream_reset, number, code, by_peer=False))

    def _take_reset(self, _flags: int, number: int, payload: bytes) -> None:
        frames.length_is(payload, 4)
        if number in self._streams:
            self._close(number, ours=False)
            (code,) = frames.U32.unpack(payload)
            self._told.append(partial(self._owner.on_stream_reset, number, code, by_peer=True))
        else:
            self._closed_or_wrong(number)

    def _closed_or_wrong(self, number: int) -> None:
        """Count a frame that may come for a closed stream (§5.1), and means nothing then."""
        if not number & 1 or number > (self._opened if self._client else self._highest):
            raise RemoteProtocolError(PROTOCOL_ERROR, "a frame for a stream that is not there")
        self._told.append(self._owner.on_idle_frame)

    def _take_priority(self, _flags: int, number: int, payload: bytes) -> None:
        frames.length_is(payload, 5)
        if not number:
            raise RemoteProtocolError(PROTOCOL_ERROR, "PRIORITY of no stream")
        frames.check_priority(number, payload)
        self._told.append(self._owner.on_idle_frame)

    def _take_promise(self, _flags: int, _number: int, _payload: bytes) -> None:
        raise RemoteProtocolError(PROTOCOL_ERROR, "nobody may push")

    # -- the connection

    def _take_settings(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise RemoteProtocolError(PROTOCOL_ERROR, "SETTINGS of a stream")
        if flags & frames.ACK:
            frames.length_is(payload, 0)
            self._told.append(self._owner.on_idle_frame)
            return
        self._heed(frames.read_settings(payload))
        self._greeted = True
        self._out += frames.frame(frames.SETTINGS, frames.ACK, 0)
        self._told.append(self._owner.on_idle_frame)
        self._told.append(self._owner.on_settings)
        self._told.append(partial(self._owner.on_window, 0))

    def _heed(self, values: dict[int, int]) -> None:
        for name, value in values.items():
            if name == frames.TABLE_SIZE:
                self._writer.resize(value)
            elif name == frames.MOST_STREAMS:
                self._most_streams = value
            elif name == frames.FRAME_SIZE:
                self._frame_most = value
            elif name == frames.STREAM_WINDOW:
                more, self._first_window = value - self._first_window, value
                for stream in self._streams.values():
                    stream.to_send += more
                    if stream.to_send > frames.MOST:
                        raise RemoteProtocolError(FLOW_CONTROL_ERROR, "a window grows too large")
            elif name == frames.ENABLE_PUSH and self._client and value:
                raise RemoteProtocolError(PROTOCOL_ERROR, "a server wants to be pushed to")
            elif name == frames.CONNECT_PROTOCOL:
                if self._offers_upgrades and not value:
                    raise RemoteProtocolError(PROTOCOL_ERROR, "extended CONNECT is taken back")
                self._offers_upgrades = value == 1

    def _take_ping(self, flags: int, number: int, payload: bytes) -> None:
        frames.length_is(payload, 8)
        if number:
            raise RemoteProtocolError(PROTOCOL_ERROR, "PING of a stream")
        if not flags & frames.ACK:
            self._out += frames.frame(frames.PING, frames.ACK, 0, payload)
        self._told.append(self._owner.on_idle_frame)

    def _take_goaway(self, _flags: int, number: int, payload: bytes) -> None:
        if number:
            raise RemoteProtocolError(PROTOCOL_ERROR, "GOAWAY of a stream")
        frames.length_is(payload[:8], 8)
        last, code = frames.TWO_U32.unpack_from(payload)
        self._told.append(self._owner.on_idle_frame)
        self._told.append(partial(self._owner.on_goaway, last & frames.MOST, code))

    def _take_window(self, _flags: int, number: int, payload: bytes) -> None:
        frames.length_is(payload, 4)
        more = frames.U32.unpack(payload)[0] & frames.MOST
        if not number:
            self._to_send += more
            if not more:
                raise RemoteProtocolError(PROTOCOL_ERROR, "a window opens by nothing")
            if self._to_send > frames.MOST:
                raise RemoteProtocolError(FLOW_CONTROL_ERROR, "the connection's window grows too large")
        elif (stream := self._streams.get(number)) is None:
            self._closed_or_wrong(number)
            return
        else:
            stream.to_send += more
            if not more or stream.to_send > frames.MOST:
                self._cut(number, FLOW_CONTROL_ERROR if more else PROTOCOL_ERROR)
                return
        self._told.append(self._owner.on_idle_frame)
        self._told.append(partial(self._owner.on_window, number))

    _BY_KIND: "ClassVar[tuple[Callable[..., None], ...]]" = (
        _take_data, _take_headers, _take_priority, _take_reset, _take_settings, _take_promise, _take_ping,
        _take_goaway, _take_window, _take_continuation,
    )  # fmt: skip

    @property
    def in_head(self) -> bool:
        """The peer has begun a head, or a frame of which the kind is not known yet, and not finished it."""
        rest = self._rest
        return self._block is not None or (bool(rest) and (len(rest) < _HEADER or rest[3] in _OF_HEADS))


_BODILESS: Final = ([(b":status", b"204")], [(b":status", b"304")])
_DIGITS: Final = 20
"""Of a length; longer ones are no body's."""
