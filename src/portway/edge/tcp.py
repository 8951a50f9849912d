"""Visitors whose bytes are not ours to read: TCP endpoints, and TLS that is passed through.

A :class:`RawVisitor` joins the visitor's socket to a stream before a byte was read, so servers that
speak first work, and each direction ends by itself. Whatever goes wrong, the visitor sees its
connection closed and not a byte more: there is no place in its protocol for our errors. Operators
find the reason in the event.
"""

from typing import TYPE_CHECKING

from portway.edge.member import NoVerdict, Visitor
from portway.errors import SessionClosed, StreamLimit
from portway.model.event import TcpConnectionClosed
from portway.net.address import split_address, written
from portway.net.leg import Leg
from portway.net.listen import INHERITS, Listener, listen
from portway.session import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from portway.edge.listener import Edge
    from portway.edge.member import Member
    from portway.edge.registry import Endpoint


class RawVisitor(Leg):
    """A visitor's socket joined to an agent's stream."""

    __slots__ = (
        "_client",
        "_edge",
        "_endpoint",
        "_failure",
        "_find",
        "_first",
        "_member",
        "_name",
        "_passthrough",
        "_server",
        "_start",
        "_tls_version",
    )

    def __init__(
        self,
        edge: "Edge",
        find: "Callable[[], Endpoint | None]",
        *,
        first: bytes = b"",
        passthrough: bool = False,
        server_name: str = "",
        tls_version: str = "",
        guarded: bool = False,
    ) -> None:
        """Serve one visitor of what ``find`` returns; ``first`` are bytes that were read already.

        ``guarded`` says that the socket resets when it is closed; see `net.listen.listen`.
        """
        super().__init__(on_closed=_tell)
        self._guarded = guarded
        self._edge = edge
        self._find = find
        self._first = first
        self._passthrough = passthrough
        self._name = server_name
        self._tls_version = tls_version
        self._endpoint: Endpoint | None = None
        self._member: Member | None = None
        self._failure = ""
        self._start = edge.wall()
        self._client = ""
        self._server = ""
        self.bytes_in = len(first)

    def opened(self) -> None:
        """Find an agent for the visitor, or close."""
        assert self.transport is not None
        self._client = self.peername
        self._server = written(self.transport.get_extra_info("sockname"))
        self._endpoint = self._find()
        if self._endpoint is None:
            self._fail("no endpoint is online here")
            return
        self._endpoint.counters.connections += 1
        self._edge.idle.add(self, self._edge.now())
        if not self._open(()):
            self._end_unserved()

    def on_reset(self, code: int) -> None:
        """The stream is cut: so is the visitor, unless the agent was only too busy to take it."""
        untouched = not (self.bytes_in > len(self._first) or self.bytes_out or self._ended or self._finished)
        if code == ErrorCode.ACCEPT_QUEUE_FULL and untouched and self._member and self._endpoint:
            self._endpoint.pool.busy(self._member, self._edge.now())
            self._kept.clear()
            if self._open((self._member,)):
                return
        self._failure = self._failure or f"the agent's stream was reset with code {code}"
        super().on_reset(code)

    def _open(self, without: "tuple[Member, ...]") -> bool:
        """Open a stream on some member and join it; False when none can serve."""
        assert self._endpoint is not None
        visitor = Visitor(self._client, self._server, self._endpoint.scheme, self._passthrough)
        try:
            self._member, pipe = self._endpoint.pool.open(visitor, self, self._edge.now(), without)
        except (StreamLimit, SessionClosed, NoVerdict) as error:
            self._failure = str(error)
            return False
        self.join(pipe, self._first)
        return True

    def _fail(self, why: str) -> None:
        self._failure = why
        self._end_unserved()

    def _end_unserved(self) -> None:
        """Close in order a socket that was never joined."""
        assert self.transport is not None
        self._complete()
        self.transport.close()

    def finished(self) -> None:
        """Count and tell what the connection was."""
        self._edge.idle.discard(self)
        endpoint = self._endpoint
        if endpoint is not None:
            endpoint.counters.bytes_in += self.bytes_in
            endpoint.counters.bytes_out += self.bytes_out
        if not self._edge.config.access_events:
            return
        client_ip, client_port = split_address(self._client)
        server_ip, server_port = split_address(self._server)
        self._edge.events.emit(
            TcpConnectionClosed(
                account_id=endpoint.account_id if endpoint else "",
                endpoint_id=self._member.id if self._member else "",
                url=str(endpoint.url) if endpoint else "",
                client_ip=client_ip,
                client_port=client_port,
                server_ip=server_ip,
                server_port=server_port,
                server_name=self._name or (endpoint.url.host if endpoint else ""),
                start_ts=self._start,
                end_ts=self._edge.wall(),
                bytes_in=self.bytes_in,
                bytes_out=self.bytes_out,
                tls_version=self._tls_version,
                error=self._failure or (str(self.error) if self.error else ""),
            )
        )


def _tell(visitor: RawVisitor) -> None:
    visitor.finished()


class TcpPorts:
    """The ports of TCP endpoints that this process listens on."""

    def __init__(self, edge: "Edge", host: str) -> None:
        """Listen on this address of the machine."""
        self._edge = edge
        self._host = host
        self._open: dict[int, Listener] = {}

    def __repr__(self) -> str:
        """Show the ports."""
        return f"<TcpPorts {sorted(self._open)}>"

    async def open(self, port: int) -> None:
        """Listen on a port; nothing happens when it is open. Raises ConfigError when it is taken."""
        if port in self._open:
            return
        listener = await listen(
            self._host,
            port,
            lambda: RawVisitor(self._edge, lambda: self._find(port), guarded=INHERITS),
            what="--tcp-ports",
            guarded=True,
        )
        if port in self._open:  # opened by another while we waited
            listener.close()
            return
        self._open[port] = listener

    def close(self, port: int) -> None:
        """Stop listening; running connections live on. A port that is not open is ignored."""
        listener = self._open.pop(port, None)
        if listener is not None:
            listener.close()

    def close_all(self) -> None:
        """Stop listening on every port."""
        for port in list(self._open):
            self.close(port)

    def _find(self, port: int) -> "Endpoint | None":
        return self._edge.registry.find("tcp", "", port)
