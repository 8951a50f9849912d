"""The first Sink of every stream that the peer opens: it collects the opening."""

from typing import TYPE_CHECKING, Final

from portway.wire.frames import ErrorCode
from portway.wire.opening import Collector

if TYPE_CHECKING:
    from portway.wire.connection import Connection
    from portway.wire.stream import Stream

COLLECT_LIMIT: Final = 1 << 20
"""Bytes of unfinished openings held for all streams of a session."""


class Arrival:
    """Collects type and request of one stream, then makes way for the handler's Sink.

    A stream that ends first is refused (RST 5); one that takes the session's collected bytes
    above ``COLLECT_LIMIT`` gets RST 10.
    """

    __slots__ = ("_collector", "_connection", "_held", "_stream")

    def __init__(self, connection: "Connection") -> None:
        """Start before the first byte."""
        self._connection = connection
        self._collector = Collector()
        self._held = 0
        self._stream: Stream | None = None

    def attach(self, stream: "Stream") -> None:
        """Say which stream this is."""
        self._stream = stream

    def on_data(self, view: memoryview) -> None:
        """Collect; once complete hand over, with the bytes that follow."""
        stream = self._stream
        assert stream is not None
        collector = self._collector
        used = collector.take(view)
        stream.consume(used)
        self._hold(collector.held)
        if collector.opening is None:
            if self._connection.collecting > COLLECT_LIMIT:
                self._refuse(stream, ErrorCode.ENHANCE_YOUR_CALM)
            return
        self._connection.offer(stream, collector.opening)
        if used < len(view):
            stream.sink.on_data(view[used:])

    def on_end(self) -> None:
        """Refuse a stream that ends before its opening is complete."""
        assert self._stream is not None
        self._refuse(self._stream, ErrorCode.STREAM_REFUSED)

    def on_reset(self, code: int) -> None:
        """Forget what was collected."""
        self._hold(0)

    def on_room(self) -> None:
        """Nothing is written by this one."""

    def _refuse(self, stream: "Stream", code: int) -> None:
        self._hold(0)
        stream.abort(code)

    def _hold(self, held: int) -> None:
        self._connection.collecting += held - self._held
        self._held = held
