"""A throw-away CA, and contexts for both sides of TLS."""

import ssl
from dataclasses import dataclass

import trustme

from portway.net.tls import agent_context, service_context


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
    ca = trustme.CA()
    issued = ca.issue_cert(*(names or ("localhost", "127.0.0.1", "::1")))
    chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
    key = issued.private_key_pem.bytes()
    return Certs(
        ca.cert_pem.bytes(), chain, key, service_context(chain, key), agent_context(ca.cert_pem.bytes())
    )
