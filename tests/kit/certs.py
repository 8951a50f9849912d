"""What one throw-away authority issued, with our own contexts for both sides of TLS."""

import ssl
from dataclasses import dataclass

from portway.net.tls import agent_context, service_context
from tests.kit.certificates import Authority


@dataclass(frozen=True, slots=True)
class Certs:
    """What one CA issued for localhost, 127.0.0.1 and ::1."""

    ca: bytes  # PEM
    chain: bytes  # PEM
    key: bytes  # PEM
    server: ssl.SSLContext
    client: ssl.SSLContext


def make_certs(*names: str) -> Certs:
    """Make a CA and a certificate for `names`: the names of this machine if none are given."""
    authority = Authority()
    chain, key = authority.issue(*(names or ("localhost", "127.0.0.1", "::1")))
    return Certs(authority.pem, chain, key, service_context(chain, key), agent_context(authority.pem))
