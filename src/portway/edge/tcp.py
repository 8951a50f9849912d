"""Visitors whose bytes are not ours to read: TCP endpoints, and TLS that is passed through.

A :class:`RawVisitor` joins the visitor's socket to a stream before a byte was read, so servers that
speak first work, and each direction ends by itself. A TCP endpoint may also have its visitors' TLS ended
here, by its policy: those are served by ``edge/tls_visitor.py``.
"""

from typing import TYPE_CHECKING

from portway.edge.proxied import arrivals
from portway.edge.serving import Serving
from portway.edge.tls_facts import TlsFacts
from portway.edge.tls_visitor import TlsVisitor
from portway.net.leg import Leg
from portway.net.listen import INHERITS, Listener, listen
from portway.net.tls import TlsPump

if TYPE_CHECKING:
    from asyncio import BaseProtocol

    from portway.edge.certificates import Certificates
    from portway.edge.ends import Ends
    from portway.edge.listener import Edge
    from portway.edge.registry import Endpoint
    from portway.edge.tls_settings import TlsSettings


class RawVisitor(Leg):
    """A visitor's socket joined to an agent's stream."""

    __slots__ = ("serving",)

    def __init__(self, serving: Serving, *, seen: int = 0, guarded: bool = False) -> None:
        """Serve one visitor, of whom ``seen`` bytes were read already.

        ``guarded`` says that the socket resets when it is closed; see `net.listen.listen`.
        """
        super().__init__(on_closed=serving.finished)
        self._guarded = guarded
        self.bytes_in = seen
        self.serving = serving

    def opened(self) -> None:
        """Find an agent for the visitor, or close."""
        if self.serving.arrived(self):
            self.serving.open(self)

    def on_reset(self, code: int) -> None:
        """The stream is cut: so is the visitor, unless the agent was only too busy to take it."""
        if not self.serving.again(self, code):
            super().on_reset(code)


class TcpPorts:
    """The ports of TCP endpoints that this process listens on."""

    def __init__(self, edge: "Edge", host: str, certificates: "Certificates") -> None:
        """Listen on this address of the machine."""
        self._edge = edge
        self._host = host
        self._certificates = certificates
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
            arrivals(self._edge, lambda ends: self._visitor(port, ends)),
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

    def _visitor(self, port: int, ends: "Ends | None") -> "BaseProtocol":
        """Make who serves a new visitor of a port."""
        edge = self._edge
        endpoint = self._find(port)
        if endpoint is None or endpoint.tls is None:
            return RawVisitor(Serving(edge, lambda: self._find(port), ends=ends), guarded=INHERITS)
        return self._tls_visitor(endpoint.tls, Serving(edge, lambda: self._find(port), ends=ends))

    def _tls_visitor(self, settings: "TlsSettings", serving: Serving) -> TlsVisitor:
        """Nobody's name is asked for here: without one of its own, the service's certificate is shown."""
        certificates = self._certificates
        serving.tls = TlsFacts(None, settings, certificates.default)
        pump = TlsPump(certificates.contexts.get(settings, certificates.default), server_side=True)
        timeout = self._edge.config.limits.tls_handshake
        return TlsVisitor(serving, pump, handshake_timeout=timeout, guarded=INHERITS)

    def _find(self, port: int) -> "Endpoint | None":
        return self._edge.registry.find("tcp", "", port)
