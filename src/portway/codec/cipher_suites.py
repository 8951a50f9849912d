"""Names of TLS cipher suites: OpenSSL's own, and those that IANA has registered.

Those of TLS 1.3 are the same. Of TLS 1.2 only what OpenSSL's servers agree on by default is listed: an
ephemeral key exchange, AES or ChaCha20.
"""

from typing import Final

_REGISTERED: Final = {
    f"{exchange}-{short}": f"TLS_{exchange.replace('-', '_')}_WITH_{long}"
    for exchange in ("ECDHE-ECDSA", "ECDHE-RSA", "DHE-RSA")
    for short, long in (
        ("AES128-GCM-SHA256", "AES_128_GCM_SHA256"),
        ("AES256-GCM-SHA384", "AES_256_GCM_SHA384"),
        ("AES128-SHA256", "AES_128_CBC_SHA256"),
        ("AES256-SHA384", "AES_256_CBC_SHA384"),
        ("AES256-SHA256", "AES_256_CBC_SHA256"),
        ("AES128-SHA", "AES_128_CBC_SHA"),
        ("AES256-SHA", "AES_256_CBC_SHA"),
        ("CHACHA20-POLY1305", "CHACHA20_POLY1305_SHA256"),
    )
}


def registered_name(name: str) -> str:
    """Return IANA's name of a suite that OpenSSL calls ``name``; an unknown name stays as it is."""
    return _REGISTERED.get(name, name)
