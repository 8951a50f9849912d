"""What one visitor's connection has open toward members, and what all its requests share.

A stream of HTTP/1 serves one request after the other; those that are free are kept for the next request
to the same member, the one used last first. A connection of HTTP/2 serves many at once.
"""

from typing import TYPE_CHECKING, Final, Protocol

from portway.edge.http1_upstream import Http1Upstream
from portway.edge.http2_upstream import Http2Upstream
from portway.edge.websocket_upstream import WebSocketUpstream

if TYPE_CHECKING:
    from portway.codec.headers import Forwarding
    from portway.edge.http_exchange import ConnectionFacts
    from portway.edge.http_passage import Passage
    from portway.edge.http_sides import UpstreamSide
    from portway.edge.member import Member, Visitor
    from portway.edge.ports import HttpEdge
    from portway.edge.registry import Endpoint
    from portway.policy.facts import Connection

SPARE: Final = 16
"""Free streams that one visitor's connection keeps at most."""


class Traffic(Protocol):
    """A visitor's connection, which counts what it carries."""

    bytes_in: int
    bytes_out: int


class Upstreams:
    """The streams of one visitor's connection that passages use."""

    __slots__ = ("_free", "_http2", "_kept", "edge", "facts", "forwarding", "seen", "traffic", "visitor")

    def __init__(
        self, edge: "HttpEdge", visitor: "Visitor", facts: "ConnectionFacts", forwarding: "Forwarding"
    ) -> None:
        """Have nothing open yet."""
        self.edge = edge
        self.visitor = visitor
        self.facts = facts
        self.forwarding = forwarding
        self.traffic: Traffic | None = None
        """The connection itself, while it is there."""
        self.seen: Connection | None = None
        """What policies see of the connection, once one has looked."""
        self._free: list[Http1Upstream] = []
        self._http2: list[Http2Upstream] = []
        self._kept: tuple[Endpoint, Member] | None = None

    def __repr__(self) -> str:
        """Show how much is free."""
        return f"<Upstreams free={len(self._free)} http2={len(self._http2)}>"

    def bytes_in(self) -> int:
        """Count what the visitor has sent."""
        return self.traffic.bytes_in if self.traffic is not None else 0

    def bytes_out(self) -> int:
        """Count what the visitor was given."""
        return self.traffic.bytes_out if self.traffic is not None else 0

    def open(self, endpoint: "Endpoint", passage: "Passage") -> "UpstreamSide":
        """Find a member and a way to it. Raises StreamLimit, SessionClosed or NoVerdict."""
        return endpoint.pool.open_with(lambda member: self._to(member, passage), self.edge.now())[1]

    def kept(self, endpoint: "Endpoint") -> "Member | None":
        """Choose a member for all of this connection's requests to an endpoint; another once it is gone."""
        if self._kept is not None and self._kept[0] is endpoint:
            member = self._kept[1]
            if member.usable and member in endpoint.pool.members:
                return member
        member = endpoint.pool.pick(self.edge.now())
        self._kept = None if member is None else (endpoint, member)
        return member

    def _to(self, member: "Member", passage: "Passage") -> "UpstreamSide":
        if passage.converts:
            converter = WebSocketUpstream(member, passage)
            converter.attach(member.open(self.visitor, converter))
            return converter
        if member.forwards_proto == "http2":
            return self._to_http2(member).serve(passage)
        for place in range(len(self._free) - 1, -1, -1):
            if self._free[place].member is member:
                free = self._free.pop(place)
                free.serve(passage)
                return free
        upstream = Http1Upstream(self, member)
        upstream.attach(member.open(self.visitor, upstream))
        upstream.serve(passage)
        return upstream

    def _to_http2(self, member: "Member") -> Http2Upstream:
        for each in self._http2:
            if each.member is member and each.usable:
                return each
        made = Http2Upstream(self, member)
        made.attach(member.open(self.visitor, made))
        self._http2.append(made)
        return made

    def back(self, upstream: Http1Upstream) -> None:
        """Keep a stream that has served its request, if there is not too much of that."""
        self._free.append(upstream)
        if len(self._free) > SPARE:
            self._free.pop(0).close()

    def forget(self, upstream: Http1Upstream) -> None:
        """A kept stream has ended."""
        if upstream in self._free:
            self._free.remove(upstream)

    def forget_http2(self, connection: Http2Upstream) -> None:
        """A connection of HTTP/2 has ended."""
        if connection in self._http2:
            self._http2.remove(connection)

    def tidy(self) -> None:
        """End what is free and goes to a member that serves no more. Called once a second."""
        for each in self._http2:
            each.second()
        for each in [each for each in self._free if not each.member.usable]:
            self._free.remove(each)
            each.close()
        for each in [each for each in self._http2 if each.idle and not each.member.usable]:
            self._http2.remove(each)
            each.close()

    def close(self) -> None:
        """End what is free. What serves a request is ended by that."""
        self.traffic = None
        free, self._free = self._free, []
        for each in free:
            each.close()
        idle = [each for each in self._http2 if each.idle]
        self._http2 = [each for each in self._http2 if not each.idle]
        for each in idle:
            each.close()
