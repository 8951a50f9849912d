"""A member: one agent's session that serves an endpoint, seen as *open a stream, get a Pipe*.

The edge reaches agents through this interface only, so other kinds of member (an SSH session, another
worker or node, a private socket) can stand behind the same relay.
"""

from typing import TYPE_CHECKING, Protocol

import msgspec

from portway.codec import proxy_protocol
from portway.edge.counters import Counters
from portway.errors import PortwayError, SessionClosed
from portway.wire.messages import ProxyHeader

if TYPE_CHECKING:
    from portway.codec.http1 import ResponseHead
    from portway.edge.policy import EndpointPolicy
    from portway.pipe import Pipe, Sink


class NoVerdict(PortwayError):
    """A member that answers by its traffic policy has no answer for this visitor."""


class Answered(NoVerdict):
    """A member that is no more than an answer: this head, this body."""

    def __init__(self, head: "ResponseHead", body: bytes) -> None:
        """Take the answer."""
        super().__init__("the backend is an answer")
        self.head = head
        self.body = body


class Unserved(SessionClosed):
    """Nobody behind an edge can serve; ``code`` is n of the ERR_NGROK_n that says why.

    The text has it too: of a connection without pages the log is where it is read.
    """

    def __init__(self, message: str, code: int) -> None:
        """Take the reason."""
        super().__init__(f"{message} (ERR_NGROK_{code})")
        self.code = code


class Visitor(msgspec.Struct, frozen=True):  # made for each connection: a data class takes nine times as long
    """Who connects, as the agent is told: addresses are ``ip:port`` or ``[v6]:port``.

    ``proto`` is http, https, tcp or tls; ``passthrough`` says that the bytes are the visitor's TLS.
    """

    client_addr: str
    server_addr: str
    proto: str
    passthrough: bool = False


class Member(Protocol):
    """One who serves an endpoint."""

    @property
    def id(self) -> str:
        """The bind id: unique in its session, told in every stream."""
        ...

    @property
    def usable(self) -> bool:
        """False once its session is over or drains: it will never serve again."""
        ...

    @property
    def forwards_proto(self) -> str:
        """What the agent's upstream speaks: "", http1 or http2."""
        ...

    @property
    def counters(self) -> "Counters":
        """What it was given to serve."""
        ...

    def open(self, visitor: Visitor, sink: "Sink") -> "Pipe":
        """Open a stream for a visitor and count it; its bytes go to ``sink``.

        Raises StreamLimit (another member may serve), SessionClosed (this one never will) or NoVerdict
        (it is the service itself, and has no answer).
        """
        ...


class Carrier(Protocol):
    """What a session is to its members: an agent's (``session/session.py``), an SSH client's."""

    @property
    def closed(self) -> bool:
        """True once it is over: it will never serve again."""
        ...

    def open_proxy(self, header: ProxyHeader, sink: "Sink", first: bytes = b"", /) -> "Pipe":
        """Open a stream for a visitor. Raises StreamLimit or SessionClosed."""
        ...


class SessionMember:
    """A member that is a session. Writes the PROXY header first where the bind asked for it."""

    __slots__ = (
        "_session",
        "client_id",
        "counters",
        "forwards_proto",
        "id",
        "policy",
        "pooled",
        "proxy_proto",
        "retired",
    )

    def __init__(
        self,
        session: "Carrier",
        bind_id: str,
        client_id: str,
        *,
        pooled: bool = False,
        proxy_proto: int = 0,
        forwards_proto: str = "",
        counters: "Counters | None" = None,
    ) -> None:
        """Serve under a bind id; ``proxy_proto`` is 0 for none, 1 or 2."""
        self._session = session
        self.id = bind_id
        self.client_id = client_id
        self.pooled = pooled
        self.proxy_proto = proxy_proto
        self.forwards_proto = forwards_proto
        self.counters = counters or Counters()
        self.retired = False
        """Set when the bind is given up: nothing new may be opened."""
        self.policy: EndpointPolicy | None = None
        """Its Traffic Policy."""

    def __repr__(self) -> str:
        """Show the bind and whether it can serve."""
        return f"<SessionMember {self.id} {'usable' if self.usable else 'gone'}>"

    @property
    def usable(self) -> bool:
        """False once its session is over or the bind was given up."""
        return not self.retired and not self._session.closed

    def open(self, visitor: Visitor, sink: "Sink") -> "Pipe":
        """Open a stream; see :class:`Member`."""
        if self.retired:
            raise SessionClosed("the endpoint was given up")
        header = ProxyHeader(self.id, visitor.client_addr, visitor.proto, "0", visitor.passthrough)
        first = b""
        if self.proxy_proto:
            first = proxy_protocol.encode(self.proxy_proto, visitor.client_addr, visitor.server_addr)
        stream = self._session.open_proxy(header, sink, first)
        self.counters.connections += 1
        return stream
