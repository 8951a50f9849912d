"""Visitors of tls and tcp endpoints whose TLS ends here: the agent gets their bytes in clear.

The handshake comes first, then a stream is opened: a visitor that must show a certificate and has none
costs the agent nothing. What goes wrong before is told by an alert, what goes wrong later by the end of
the connection. Either direction ends by itself, by close_notify or by the socket's end.
"""

from typing import TYPE_CHECKING

from portway.net.leg import unguard
from portway.net.tls_leg import TlsLeg

if TYPE_CHECKING:
    from portway.edge.serving import Serving
    from portway.net.tls import TlsPump


class TlsVisitor(TlsLeg):
    """A visitor's TLS socket joined to an agent's stream."""

    __slots__ = ("serving",)

    def __init__(
        self, serving: "Serving", pump: "TlsPump", *, handshake_timeout: float, guarded: bool = False
    ) -> None:
        """Serve one visitor; the pump may hold its hello already.

        ``guarded`` says that the socket resets when it is closed, which TLS has no need of.
        """
        super().__init__(pump, on_closed=serving.finished, handshake_timeout=handshake_timeout)
        self._guarded = guarded
        self.serving = serving

    def opened(self) -> None:
        """Take note of the visitor."""
        if self._guarded and self.transport is not None:
            self._guarded = False
            unguard(self.transport)
        self.serving.arrived(self)

    def on_secure(self) -> None:
        """Find an agent for the visitor, or close."""
        if self.serving.secured(self, self.pump.agreed):
            self.serving.open(self)

    def on_reset(self, code: int) -> None:
        """The stream is cut: so is the visitor, unless the agent was only too busy to take it."""
        if not self.serving.again(self, code):
            super().on_reset(code)
