"""The first Sink of every stream that the peer opens: it collects the opening."""

from typing import TYPE_CHECKING, Final

from portway.wire.frames import ErrorCode
from portway.wire.opening import Collector, read_proxy

if TYPE_CHECKING:
    from portway.wire.connection import Connection
    from portway.wire.opening import Opening
    from portway.wire.stream import Stream

COLLECT_LIMIT: Final = 1 << 20
"""Bytes of unfinished openings held for all streams of a session."""


class Arrival:
    """Collects type and request of one stream, then makes way for the handler's Sink.

    A stream that ends first is refused (RST 5); one that takes the session's collected bytes
    above ``COLLECT_LIMIT`` gets RST 10.
    """

    __slots__ = ("_collector", "_connection", "_held", "_stream")

    def __init__(self, connection: "Connection", stream: "Stream") -> None:
        """Start before the first byte of a stream."""
        self._connection = connection
        self._stream = stream
        self._collector: Collector | None = None
        self._held = 0

    def on_data(self, view: memoryview) -> None:
        """Collect; once complete hand over, with the bytes that follow."""
        stream = self._stream
        if self._collector is None:
            whole = read_proxy(view)
            if whole is not None:
                self._hand_over(*whole, view)
                return
            self._collector = Collector()
        used = self._collector.take(view)
        self._hold(self._collector.held)
        if self._collector.opening is not None:
            self._hand_over(self._collector.opening, used, view)
            return
        stream.consume(used)
        if self._connection.collecting > COLLECT_LIMIT:
            self._refuse(ErrorCode.ENHANCE_YOUR_CALM)

    def _hand_over(self, opening: "Opening", used: int, view: memoryview) -> None:
        stream = self._stream
        stream.consume(used)
        self._connection.offer(stream, opening)
        if used < len(view):
            stream.sink.on_data(view[used:])

    def on_end(self) -> None:
        """Refuse a stream that ends before its opening is complete."""
        self._refuse(ErrorCode.STREAM_REFUSED)

    def on_reset(self, code: int) -> None:
        """Forget what was collected."""
        self._hold(0)

    def on_room(self) -> None:
        """Nothing is written by this one."""

    def _refuse(self, code: int) -> None:
        self._hold(0)
        self._stream.abort(code)

    def _hold(self, held: int) -> None:
        self._connection.collecting += held - self._held
        self._held = held
