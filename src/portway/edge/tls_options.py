"""What a bind says of its visitors' TLS, read and judged.

==============================  ==================================================================
option                          what it asks for
==============================  ==================================================================
tls: ``TLSTermination``         TLS ends at the edge, with this certificate and key, or with the
                                service's own when it is empty; without it TLS is passed through
tls: ``MutualTLSAtEdge``        visitors must show a certificate of these authorities; only where
                                TLS ends at the edge
tls: ``MutualTLSAtAgent``       the agent asks for one itself: nothing for the edge to do
https: ``MutualTLSCA``          visitors must show a certificate of these authorities
==============================  ==================================================================
"""

from typing import TYPE_CHECKING, Final

from portway.edge.tls_settings import TlsSettings, check
from portway.errors import Error

if TYPE_CHECKING:
    from portway.wire.messages import OptsView

MODULES: Final = frozenset({"MutualTLSCA", "MutualTLSAtEdge"})
"""Those of the module options that are read here."""


def read_tls(proto: str, view: "OptsView") -> TlsSettings | None:
    """Read how visitors' TLS is to be ended; None where the bind says nothing of it.

    Raises Error 1632 or 1694 (an option that needs TLS to end at the edge), 14001 and what `check` raises.
    """
    ended, mutual = view.tls_termination, view.mutual_tls_ca or view.mutual_tls_at_edge
    if proto not in {"https", "tls"}:
        if ended is not None or mutual is not None:
            raise Error(f"{proto} endpoints have no TLS that could be ended at the edge.", 1632)
        return None
    if proto == "https" and ended is not None:
        raise Error("TLS of https endpoints ends at the edge in any case: give no TLS termination.", 1632)
    if proto == "tls" and ended is None and mutual is not None:
        raise Error("Mutual TLS at the edge needs TLS termination at the edge.", 1694)
    if ended is None and mutual is None:
        return None
    if ended is not None and ended.sealed_key:
        raise Error("The key is sealed for another service: give it unsealed.", 14001)
    settings = TlsSettings(
        chain=ended.cert if ended is not None else b"",
        key=ended.key if ended is not None else b"",
        authorities=mutual.mutual_tls_ca if mutual is not None else b"",
    )
    if mutual is not None and not settings.authorities:
        raise Error("Mutual TLS needs at least one authority.", 1695)
    check(settings)
    return settings
