"""Prefixed identifiers and tokens: how they look and how they are made.

An identifier is a prefix, an underscore and 27 base-62 characters: 32 bits of seconds since
:data:`EPOCH`, then 128 random bits. So identifiers sort by the time they were made, which paging
relies on. A token is the 27 characters of the row it belongs to, an underscore and 21 random
base-62 characters (125 bits): the row is found by the first half and the whole is compared by its
hash, which is all that is stored.

Time and randomness come in as arguments: pass ``time.time()`` and ``secrets.token_bytes``.
"""

import re
from collections.abc import Callable
from typing import Final

EPOCH: Final = 1_400_000_000
"""Second 0 of identifiers, 13 May 2014 in Unix time."""

PREFIXES: Final = {
    "ac": "account",
    "ak": "API key",
    "appsess": "session of an application user",
    "appusr": "application user",
    "bkdfo": "failover backend",
    "bkdhr": "HTTP response backend",
    "bkdsc": "static backend",
    "bkdtg": "tunnel group backend",
    "bkdwd": "weighted backend",
    "ca": "certificate authority",
    "cert": "TLS certificate",
    "cr": "credential (authtoken)",
    "ed": "event destination",
    "edghts": "HTTPS edge",
    "edghtsrt": "route of an HTTPS edge",
    "edgtcp": "TCP edge",
    "edgtls": "TLS edge",
    "ep": "endpoint",
    "esb": "event subscription",
    "ev": "event",
    "ipp": "IP policy",
    "ipr": "rule of an IP policy",
    "ipx": "IP restriction",
    "op": "operation",
    "ra": "reserved TCP address",
    "rd": "reserved domain",
    "req": "request of a traffic policy",
    "secret": "secret of a vault",
    "sshcr": "SSH credential",
    "tn": "tunnel",
    "ts": "tunnel session",
    "usr": "user",
    "vault": "vault",
}
"""Every prefix in use and what it names."""

ID_LENGTH: Final = 27
SECRET_LENGTH: Final = 21
TOKEN_LIMIT: Final = 512
"""Characters that a presented token may have; a longer one is malformed."""

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS: Final = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_TOKEN: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{TOKEN_LIMIT}}}", re.ASCII)

RandomBytes = Callable[[int], bytes]
"""Returns that many fresh random bytes, such as ``secrets.token_bytes``."""


def new_id(prefix: str, random: RandomBytes, now: float) -> str:
    """Make an identifier of a kind listed in :data:`PREFIXES`; ``now`` is Unix seconds.

    Raises KeyError for an unknown prefix: that is a slip of the caller's.
    """
    PREFIXES[prefix]
    seconds = int(now) - EPOCH & 0xFFFF_FFFF
    return f"{prefix}_{_base62(seconds << 128 | int.from_bytes(random(16), 'big'))}"


class Series:
    """Identifiers of one kind of which thousands are made in a second.

    One is drawn, and up to 3843 others of the same second count on in its last two characters: a
    tenth of the cost of drawing each.
    """

    def __init__(self, prefix: str, random: RandomBytes) -> None:
        """Take a prefix that is listed in :data:`PREFIXES`."""
        self._prefix = prefix
        self._random = random
        self._second = -1
        self._count = 0
        self._stem = ""

    def next(self, now: float) -> str:
        """Make the next one; ``now`` is Unix seconds."""
        second = int(now)
        if second != self._second or self._count == len(_PAIRS):
            self._second, self._count = second, 0
            self._stem = new_id(self._prefix, self._random, now)[:-2]
        self._count += 1
        return self._stem + _PAIRS[self._count - 1]


def new_token(row_id: str, random: RandomBytes) -> str:
    """Make the token of a credential or an API key from its identifier."""
    return f"{row_id.partition('_')[2]}_{_secret(random)}"


def sibling_id(prefix: str, other: str) -> str:
    """Make the identifier that shares its 27 characters with another, as ``tn_`` and ``ep_`` do."""
    PREFIXES[prefix]
    return f"{prefix}_{other.partition('_')[2]}"


def made_at(identifier: str) -> int:
    """Return the Unix second in which an identifier was made. Raises ValueError if it is none."""
    digits = identifier.partition("_")[2]
    if len(digits) != ID_LENGTH:
        raise ValueError(f"not an identifier: {identifier!r}")
    number = 0
    for digit in digits:
        number = number * 62 + _ALPHABET.index(digit)
    return (number >> 128) + EPOCH


def token_row(token: str) -> str:
    """Return the 27 characters that name a token's row, or "" when it has not our shape."""
    row, _, secret = token.partition("_")
    return row if len(row) == ID_LENGTH and secret else ""


def well_formed_token(token: str) -> bool:
    """Tell whether a presented token could be one at all: 1–512 of ``A–Z a–z 0–9 _ -``."""
    return _TOKEN.fullmatch(token) is not None


def _base62(number: int) -> str:
    digits: list[str] = []
    for _ in range(ID_LENGTH // 2):
        number, pair = divmod(number, 62 * 62)
        digits.append(_PAIRS[pair])
    digits.append(_ALPHABET[number])
    return "".join(reversed(digits))


def _secret(random: RandomBytes) -> str:
    """Draw base-62 digits without bias: a byte above 4 × 62 is thrown away."""
    digits = ""
    while len(digits) < SECRET_LENGTH:
        digits += "".join(_ALPHABET[byte % 62] for byte in random(SECRET_LENGTH) if byte < 248)
    return digits[:SECRET_LENGTH]
