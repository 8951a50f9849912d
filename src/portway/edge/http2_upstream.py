"""One connection of HTTP/2 to a member's upstream, over one stream of an agent, for many calls at once.

HTTP/2 is spoken with prior knowledge: the agent passes bytes. What the upstream sends is read as soon as it
comes, so the agent's stream is never what slows a call down; the call's own window is
(``http2_call.py``). Calls above what the upstream bears go over another connection.
"""

from typing import TYPE_CHECKING

from portway.codec import http2
from portway.edge.http2_bounds import bounded
from portway.edge.http2_call import Http2Call
from portway.edge.http2_flow import Http2Link
from portway.errors import HttpError

if TYPE_CHECKING:
    from collections.abc import Callable

    from portway.codec.http2 import Fields
    from portway.edge.http_passage import Passage
    from portway.edge.http_upstreams import Upstreams
    from portway.edge.member import Member
    from portway.pipe import Pipe


class Http2Upstream:
    """One connection to a member's upstream: the Sink of an agent's stream."""

    __slots__ = (
        "_bounds", "_calls", "_core", "_going", "_heard", "_limits", "_link", "_next", "_pipe", "_settled",
        "_unsent", "_upstreams", "_waiting", "closed", "member", "served",
    )  # fmt: skip

    def __init__(self, upstreams: "Upstreams", member: "Member") -> None:
        """Make the Sink; ``attach`` follows when the stream is open."""
        self._limits = limits = upstreams.edge.config.limits
        self._upstreams = upstreams
        self.member = member
        self.served = 0
        """Answers that came over this connection."""
        self.closed = False
        """Nothing more is wanted from it."""
        self._going = False  # it opens no new streams
        self._heard = False
        self._settled = False
        self._calls: dict[int, Http2Call] = {}
        self._waiting: list[Http2Call] = []
        self._next = 1
        self._unsent = b""
        self._bounds, self._core = bounded(self, limits, client=True)
        self._link = Http2Link(self._core, self._write)

    def __repr__(self) -> str:
        """Show how much is under way."""
        return f"<Http2Upstream calls={len(self._calls)} served={self.served}>"

    def attach(self, pipe: "Pipe") -> None:
        """Join the stream that was opened for this Sink."""
        self._pipe = pipe
        self._link.touch()

    # -- for the visitor's connection

    @property
    def usable(self) -> bool:
        """One more call may be made."""
        under_way = len(self._calls) + len(self._waiting)
        most = min(self._core.most_streams, self._limits.http2_streams)
        return not (self.closed or self._going) and under_way < most and self.member.usable

    @property
    def idle(self) -> bool:
        """No call is under way."""
        return not self._calls and not self._waiting

    def serve(self, passage: "Passage") -> Http2Call:
        """Make a call."""
        return Http2Call(self, self._link, passage)

    def close(self) -> None:
        """End a connection that serves nobody."""
        if not self.closed:
            self.closed = True
            self._core.goaway()
            self._link.flush()
            self._pipe.end()

    # -- for the calls

    def begin(self, call: Http2Call) -> None:
        """Open a call's stream, an upgrade's only when it is known that it may."""
        if call.upgrade is not None and not self._settled:
            self._waiting.append(call)
            self._link.touch()
        else:
            call.open(offers_upgrades=self._core.offers_upgrades)

    def number(self, call: Http2Call) -> int:
        """Give a call its stream."""
        stream, self._next = self._next, self._next + 2
        self._calls[stream] = call
        return stream

    def piece(self) -> None:
        """A piece of a request has come."""
        self._bounds.piece()

    def moved(self, size: int) -> None:
        """Bytes of a request have been sent."""
        self._bounds.moved(size)

    def second(self) -> None:
        """Another second has passed."""
        self._bounds.second()

    def consumed(self, stream: int, size: int) -> None:
        """Give credit back."""
        if not self.closed and size:
            self._core.consumed(stream, size)
            self._link.touch()

    def over(self, call: Http2Call) -> None:
        """A call has its whole answer."""
        self.served += 1
        self._bounds.answered()
        if not call.finished:
            self._core.reset(call.id, http2.NO_ERROR)  # the rest of the request is not wanted
        self._drop(call)

    def give_up(self, call: Http2Call) -> None:
        """A call is not wanted any more."""
        if call in self._waiting:
            self._waiting.remove(call)
        elif self._calls.get(call.id) is call:
            self._core.reset(call.id, http2.CANCEL)
            self._link.touch()
            self._drop(call)

    def _drop(self, call: Http2Call) -> None:
        self._calls.pop(call.id, None)
        if self._going and self.idle:
            self.close()
            self._upstreams.forget_http2(self)

    # -- the Sink

    def on_data(self, view: memoryview) -> None:
        """Read what the upstream says."""
        self._heard = True
        data = bytes(view)
        if self.closed:
            return
        self._pipe.consume(len(data))
        try:
            self._core.feed(data)
        except HttpError:
            self._break(began=True, reset=None)
            return
        self._link.touch()

    def on_end(self) -> None:
        """The upstream has finished."""
        if not self.closed:
            self._break(began=self._heard and not self._settled, reset=None)

    def on_reset(self, code: int) -> None:
        """The stream is gone."""
        if not self.closed:
            self._break(began=False, reset=code)

    def on_room(self) -> None:
        """Send on what waited."""
        if self._unsent:
            took = self._pipe.send(self._unsent)
            self._unsent = self._unsent[took:]
        if not self._unsent and not self.closed:
            self._link.resume()

    def _write(self, data: bytes) -> None:
        if self._unsent:
            self._unsent += data
            return
        took = self._pipe.send(data)
        if took < len(data):
            self._unsent = data[took:]
            self._link.stuck = True

    def _break(self, *, began: bool, reset: int | None) -> None:
        """The connection is gone: so are its calls."""
        self.closed = True
        self._upstreams.forget_http2(self)
        self._pipe.abort()
        calls = [*self._calls.values(), *self._waiting]
        self._calls.clear()
        self._waiting.clear()
        for call in calls:
            call.broken(began=began, reset=reset)

    # -- what the upstream says

    def on_head(self, stream: int, fields: "Fields", *, ended: bool) -> None:
        """Take an answer's head."""
        call = self._calls.get(stream)
        if call is not None:
            self._bounds.request()
            self._try(call, lambda: call.on_head(fields, self._limits.head_fields, ended=ended))

    def on_interim(self, stream: int, fields: "Fields") -> None:
        """Take an interim answer."""
        call = self._calls.get(stream)
        if call is not None:
            self._try(call, lambda: call.on_interim(fields, self._limits.head_fields))

    def on_payload(self, stream: int, data: bytes, size: int) -> None:
        """Take bytes of an answer."""
        call = self._calls.get(stream)
        if call is None:
            self._core.consumed(stream, size)
            return
        self._bounds.moved(size)
        if size > len(data):
            self._core.consumed(stream, size - len(data))
        call.passage.on_body(data)

    def on_finished(self, stream: int, trailers: "Fields") -> None:
        """An answer is complete."""
        call = self._calls.get(stream)
        if call is not None:
            self._try(call, lambda: call.on_finished(trailers))

    def on_stream_reset(self, stream: int, code: int, *, by_peer: bool) -> None:
        """A call was cut."""
        call = self._calls.pop(stream, None)
        if call is None:
            self.on_idle_frame()
            return
        if not self._bounds.reset():
            self._break(began=True, reset=None)
        call.broken(began=code != http2.REFUSED_STREAM, reset=code)

    def _try(self, call: Http2Call, tell: "Callable[[], None]") -> None:
        """Tell a call something; what it cannot read cuts it alone."""
        try:
            tell()
        except HttpError:
            self._core.reset(call.id, http2.PROTOCOL_ERROR)
            self._link.touch()
            self._drop(call)
            call.broken(began=True, reset=None)

    def on_window(self, stream: int) -> None:
        """The upstream takes more."""
        self._link.on_window(stream)

    def on_settings(self) -> None:
        """It is known what the upstream offers."""
        self._settled = True
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call.open(offers_upgrades=self._core.offers_upgrades)

    def on_goaway(self, last: int, code: int) -> None:
        """The upstream takes no new calls, and has not looked at those above the last."""
        self._going = True
        for stream, call in list(self._calls.items()):
            if stream > last:
                del self._calls[stream]
                call.broken(began=False, reset=http2.REFUSED_STREAM)
        if self.idle:
            self.close()
            self._upstreams.forget_http2(self)

    def on_idle_frame(self) -> None:
        """Count a frame that carries nothing."""
        if not self._bounds.idle_frame():
            self._break(began=True, reset=None)
