"""Basic credentials of HTTP (RFC 7617): read from a request, judged in constant time.

What is kept of a password is a keyed digest of name and password, so that comparing takes the same time
whatever is presented, and a dump of memory shows no password of an endpoint's users.
"""

import hmac
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterable
from typing import NamedTuple


class Presented(NamedTuple):
    """What a visitor says of itself."""

    username: str
    password: str


def presented(value: str) -> Presented | None:
    """Read the value of ``Authorization``; None when it holds no Basic credentials."""
    scheme, _, encoded = value.strip(" \t").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = b64decode(encoded.strip(" \t"), validate=True).decode()
    except (Base64Error, ValueError):
        return None
    username, colon, password = text.partition(":")
    return Presented(username, password) if colon else None


def challenge(realm: str) -> str:
    """Return the value of ``WWW-Authenticate`` (§2)."""
    quoted = realm.replace("\\", "\\\\").replace('"', '\\"')
    return f'Basic realm="{quoted}"'


class Credentials:
    """Pairs of name and password that may enter. ``key`` is any secret of this process."""

    __slots__ = ("_digests", "_key")

    def __init__(self, pairs: Iterable[tuple[str, str]], key: bytes = b"portway") -> None:
        """Keep the digests of these pairs."""
        self._key = key
        self._digests = [self._digest(name, password) for name, password in pairs]

    def __repr__(self) -> str:
        """Show how many there are."""
        return f"<Credentials {len(self._digests)}>"

    def allow(self, who: Presented) -> bool:
        """Tell whether this pair is one of them. All are looked at, whichever fits."""
        digest = self._digest(who.username, who.password)
        found = 0
        for each in self._digests:
            found |= hmac.compare_digest(each, digest)
        return bool(found)

    def _digest(self, name: str, password: str) -> bytes:
        # A name has no colon (§2), so no two pairs are the same text.
        return hmac.digest(self._key, f"{name}:{password}".encode("utf-8", "surrogatepass"), "sha256")
