"""JSON Web Tokens (RFC 7519) as a guard reads them: strictly, and without believing what they say of keys.

A token in compact form is taken apart, its header is held against what the policy allows, and its signature
is verified with the keys that the policy names. Header fields that offer a key (``jwk``, ``jku``, ``x5c``,
``x5u``) are not looked at, ``crit`` is refused, ``none`` is no algorithm, and an algorithm is tried with keys
of its own type alone: a public key is never the secret of an HMAC. Sizes and numbers of tries are bounded.

The mathematics is joserfc's, which is imported at the first token.
"""

import json
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from portway.policy.functions import FunctionError
from portway.policy.functions.encoding import DEEPEST, checked

if TYPE_CHECKING:
    from collections.abc import Iterable

ALGORITHMS: Final = (
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
    "ES256", "ES384", "ES512", "ES256K", "EdDSA", "Ed25519",
)  # fmt: skip
LONGEST: Final = 16_384
"""Characters of a token."""
KEYS: Final = 100
"""Keys of a key set that are read."""
TRIES: Final = 10
"""Keys that one token is tried with."""
LEEWAY: Final = 30.0
"""Seconds by which clocks may differ."""
RSA_BITS: Final = range(2048, 8193)

_TYPE_OF: Final = {"HS": "oct", "RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_CURVES: Final = {
    "ES256": ("P-256",), "ES384": ("P-384",), "ES512": ("P-521",), "ES256K": ("secp256k1",),
    "EdDSA": ("Ed25519", "Ed448"), "Ed25519": ("Ed25519",),
}  # fmt: skip


_EDWARDS: Final = {"EdDSA", "Ed25519"}
"""Two names of one algorithm for keys of Ed25519 (RFC 9864 §2.2); the curve tells which keys those are."""


class TokenError(Exception):
    """A token is not one that may enter."""

    def __init__(self, code: int, message: str) -> None:
        """Take the code of the error and a sentence for whoever sent it."""
        super().__init__(message)
        self.code = code
        self.message = message


UNREADABLE: Final = 3416
REFUSED: Final = 3401


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was read, not yet verified."""

    header: Mapping[str, object]
    payload: Mapping[str, object]
    signature: bytes
    text: str

    def __repr__(self) -> str:
        """Leave everything out: a token is a credential."""
        return "<Token>"

    @property
    def algorithm(self) -> str:
        """What its header says it is signed by."""
        return str(self.header.get("alg"))

    @property
    def kid(self) -> str:
        """Which key its header names; "" for none."""
        kid = self.header.get("kid")
        return kid if isinstance(kid, str) else ""

    def shown(self, *, verified: bool) -> dict[str, object]:
        """Return what result variables say of it."""
        return {
            "header": dict(self.header),
            "payload": dict(self.payload),
            "signature": b64encode(self.signature).decode("ascii"),
            "verified": verified,
        }


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a key set."""

    kid: str
    type: str
    algorithm: str
    curve: str
    key: Any

    def fits(self, algorithm: str) -> bool:
        """Tell whether signatures of this algorithm may be verified with it."""
        if self.type != _TYPE_OF[algorithm[:2]]:
            return False
        if self.algorithm and self.algorithm != algorithm and {self.algorithm, algorithm} != _EDWARDS:
            return False
        curves = _CURVES.get(algorithm)
        return curves is None or self.curve in curves


def read_token(text: str) -> Token:
    """Take a token in compact form apart. Raises TokenError 3416."""
    if len(text) > LONGEST:
        raise TokenError(UNREADABLE, f"The token is longer than {LONGEST} characters.")
    parts = text.split(".")
    if len(parts) != 3 or not all(parts):
        raise TokenError(UNREADABLE, "The token is no signed token of three parts.")
    header, payload = (_object(_decoded(part)) for part in parts[:2])
    if not isinstance(header.get("alg"), str):
        raise TokenError(UNREADABLE, "The token's header names no algorithm.")
    if "crit" in header or "b64" in header:
        raise TokenError(UNREADABLE, "The token's header asks for what is not understood.")
    return Token(header, payload, _decoded(parts[2]), text)


def read_keys(data: bytes) -> list[Key]:
    """Read a JSON Web Key Set; keys that cannot be used are left out. Raises ValueError: it is no set."""
    try:
        found: object = json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    return keys_of(found)


def keys_of(document: object) -> list[Key]:
    """Return the keys of a set that was read. Raises ValueError: it is no set."""
    keys = cast("Mapping[str, object]", document).get("keys") if isinstance(document, Mapping) else None
    if not isinstance(keys, list):
        raise ValueError("no key set")  # noqa: TRY004  a mistake of the data, not of a type of ours
    return [key for each in cast("list[object]", keys)[:KEYS] if (key := _key(each)) is not None]


