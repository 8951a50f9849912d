"""Who issues the certificates of a domain by itself, and for which kind of key."""

from typing import Final

import msgspec

from portway.errors import Error

INTERNAL: Final = "internal"
"""The authority of this service itself."""
LETSENCRYPT: Final = "letsencrypt"

KEY_TYPES: Final = {INTERNAL: ("ecdsa",), LETSENCRYPT: ("ecdsa", "rsa")}
"""The kinds of key for which each authority issues, its default first."""


class CertificatePolicy(msgspec.Struct, frozen=True):
    """An authority and a kind of key."""

    authority: str = INTERNAL
    key_type: str = "ecdsa"


def parse_policy(authority: str, key_type: str) -> CertificatePolicy:
    """Read a policy; "" stands for the default. Raises Error 435 or 1909."""
    authority = authority or INTERNAL
    kinds = KEY_TYPES.get(authority)
    if kinds is None:
        raise Error(f"The authority {authority!r} is unknown; use {' or '.join(KEY_TYPES)}.", 435)
    if key_type and key_type not in kinds:
        raise Error(
            f"{authority} does not issue for keys of type {key_type!r}, only {' or '.join(kinds)}.", 1909
        )
    return CertificatePolicy(authority, key_type or kinds[0])
