"""Public keys of OpenSSH: one line of an ``authorized_keys`` file, read and judged. Pure.

::

    line = type SP base64(blob) [ SP comment ]
    blob = string(type) and then the numbers of its kind (RFC 4253 section 6.6, RFC 5656, RFC 8709)

Options before the type are refused, not ignored: who wrote ``restrict`` there means something by it.
DSA keys are refused, as OpenSSH itself has given them up. Whether a point lies on its curve is left to
the signature check of a login: a key that is none opens nothing.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterator
from typing import Final

import msgspec

from portway.errors import Error

LINE_LIMIT: Final = 16_384
"""Bytes of a line: an RSA key of 16384 bits has about 2800."""
RSA_BITS: Final = range(2048, 16_385)
"""Sizes of RSA keys that are taken."""

_SIZES: Final = {
    "ssh-ed25519": 1,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "ssh-rsa": 2,
    "sk-ssh-ed25519@openssh.com": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 3,
}
"""Types that are taken, and how many strings follow the type in the blob."""

_POINT: Final = {"nistp256": 65, "nistp384": 97, "nistp521": 133}
"""Bytes of an uncompressed point on each curve."""


class SshKey(msgspec.Struct, frozen=True):
    """A public key. ``line`` is its one written form; ``fingerprint`` is OpenSSH's, "SHA256:…"."""

    type: str
    line: str
    fingerprint: str


def parse_ssh_key(text: str) -> SshKey:
    """Read a line. Raises Error 611 when there is none, 612 when it is no key that is taken."""
    line = text.strip()
    if not line:
        raise Error("A public key is needed: one line of an authorized_keys file.", 611)
    if len(line.encode()) > LINE_LIMIT or not line.isprintable():
        raise _bad("it is not one line of text")
    kind, _, rest = line.partition(" ")
    encoded, _, comment = rest.strip().partition(" ")
    if kind not in _SIZES:
        raise _bad(f"it must start with one of {', '.join(_SIZES)}")
    try:
        blob = base64.b64decode(encoded, validate=True)
        parts = list(_strings(blob))
    except (binascii.Error, ValueError):
        raise _bad("what follows its type is damaged") from None
    if len(parts) != _SIZES[kind] + 1 or parts[0] != kind.encode() or not _fits(kind, parts[1:]):
        raise _bad(f"what follows its type is no {kind} key")
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return SshKey(kind, " ".join(filter(None, (kind, encoded, comment.strip()))), f"SHA256:{digest}")


def _strings(blob: bytes) -> Iterator[bytes]:
    """Yield the strings of a blob: four bytes of length, then that many. Raises ValueError."""
    at = 0
    while at < len(blob):
        size = int.from_bytes(blob[at : at + 4], "big")
        if at + 4 + size > len(blob):
            raise ValueError("cut")
        yield blob[at + 4 : at + 4 + size]
        at += 4 + size


def _fits(kind: str, parts: list[bytes]) -> bool:
    """Tell whether the parts after the type have the form of that type."""
    if "ed25519" in kind:
        return len(parts[0]) == 32
    if kind == "ssh-rsa":
        exponent, modulus = (int.from_bytes(part, "big") for part in parts)
        return exponent >= 3 and exponent % 2 == 1 and modulus % 2 == 1 and modulus.bit_length() in RSA_BITS
    curve = next(name for name in _POINT if name in kind)
    return parts[0] == curve.encode() and len(parts[1]) == _POINT[curve] and parts[1][:1] == b"\x04"


def _bad(why: str) -> Error:
    return Error(f"The public key cannot be used: {why}.", 612)