def _key(each: object) -> Key | None:
    from joserfc.errors import JoseError
    from joserfc.jwk import import_key

    if not isinstance(each, dict):
        return None
    data = cast("dict[str, Any]", each)
    texts = {name: value for name in ("kid", "kty", "alg", "use", "crv", "n")
             if isinstance(value := data.get(name, ""), str)}  # fmt: skip
    if texts.get("use", "") not in ("", "sig") or len(texts) < 6 or len(texts["n"]) * 6 >= RSA_BITS.stop + 16:
        return None
    if texts["kty"] == "RSA" and len(texts["n"]) * 6 < RSA_BITS.start:
        return None  # the library would warn of it
    ops = data.get("key_ops")
    if isinstance(ops, list) and "verify" not in ops:
        return None
    public = {name: value for name, value in data.items() if name in _PUBLIC}
    try:
        made: Any = import_key(public)
        if texts["kty"] == "RSA" and made.public_key.key_size not in RSA_BITS:
            return None
    except (JoseError, ValueError, KeyError, TypeError):
        return None
    return Key(texts["kid"], texts["kty"], texts["alg"], texts["crv"], made)


_PUBLIC: Final = frozenset(("kty", "n", "e", "crv", "x", "y", "k"))


def verify(token: Token, keys: "Iterable[Key]", allowed: "Sequence[str]") -> None:
    """Verify the signature of a token with one of these keys. Raises TokenError 3401."""
    algorithm = token.algorithm
    if algorithm not in allowed or algorithm not in ALGORITHMS:
        raise TokenError(REFUSED, "The token is signed by an algorithm that is not allowed.")
    fitting = [key for key in keys if key.fits(algorithm)]
    if token.kid:
        named = [key for key in fitting if key.kid == token.kid]
        fitting = named or [key for key in fitting if not key.kid]
    if not fitting:
        raise TokenError(REFUSED, "No key of the key set fits the token.")
    if not any(_verified(token, key.key) for key in fitting[:TRIES]):
        raise TokenError(REFUSED, "The token's signature is not valid.")


def _verified(token: Token, key: Any) -> bool:
    """Ask the algorithm itself: the header was read above, strictly, and is not to be read again."""
    from joserfc.errors import JoseError
    from joserfc.jws import JWSRegistry

    model: Any = JWSRegistry.algorithms[token.algorithm]
    signed = token.text.rpartition(".")[0].encode("ascii")
    try:
        return bool(model.verify(signed, token.signature, key))
    except (JoseError, ValueError, TypeError):
        return False


def check_claims(
    payload: Mapping[str, object], issuers: "Sequence[str]", audiences: "Sequence[str]", now: float
) -> None:
    """Check who issued a token, for whom, and when it holds. Raises TokenError 3401."""
    if payload.get("iss") not in issuers:
        raise TokenError(REFUSED, "The token's issuer is not allowed.")
    if audiences:
        found = payload.get("aud")
        mine = cast("list[object]", found) if isinstance(found, list) else [found]
        if not any(isinstance(each, str) and each in audiences for each in mine):
            raise TokenError(REFUSED, "The token is not meant for this audience.")
    if "exp" in payload and now >= _time(payload["exp"]) + LEEWAY:
        raise TokenError(REFUSED, "The token has expired.")
    if "nbf" in payload and now < _time(payload["nbf"]) - LEEWAY:
        raise TokenError(REFUSED, "The token does not hold yet.")


def _time(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TokenError(REFUSED, "A time in the token is no number.")
    return float(value) if abs(value) < 1e15 else 1e15


def check_type(token: Token, kind: str) -> None:
    """Hold a token's ``typ`` against the kind that is expected. Raises TokenError 3401."""
    said = str(token.header.get("typ", "")).lower().removeprefix("application/")
    wanted = {"at+jwt": ("at+jwt",), "it+jwt": ("it+jwt",), "jwt": ("", "jwt")}.get(kind)
    if wanted is not None and said not in wanted:
        raise TokenError(REFUSED, f"The token is not of the type {kind}.")


def _decoded(part: str) -> bytes:
    try:
        data = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError as error:
        raise TokenError(UNREADABLE, "The token is not base64url.") from error
    if "=" in part or not part.isascii() or set(part) & {"+", "/", "\n", " "}:
        raise TokenError(UNREADABLE, "The token is not base64url.")
    return data


def _object(data: bytes) -> dict[str, object]:
    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise ValueError("a name occurs twice")
        return made

    def no_number(text: str) -> object:
        raise ValueError(text)

    try:
        found: object = json.loads(data, object_pairs_hook=once, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise TokenError(UNREADABLE, "A part of the token is no JSON.") from error
    if not isinstance(found, dict):
        raise TokenError(UNREADABLE, "A part of the token is no JSON object.")
    try:
        # Rules read it: one claim that CEL cannot hold would take all results with it.
        return cast("dict[str, object]", checked(found, DEEPEST))
    except FunctionError as error:
        raise TokenError(UNREADABLE, "A part of the token is nested too deep.") from error
