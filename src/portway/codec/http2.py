"""HTTP/2 connections, either side, without a socket: the one module that knows the library h2.

The library keeps the state of streams, windows and header compression, and answers what RFC 9113 leaves
no choice about: SETTINGS and PING are acknowledged, illegal frames end the connection. What it would judge
by its own rules is taken from it: fields are judged by the strict reader of HTTP/1 heads
(``codec/http2_heads.py``), and streams above the limit are refused one by one by whoever owns the connection,
since a peer may open them before it has seen our SETTINGS.

Bytes go in by ``feed`` and come out by ``output``; in between the owner's ``on_…`` are called. ``feed`` takes
its bytes in small pieces and looks at the owner between them, so that a flood can be stopped soon.
"""

from typing import TYPE_CHECKING, Any, Final, Protocol

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    InformationalResponseReceived,
    RemoteSettingsChanged,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import H2Error, ProtocolError, StreamClosedError
from h2.settings import SettingCodes, Settings
from hpack import Encoder
from hyperframe.frame import GoAwayFrame

from portway.errors import HttpError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from h2.events import Event
    from hyperframe.frame import Frame

Fields = list[tuple[bytes, bytes]]
"""Field names and values, pseudo-fields first."""

NO_ERROR: Final = 0
PROTOCOL_ERROR: Final = 1
INTERNAL_ERROR: Final = 2
FRAME_SIZE_ERROR: Final = 6
REFUSED_STREAM: Final = 7
CANCEL: Final = 8
ENHANCE_YOUR_CALM: Final = 11
HTTP_1_1_REQUIRED: Final = 13

ALPN: Final = "h2"

FEED: Final = 16_384
"""Bytes that are looked at before the owner may stop it."""

REMEMBERED: Final = 1024
"""Closed streams whose late frames are told from frames of streams that never were."""

HEADS: Final = 8
"""Heads of a connection that are kept written."""
HEAD_BYTES: Final = 1024
"""Longest of them."""

_MANY: Final = 256
"""Streams, closed ones too, that are kept before anybody looks which may be forgotten."""
_HEADER: Final = 9
"""Bytes of a frame's header."""
_OF_HEADS: Final = (1, 5, 9)
"""Kinds of frames that heads come in: HEADERS, PUSH_PROMISE, CONTINUATION."""
_FIRST_WINDOW: Final = 65_535
"""Of a connection, before any WINDOW_UPDATE (RFC 9113 §6.9.2)."""
_EVERY_STREAM: Final = (1 << 31) - 1


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


class _Connection(H2Connection):
    """The library's connection, less its own limit of streams, and with an end that is no cut."""

    MAX_CLOSED_STREAMS = REMEMBERED

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> "tuple[list[Frame], list[Event]]":
        """Tell of it and go on: the library would refuse all that still comes on running streams."""
        event = ConnectionTerminated()
        event.error_code = frame.error_code  # type: ignore[assignment]
        event.last_stream_id = frame.last_stream_id
        return [], [event]

    @property
    def open_inbound_streams(self) -> int:
        """Say that there is room; forget closed streams when there are twice as many as last time."""
        if len(self.streams) >= self._full:
            super().open_inbound_streams  # noqa: B018  # pyright: ignore[reportUnusedExpression] - it forgets them
            self._full = max(_MANY, 2 * len(self.streams))
        return 0

    _full = 0


class RepeatingEncoder(Encoder):
    """The library's compression of heads, which gives a head again that it has just written.

    The same fields are the same bytes for as long as the table that both sides keep does not change; most
    answers of one upstream have the same.
    """

    def __init__(self) -> None:
        """Have written nothing."""
        super().__init__()
        self._written: dict[tuple[object, ...], bytes] = {}

    def encode(self, headers: "Iterable[Any] | dict[Any, Any]", huffman: bool = True) -> bytes:
        """Write fields, as the library does."""
        fields = tuple(headers)
        table = self.header_table
        before = self._state()
        if not table.resized and (found := self._written.get(fields)) is not None:
            return found
        made = super().encode(fields, huffman)
        if self._state() != before or len(self._written) >= HEADS:
            self._written.clear()
        if self._state() == before and len(made) <= HEAD_BYTES:
            self._written[fields] = made
        return made

    def _state(self) -> tuple[object, ...]:
        """Return what changes when the table does."""
        entries = self.header_table.dynamic_entries
        return len(entries), entries[0] if entries else None, self.header_table.resized


