"""Whom a request asks for, whatever version of HTTP it came in: Host, scheme, SNI and the listener agree."""

from typing import TYPE_CHECKING

from portway.edge import pages
from portway.errors import PortwayError

if TYPE_CHECKING:
    from portway.codec.http1 import RequestHead
    from portway.edge.ports import HttpEdge
    from portway.edge.registry import Endpoint
    from portway.edge.tls_facts import TlsFacts


class Misdirected(PortwayError):
    """No endpoint can serve a request: answer with this status, and this n of ERR_NGROK_n."""

    def __init__(self, status: int, code: int) -> None:
        """Keep both."""
        super().__init__(f"{status}, ERR_NGROK_{code}")
        self.status = status
        self.code = code


def name(
    edge: "HttpEdge",
    head: "RequestHead",
    scheme: str,
    sni: str,
    tls: "TlsFacts | None",
) -> "Endpoint":
    """Return the endpoint that a request asks for.

    Raises Misdirected: 421 for what another connection must be made for (RFC 9110 §15.5.20), 404 for nobody.
    """
    if (head.scheme is not None and head.scheme != scheme.encode()) or (sni and head.host != sni):
        raise Misdirected(421, pages.GENERAL)
    endpoint = edge.registry.find(scheme, head.host, head.port or 0)
    if endpoint is None:
        raise Misdirected(404, pages.OFFLINE)
    if endpoint.tls is not None and (tls is None or tls.settings != endpoint.tls):
        # It has come online, or changed, behind this connection's handshake: shake hands anew.
        raise Misdirected(421, pages.GENERAL)
    return endpoint


def never_asked(edge: "HttpEdge", sni: str) -> "Endpoint | None":
    """Return whom a TLS connection was for that has ended without a request, such as by its handshake."""
    return edge.registry.find_sni(sni) if sni else None
