"""What goes out over one HTTP/2 connection: a queue for each stream, sent as windows and the socket allow.

::

    flow.start, put, finish ─▶ queued ─▶ flush (once a turn of the loop) ─▶ frames ─▶ the socket or stream
                                 ▲ no window: waits for on_window       └ stuck: waits for ``resume``

Everything of one turn goes out together, so a small answer is one record of TLS, and the end of a body rides
on its last frame. Streams take turns of a share each. What is queued is bounded by who fills it: an
answer's upstream gets no credit while its flow is ``clogged``.
"""

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from portway.codec.http2 import Fields, Http2

CLOGGED: Final = 16_384
"""Bytes that wait in one stream before it counts as slow."""

SHARE: Final = 65_536
"""Bytes that one stream sends before others have their turn."""


class Flow:
    """What one stream sends."""

    __slots__ = ("_ended", "_ending", "_head", "_link", "_out", "_trailers", "id", "ticks")

    def __init__(self, link: "Http2Link", stream: int) -> None:
        """Send over this connection; nothing is queued yet."""
        self._link = link
        self.id = stream
        self._head: Fields | None = None
        self._out = bytearray()
        self._trailers: Fields = []
        self._ending = False
        self._ended = False
        self.ticks = 0
        """Seconds without progress; whoever makes some writes 0."""

    @property
    def waiting(self) -> int:
        """Bytes of the body that are queued."""
        return len(self._out)

    @property
    def finished(self) -> bool:
        """The end has been sent."""
        return self._ended

    @property
    def clogged(self) -> bool:
        """The peer is slow."""
        return len(self._out) > CLOGGED

    def start(self, fields: "Fields") -> None:
        """Queue the head."""
        self._head = fields
        self._link.touch(self)

    def put(self, data: bytes) -> None:
        """Queue bytes of the body."""
        self._out += data
        self._link.touch(self)

    def finish(self, trailers: "Fields") -> None:
        """Queue the end."""
        self._ending = True
        self._trailers = trailers
        self._link.touch(self)

    def moved(self, size: int) -> None:
        """Bytes of the body have been sent."""

    def drained(self) -> None:
        """All that was queued has been sent, after something had waited."""

    def ended(self) -> None:
        """The end has been sent."""

    def push(self, core: "Http2") -> bool:
        """Send what may be sent, at most a share; False: it waits for the peer's window."""
        if self._head is not None:
            fields, self._head = self._head, None
            self.ticks = 0
            if self._ending and not self._out and not self._trailers:
                self._end(core, fields)
                return True
            core.head(self.id, fields)
        share = SHARE
        while self._out and share > 0:
            room = core.room(self.id)
            if room <= 0:
                return False
            piece = bytes(self._out[:room])
            del self._out[:room]
            share -= len(piece)
            self.ticks = 0
            last = self._ending and not self._out and not self._trailers
            core.payload(self.id, piece, end=last)
            self.moved(len(piece))
            if last:
                self._end_sent()
        if self._ending and not self._ended and not self._out:
            self._end(core, self._trailers)
        return True

    def _end(self, core: "Http2", fields: "Fields") -> None:
        if fields:
            core.head(self.id, fields, end=True)
        else:
            core.payload(self.id, b"", end=True)
        self._end_sent()

    def _end_sent(self) -> None:
        self._ended = True
        self.ended()


class Http2Link:
    """The outgoing side of one connection."""

    __slots__ = ("_blocked", "_due", "_loop", "_ready", "_write", "core", "stuck")

    def __init__(self, core: "Http2", write: "Callable[[bytes], None]") -> None:
        """Write with this; whoever gives it sets ``stuck`` while it takes no more."""
        self.core = core
        self._write = write
        self._loop = asyncio.get_running_loop()
        self._due = False
        self._ready: dict[Flow, None] = {}
        self._blocked: dict[int, Flow] = {}
        self.stuck = False
        """The way out takes no more for now."""

    def __repr__(self) -> str:
        """Show who waits."""
        return f"<Http2Link ready={len(self._ready)} blocked={len(self._blocked)} stuck={self.stuck}>"

    def touch(self, flow: Flow | None = None) -> None:
        """Flush soon: this flow, or the connection itself, has something to send."""
        if flow is not None and flow.id not in self._blocked:
            self._ready[flow] = None
        if not self._due:
            self._due = True
            self._loop.call_soon(self._flush_due)

    def on_window(self, stream: int) -> None:
        """The peer takes more of a stream, of all for 0."""
        if not stream:
            for flow in self._blocked.values():
                self._ready[flow] = None
            self._blocked.clear()
        elif (flow := self._blocked.pop(stream, None)) is not None:
            self._ready[flow] = None
        if self._ready:
            self.touch()

    def forget(self, flow: Flow) -> None:
        """A stream is gone: what it has queued is dropped."""
        self._ready.pop(flow, None)
        self._blocked.pop(flow.id, None)

    def cut(self, flow: Flow) -> None:
        """A stream is about to be reset: send what its peer takes of what is queued, and drop the rest."""
        self.forget(flow)
        if not self.stuck:
            flow.push(self.core)

    def resume(self) -> None:
        """The way out takes more."""
        self.stuck = False
        self.flush()

    def flush(self) -> None:
        """Send what may be sent."""
        core = self.core
        heap = 0
        while self._ready and not self.stuck:
            flow = next(iter(self._ready))
            del self._ready[flow]
            waited = flow.waiting
            if not flow.push(core):
                self._blocked[flow.id] = flow
            elif flow.waiting:
                self._ready[flow] = None
            elif waited:
                flow.drained()
            heap += waited - flow.waiting
            if heap >= SHARE:  # only what was written shows whether the way out is stuck
                self._out()
                heap = 0
        self._out()

    def _flush_due(self) -> None:
        self._due = False
        self.flush()

    def _out(self) -> None:
        data = self.core.output()
        if data:
            self._write(data)
