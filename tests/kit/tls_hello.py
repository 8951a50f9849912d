"""The ClientHello of an ordinary client, for visitors that say no more."""

import ssl


def client_hello(name: str) -> bytes:
    """Return the hello that OpenSSL sends for a name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass  # as it should
    return outgoing.read()