class Http2:
    """One connection."""

    __slots__ = ("_before", "_conn", "_owner", "_trailers", "_whole")

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
        self._owner = owner
        config = H2Configuration(
            client_side=client,
            header_encoding=None,
            validate_inbound_headers=False,
            normalize_inbound_headers=False,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self._conn = conn = _Connection(config)
        conn.encoder = RepeatingEncoder()
        settings = {
            SettingCodes.MAX_CONCURRENT_STREAMS: streams,
            SettingCodes.INITIAL_WINDOW_SIZE: stream_window,
            SettingCodes.MAX_HEADER_LIST_SIZE: head_bytes,
            SettingCodes.ENABLE_PUSH: 0,
        }
        if not client:
            settings[SettingCodes.ENABLE_CONNECT_PROTOCOL] = 1
            del settings[SettingCodes.ENABLE_PUSH]
        conn.local_settings = Settings(client=client, initial_values=settings)
        conn.decoder.max_header_list_size = head_bytes
        conn.initiate_connection()
        if connection_window > _FIRST_WINDOW:
            conn.increment_flow_control_window(connection_window - _FIRST_WINDOW)
        self._trailers: dict[int, Fields] = {}
        self._whole = 0  # the stream that has just ended with its head
        self._before = bytearray()

    def __repr__(self) -> str:
        """Show how many streams there are."""
        return f"<Http2 {len(self._conn.streams)} streams>"

    # -- from the peer

    def feed(self, data: bytes) -> None:
        """Take bytes of the peer and tell the owner what they say.

        Raises HttpError when the connection is over for a fault of the peer; the GOAWAY that tells it so
        is then in ``output``.
        """
        view = memoryview(data)
        conn = self._conn
        status = 502 if conn.config.client_side else 400
        for start in range(0, len(data), FEED):
            try:
                events = conn.receive_data(view[start : start + FEED])
            except ProtocolError as error:
                raise HttpError(status, f"HTTP/2: {error}") from error
            self._tell(events)
            if self._owner.closed:
                return
            # The library looks at a frame's length only when it has all of it: up to 16 MiB.
            if self._buffered > conn.max_inbound_frame_size + _HEADER:
                self.goaway(FRAME_SIZE_ERROR)
                raise HttpError(status, "HTTP/2: a frame is too long")

    def _tell(self, events: "list[Event]") -> None:
        owner = self._owner
        for event in events:
            if owner.closed:
                return
            if isinstance(event, DataReceived):
                size = event.flow_controlled_length or 0
                if event.data:
                    owner.on_payload(event.stream_id or 0, event.data, size)
                else:
                    if size:
                        self.consumed(event.stream_id or 0, size)
                    if event.stream_ended is None:
                        owner.on_idle_frame()
            elif isinstance(event, RequestReceived | ResponseReceived):
                self._tell_head(event)
            elif isinstance(event, StreamEnded):
                stream = event.stream_id or 0
                if stream != self._whole:
                    owner.on_finished(stream, self._trailers.pop(stream, []))
            elif isinstance(event, TrailersReceived):
                self._trailers[event.stream_id or 0] = _bytes(event.headers)
            elif isinstance(event, StreamReset):
                self._trailers.pop(event.stream_id or 0, None)
                code = int(event.error_code or 0)
                owner.on_stream_reset(event.stream_id or 0, code, by_peer=bool(event.remote_reset))
            else:
                self._tell_of_connection(event)

    def _tell_head(self, event: "RequestReceived | ResponseReceived") -> None:
        stream = event.stream_id or 0
        ended = event.stream_ended is not None
        if ended:
            self._whole = stream
        if isinstance(event, RequestReceived) and self._is_gone(stream):
            return  # reset again before we looked at it
        self._owner.on_head(stream, _bytes(event.headers), ended=ended)

    def _is_gone(self, stream: int) -> bool:
        known = self._conn.streams.get(stream)
        return known is None or known.closed

    def _tell_of_connection(self, event: "Event") -> None:
        owner = self._owner
        if isinstance(event, WindowUpdated):
            owner.on_idle_frame()
            owner.on_window(event.stream_id or 0)
        elif isinstance(event, InformationalResponseReceived):
            owner.on_interim(event.stream_id or 0, _bytes(event.headers))
        elif isinstance(event, RemoteSettingsChanged):
            owner.on_idle_frame()
            owner.on_settings()
            owner.on_window(0)
        elif isinstance(event, ConnectionTerminated):
            owner.on_goaway(event.last_stream_id or 0, int(event.error_code or 0))
        else:
            owner.on_idle_frame()

    @property
    def in_head(self) -> bool:
        """The peer has begun a head, or a frame of which the kind is not known yet, and not finished it."""
        buffer = self._conn.incoming_buffer
        data = buffer._data  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - told nowhere
        begun = buffer._headers_buffer  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        return bool(begun) or (bool(data) and (len(data) < _HEADER or data[3] in _OF_HEADS))

    @property
    def _buffered(self) -> int:
        """Bytes of an unfinished frame. The library tells that nowhere."""
        return len(self._conn.incoming_buffer._data)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    @property
    def highest(self) -> int:
        """The highest stream that the peer has opened."""
        return self._conn.highest_inbound_stream_id

    @property
    def most_streams(self) -> int:
        """How many streams the peer bears at a time."""
        return self._conn.remote_settings.max_concurrent_streams

    @property
    def offers_upgrades(self) -> bool:
        """The peer takes extended CONNECT (RFC 8441)."""
        return bool(self._conn.remote_settings.get(SettingCodes.ENABLE_CONNECT_PROTOCOL, 0))

    # -- to the peer

    def head(self, stream: int, fields: Fields, *, end: bool = False) -> None:
        """Send a head or trailers. What comes after a stream's reset is dropped."""
        try:
            self._conn.send_headers(stream, fields, end_stream=end)
        except StreamClosedError:
            pass

    def room(self, stream: int) -> int:
        """Return how many bytes of a body may be sent in one frame now."""
        try:
            window = self._conn.local_flow_control_window(stream)
        except StreamClosedError:
            return 0
        return min(window, self._conn.max_outbound_frame_size)

    def payload(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Send bytes for which there is ``room``; none at all with ``end`` alone."""
        try:
            self._conn.send_data(stream, data, end_stream=end)
        except StreamClosedError:
            pass

    def consumed(self, stream: int, size: int) -> None:
        """Say that bytes have left for good: credit goes back to the peer."""
        try:
            self._conn.acknowledge_received_data(size, stream)
        except H2Error:
            pass  # the connection is over, or the stream was never there

    def reset(self, stream: int, code: int) -> None:
        """Cut a stream."""
        self._trailers.pop(stream, None)
        try:
            self._conn.reset_stream(stream, code)
        except H2Error:
            pass  # it is gone already

    def goaway(self, code: int = NO_ERROR, *, soon: bool = False) -> None:
        """Say that no stream above the highest so far will be served. What runs goes on.

        ``soon``: only announce that, since streams may be on their way (RFC 9113 §6.8).
        """
        # The library's own way would end everything at once.
        frame = GoAwayFrame(0, last_stream_id=_EVERY_STREAM if soon else self.highest, error_code=code)
        self._before += self._conn.data_to_send() + frame.serialize()

    def output(self) -> bytes:
        """Take all bytes that are to be sent."""
        data = self._conn.data_to_send()
        if self._before:
            data = bytes(self._before) + data
            self._before.clear()
        return data


def _bytes(fields: object) -> Fields:
    """Name the type of fields that were not decoded: they are pairs of bytes."""
    return fields  # type: ignore[return-value]
