"""The upstream's side of a passage in HTTP/2: one stream of a connection to a member's upstream.

What the upstream may send ahead is the stream's window; credit goes back when the visitor has the bytes.
The other way a call takes bytes up to ``CLOGGED`` beyond what its window allows. An upgrade needs the
upstream's word that it takes extended CONNECT (RFC 8441), so it waits for SETTINGS.
"""

from typing import TYPE_CHECKING

from portway.codec.http2_heads import accepted, read_answer, read_trailers, request_fields, trailer_fields
from portway.edge import pages
from portway.edge.http2_flow import CLOGGED, Flow
from portway.edge.http_response import MAX_INTERIM
from portway.errors import HttpError

if TYPE_CHECKING:
    from portway.codec.http1 import RequestHead
    from portway.codec.http2 import Fields
    from portway.edge.http2_flow import Http2Link
    from portway.edge.http2_upstream import Http2Upstream
    from portway.edge.http_passage import Passage
    from portway.edge.http_sides import Lines


class Http2Call(Flow):
    """One request over an upstream's connection."""

    __slots__ = (
        "_connection", "_fields", "_interim", "_key", "_method", "_over", "_parked", "_peer_ended",
        "_upgrade", "answered", "member", "passage", "reused",
    )  # fmt: skip

    def __init__(self, connection: "Http2Upstream", link: "Http2Link", passage: "Passage") -> None:
        """Serve this passage; ``begin`` follows."""
        super().__init__(link, 0)
        self._connection = connection
        self.member = connection.member
        self.passage = passage
        self.reused = connection.served > 0
        """A request was served over the same connection before."""
        self.answered = False
        """The final head has come."""
        self._fields: Fields | None = None
        self._interim = 0
        self._method = b""
        self._upgrade: bytes | None = None
        self._key = b""  # of a WebSocket's handshake in HTTP/1
        self._over = False
        self._parked = False
        self._peer_ended = False

    def __repr__(self) -> str:
        """Show the stream."""
        return f"<Http2Call {self.id} {'over' if self._over else f'waiting={self.waiting}'}>"

    # -- the passage's side

    def begin(self, head: "RequestHead", raw: bytes) -> None:
        """Send the head."""
        self._method = head.method
        self._upgrade = head.upgrade
        if head.upgrade is not None:
            self._key = next((v for name, v in head.headers if name.lower() == b"sec-websocket-key"), b"")
        self.passage.exchange.reused = self.reused
        self._fields = request_fields(raw, self.passage.upstreams.facts.scheme.encode())
        self._connection.begin(self)

    def open(self, *, offers_upgrades: bool) -> None:
        """Open the stream, now that it is known whether upgrades are taken."""
        fields = self._fields
        if fields is None or self._over:
            return
        self._fields = None
        if self._upgrade is not None and not offers_upgrades:
            self._finish()
            self.passage.fail(
                502, pages.INVALID_ANSWER, "The upstream speaks HTTP/2 and takes no WebSockets over it."
            )
            return
        self.id = self._connection.number(self)
        self.start(fields)

    @property
    def upgrade(self) -> bytes | None:
        """The protocol that is asked for, None for an ordinary request."""
        return self._upgrade

    def send(self, data: bytes) -> int:
        """Take payload while little enough waits."""
        if self._over:
            return len(data)
        room = max(0, CLOGGED - self.waiting)
        taken = data[:room]
        if taken:
            self._connection.piece()
            self.put(taken)
        self._parked = len(taken) < len(data)
        return len(taken)

    def end(self, trailers: "Lines") -> None:
        """The request is complete."""
        self.finish(trailer_fields(trailers))

    def consume(self, n: int) -> None:
        """The visitor has bytes of the answer: the upstream gets credit."""
        self._connection.consumed(self.id, n)

    def abort(self) -> None:
        """Give the request up."""
        if not self._over:
            self._finish()
            self._connection.give_up(self)

    def moved(self, size: int) -> None:
        """Bytes of the request have been sent."""
        self._connection.moved(size)

    def drained(self) -> None:
        """What waited is sent."""
        if self._parked:
            self._parked = False
            self.passage.on_room()

    # -- from the connection

    def on_head(self, fields: "Fields", most: int, *, ended: bool) -> None:
        """Take the answer's head. Raises HttpError."""
        head = read_answer(fields, self._method, ended=ended, upgrade=self._upgrade, most=most)
        self.answered = True
        if head.status == 101 and self._key:
            head = head._replace(plain=[*head.plain, accepted(self._key)])
        if ended:
            self._finish()
            self._connection.over(self)
        self.passage.on_head(head)
        if ended:
            self.passage.on_end([])

    def on_interim(self, fields: "Fields", most: int) -> None:
        """Take an interim answer. Raises HttpError."""
        self._interim += 1
        if self._interim > MAX_INTERIM:
            raise HttpError(502, "The upstream sends interim answers without end.")
        self.passage.on_interim(read_answer(fields, self._method, ended=False, most=most))

    def on_finished(self, trailers: "Fields") -> None:
        """The answer is complete. Raises HttpError."""
        lines = read_trailers(trailers, 502) if trailers else []
        self._peer_ended = True
        if self._upgrade is None or self.finished:
            self._finish()
            self._connection.over(self)
        self.passage.on_end(lines)

    def ended(self) -> None:
        """The request, or of an upgraded one this direction, is sent whole."""
        if self._peer_ended and not self._over:
            self._finish()
            self._connection.over(self)

    def broken(self, *, began: bool, reset: int | None) -> None:
        """The call is gone before its answer was complete."""
        if not self._over:
            self._finish()
            self.passage.on_broken(self, began=began or self.answered or self._interim > 0, reset=reset)

    def _finish(self) -> None:
        self._over = True
        self._link.forget(self)
