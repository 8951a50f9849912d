"""TLS that ends at the service's edge, as older SDKs ask for it: certificate, key, and whose visitors.

=====================  ======================  =======================================================
``terminate_at``       ``crt`` and ``key``     what it means for a tls endpoint
=====================  ======================  =======================================================
"upstream"             none                    the bytes are the visitor's own TLS; the default
"edge"                 may be left out         the service ends TLS, with these or with its own; the
                                               default where they are given
"agent"                needed                  this agent ends TLS (`TLSTermination`)
=====================  ======================  =======================================================

``mutual_tls_cas`` lets in visitors with a certificate of these authorities alone; on https endpoints, too,
where it is the only word of these: their TLS ends at the edge anyway. Each is the path of a PEM file, or PEM
itself. New programs say ``agent_tls_termination``, or ``traffic_policy`` with the action ``terminate-tls``.
"""

from dataclasses import dataclass
from typing import Any

from portway.agent.config import modules
from portway.agent.termination import Pem, TLSTermination, read_pem
from portway.errors import ConfigError


@dataclass(frozen=True, slots=True)
class EdgeTLS:
    """What was said of visitors' TLS."""

    crt: Pem | None = None
    key: Pem | None = None
    mutual_tls_cas: Pem | None = None
    terminate_at: str | None = None

    def options(self, scheme: str) -> dict[str, Any]:
        """Return the options of `Agent.listen` and `Agent.forward` that mean the same; mostly none.

        Raises `ConfigError` for what makes no sense on an endpoint of this scheme, or cannot be read.
        """
        if (self.crt is None) != (self.key is None):
            raise ConfigError("crt and key go together: give both or none")
        if self.crt is None and self.mutual_tls_cas is None and self.terminate_at is None:
            return {}
        if scheme == "https":
            return {"modules": self._https()}
        if scheme != "tls":
            raise ConfigError(f"crt, key, mutual_tls_cas and terminate_at: {scheme} endpoints have no TLS")
        where = self.terminate_at or ("upstream" if self.crt is None else "edge")
        if where == "agent":
            return {"agent_tls_termination": self._at_agent()}
        if where == "edge":
            return {"modules": self._at_edge()}
        if where != "upstream":
            raise ConfigError(f'terminate_at={where!r} is unknown: use "edge", "agent" or "upstream"')
        if self.crt is not None or self.mutual_tls_cas is not None:
            raise ConfigError("crt, key and mutual_tls_cas are of no use where the upstream ends TLS")
        return {}

    def _https(self) -> dict[str, object]:
        if self.crt is not None or self.terminate_at not in (None, "edge"):
            raise ConfigError("TLS of https endpoints ends at the edge, with its own certificates")
        return modules.mutual_tls("http", self._authorities(), at_edge=True)

    def _at_edge(self) -> dict[str, object]:
        pair = [None if pem is None else read_pem(pem) for pem in (self.crt, self.key)]
        return modules.joined(
            modules.tls_termination(*pair), modules.mutual_tls("tls", self._authorities(), at_edge=True)
        )

    def _at_agent(self) -> TLSTermination:
        if self.crt is None or self.key is None:
            raise ConfigError('terminate_at="agent" needs crt and key')
        return TLSTermination(self.crt, self.key, self.mutual_tls_cas)

    def _authorities(self) -> list[bytes]:
        return [] if self.mutual_tls_cas is None else [read_pem(self.mutual_tls_cas)]
