"""A member: one agent's session that serves an endpoint, seen as *open a stream, get a Pipe*.

The edge reaches agents through this interface only, so other kinds of member (an SSH session, another
worker or node, a private socket) can stand behind the same relay.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from portway.pipe import Pipe, Sink


@dataclass(frozen=True, slots=True)
class Visitor:
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
    def streams(self) -> int:
        """Streams that are open on its session now."""
        ...

    @property
    def forwards_proto(self) -> str:
        """What the agent's upstream speaks: "", http1 or http2."""
        ...

    def open(self, visitor: Visitor, sink: "Sink") -> "Pipe":
        """Open a stream for a visitor; its bytes go to ``sink``.

        Raises StreamLimit (another member may serve) or SessionClosed (this one never will).
        """
        ...
