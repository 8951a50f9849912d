"""The upstream's side of a passage where the upstream speaks plain TCP: a WebSocket is ended here.

::

    visitor ── binary messages ──▶ bytes of the stream ──▶ agent ──▶ TCP
            ◀── a binary message for each piece ◀────────────────────

The handshake is answered at once. A close frame is the end of what the visitor says: the stream's direction
is ended, and the close frame that answers it follows when the upstream has ended too, so that what it still
had to say arrives. If the upstream ends first, the visitor is told 1000 and has its answer awaited. What
breaks the protocol is told by its code and cuts the stream; a stream that breaks is told as 1011.

*Credit.* The passage counts what it is given, which is payload and heads of frames; only payload came from
the stream. ``_extra`` is what must not be given back.
"""

from asyncio import get_running_loop
from typing import TYPE_CHECKING, Final

from portway.codec.http1 import NO_BODY, ResponseHead
from portway.codec.websocket import (
    Close,
    Opcode,
    Ping,
    WebSocketError,
    accept_key,
    close_frame,
    frame,
)
from portway.codec.websocket_bytes import BytesReader

if TYPE_CHECKING:
    from portway.codec.http1 import RequestHead
    from portway.edge.http_passage import Passage
    from portway.edge.http_sides import Lines
    from portway.edge.member import Member
    from portway.pipe import Pipe

PONGS: Final = 4096
"""Bytes of pongs and of frames' heads that wait for the visitor before its pings are answered no more."""

NORMAL: Final = 1000
BROKEN: Final = 1011


class WebSocketUpstream:
    """A stream to a member, behind the WebSocket of one visitor."""

    __slots__ = (
        "_accepted", "_code", "_extra", "_gone", "_passage", "_pipe", "_reader", "_told", "_unsent",
        "_upstream_ended", "_visitor_ended", "member",
    )  # fmt: skip

    def __init__(self, member: "Member", passage: "Passage") -> None:
        """Make the Sink; ``attach`` follows when the stream is open."""
        self.member = member
        self._passage = passage
        self._reader = BytesReader()
        self._unsent = b""
        self._extra = 0
        self._accepted = False
        self._code = NORMAL
        self._visitor_ended = False
        self._upstream_ended = False
        self._told = False  # the visitor was sent a close frame, so nothing follows
        self._gone = False

    def __repr__(self) -> str:
        """Show who has ended."""
        ended = [name for name, is_so in (("v", self._visitor_ended), ("u", self._upstream_ended)) if is_so]
        return f"<WebSocketUpstream ended={''.join(ended) or '-'}>"

    def attach(self, pipe: "Pipe") -> None:
        """Join the stream that was opened for this Sink."""
        self._pipe = pipe

    # -- the passage's side

    @property
    def reused(self) -> bool:
        """Never: what was sent was no request."""
        return False

    def begin(self, head: "RequestHead", raw: bytes) -> None:
        """Accept the handshake, soon: who asks is not done with the head, of which nothing goes on."""
        del raw
        get_running_loop().call_soon(self._accept, head)

    def send(self, data: bytes) -> int:
        """Take frames of the visitor."""
        if self._unsent and not self._gone:
            return 0
        try:
            for each in self._reader.feed(data):
                if isinstance(each, bytes):
                    self._put(each)
                elif isinstance(each, Ping):
                    self._pong(each)
                else:
                    self._close(each)
        except WebSocketError as error:
            self._fail(error.code, str(error))
        return len(data)

    def end(self, trailers: "Lines") -> None:
        """The visitor's connection says no more, with or without a close frame."""
        del trailers
        self._end_visitor()

    def consume(self, n: int) -> None:
        """Give credit back for payload."""
        paid = min(self._extra, n)
        self._extra -= paid
        if n > paid and not self._gone:
            self._pipe.consume(n - paid)

    def abort(self) -> None:
        """Cut the stream, unless both have ended."""
        if not (self._gone or (self._visitor_ended and self._upstream_ended and not self._unsent)):
            self._gone = True
            self._pipe.abort()

    # -- the Sink

    def on_data(self, view: memoryview) -> None:
        """Give a piece on as a message."""
        data = bytes(view)
        if self._told:
            self._pipe.consume(len(data))
            return
        self._give(Opcode.BINARY, data)

    def on_end(self) -> None:
        """The upstream has ended in order."""
        self._upstream_ended = True
        self._say_close(self._code)
        if self._visitor_ended:
            self._passage.on_end([])

    def on_reset(self, code: int) -> None:
        """The stream is gone: never a clean end."""
        self._gone = True
        if self._accepted:
            self._fail(BROKEN, "the upstream broke off")
        else:
            self._passage.on_broken(self, began=False, reset=code)

    def on_room(self) -> None:
        """Send on what waited."""
        if self._unsent:
            took = self._pipe.send(self._unsent)
            self._unsent = self._unsent[took:]
            if self._unsent:
                return
            if self._visitor_ended:
                self._pipe.end()
        if not self._visitor_ended:
            self._passage.on_room()

    # -- inside

    def _accept(self, head: "RequestHead") -> None:
        if not self._gone:
            self._accepted = True
            self._passage.on_head(_accepted(head))

    def _put(self, data: bytes) -> None:
        if self._unsent:
            self._unsent += data
        elif not self._gone:
            took = self._pipe.send(data)
            self._unsent = data[took:]

    def _pong(self, ping: Ping) -> None:
        if self._extra < PONGS and not self._told:
            self._extra += len(ping.payload)
            self._give(Opcode.PONG, ping.payload)

    def _close(self, close: Close) -> None:
        self._code = close.code
        self._end_visitor()

    def _end_visitor(self) -> None:
        if self._visitor_ended:
            return
        self._visitor_ended = True
        if not self._unsent and not self._gone:
            self._pipe.end()
        if self._upstream_ended:
            self._passage.on_end([])

    def _fail(self, code: int, reason: str) -> None:
        """Tell the visitor why and let go of the stream; its own end is not waited for."""
        self._unsent = b""
        self._say_close(code, reason)
        self.abort()
        self._passage.on_end([])

    def _say_close(self, code: int, reason: str = "") -> None:
        if not self._told:
            self._told = True
            written = close_frame(code, reason)
            self._extra += len(written)
            self._passage.on_body(written)

    def _give(self, opcode: Opcode, payload: bytes) -> None:
        written = frame(opcode, payload)
        self._extra += len(written) - len(payload)
        self._passage.on_body(written)


def _accepted(head: "RequestHead") -> ResponseHead:
    """Make the head that accepts a handshake; the first protocol of a client's list is taken for granted.

    Browsers give up a WebSocket when none of those that they name is accepted, and TCP has none to choose by.
    """
    key = _field(head, b"sec-websocket-key")
    lines = [b"Sec-WebSocket-Accept: " + accept_key(key)]
    wanted = _field(head, b"sec-websocket-protocol").split(b",")[0].strip()
    if wanted:
        lines.append(b"Sec-WebSocket-Protocol: " + wanted)
    special = {b"connection": [b"Upgrade"], b"upgrade": [b"websocket"]}
    return ResponseHead(101, b"Switching Protocols", 1, NO_BODY, True, special, lines, 0, b"websocket")


def _field(head: "RequestHead", name: bytes) -> bytes:
    return next((value for each, value in head.headers if each.lower() == name), b"")
