"""The id_token of OpenID Connect: is it from whom it says, for us, for this login, and still good?

OpenID Connect Core 1.0 §3.1.3.7. Only signatures by public keys are taken: with a shared secret (``HS256``)
somebody who knows a public key could sign with it as if it were one, and ``none`` is no signature. Tokens and
keys are read as strictly as those of ``jwt-validation`` (``policy/jwt.py``).
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from hashlib import new as new_hash
from typing import Any, Final, cast

from portway.policy.jwt import TokenError, keys_of, read_token
from portway.policy.jwt import verify as verify_signature
from portway.policy.providers import same_issuer

ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
)  # fmt: skip
LEEWAY: Final = 60.0
"""Seconds that the clocks of a provider and ours may differ."""

_LATEST: Final = 1e15
"""Seconds since 1970 that are still a time."""

Claims = Mapping[str, Any]


class BadToken(Exception):
    """A token is not to be believed; the text says why, for the log."""


class UnknownKey(BadToken):
    """The token names a key that is not in the set: perhaps the set is old."""


def verify(
    token: str,
    keys: Mapping[str, object],
    *,
    issuer: str,
    client_id: str,
    nonce: str,
    needs_nonce: bool = True,
    access_token: str = "",
    now: float,
) -> Claims:
    """Return the claims of a token. ``keys`` is a JWK set as JSON has it.

    Raises BadToken; UnknownKey when only the key is not known.
    """
    claims, algorithm = _signed(token, keys)

    if not same_issuer(issuer, str(claims.get("iss")), claims):
        raise BadToken(f"issued by {claims.get('iss')!r}, not by {issuer!r}")
    _check_audience(claims, client_id)
    _check_times(claims, now)
    said = claims.get("nonce")
    if (needs_nonce or said is not None) and not hmac.compare_digest(str(said).encode(), nonce.encode()):
        raise BadToken("made for another login: its nonce differs")
    if access_token and isinstance(hashed := claims.get("at_hash"), str):
        _check_hash(hashed, access_token, algorithm)
    return claims


def _signed(text: str, keys: Mapping[str, object]) -> tuple[Claims, str]:
    """Return claims and algorithm of a token that a key of the set has signed (``policy/jwt.py``)."""
    try:
        token = read_token(text)
        if token.algorithm not in ALGORITHMS:
            raise BadToken(f"signed by {token.algorithm!r}, which is not taken")
        fitting = [key for key in keys_of(keys) if key.fits(token.algorithm)]
        if token.kid:
            fitting = [key for key in fitting if key.kid == token.kid]
            if not fitting:
                raise UnknownKey(f"its key {token.kid[:80]!r} is not in the set")
        verify_signature(token, fitting, ALGORITHMS)
    except (TokenError, ValueError) as error:
        raise BadToken(str(error)) from error
    return token.payload, token.algorithm


def _check_audience(claims: Claims, client_id: str) -> None:
    audience = claims.get("aud")
    listed = cast("list[object]", audience) if isinstance(audience, list) else [audience]
    if client_id not in listed:
        raise BadToken("meant for another application")
    party = claims.get("azp")
    if party is None and len(listed) > 1:
        raise BadToken("meant for several applications, and does not say for which it was issued")
    if party is not None and party != client_id:
        raise BadToken("issued to another application")


def _check_times(claims: Claims, at: float) -> None:
    end, begin = claims.get("exp"), claims.get("nbf", 0)
    times = [each for each in (end, begin) if isinstance(each, int | float) and not isinstance(each, bool)]
    numbers = [each for each in times if abs(each) < _LATEST]
    if len(numbers) != 2:
        raise BadToken("without a time at which it ends")
    if at > numbers[0] + LEEWAY:
        raise BadToken("it has expired")
    if at < numbers[1] - LEEWAY:
        raise BadToken("it is not good yet")


def _check_hash(hashed: str, access_token: str, algorithm: str) -> None:
    """Compare the hash of the access token (OpenID Connect Core 1.0 §3.1.3.6)."""
    bits = {"256": "sha256", "384": "sha384", "512": "sha512"}.get(algorithm[-3:])
    if bits is None:
        return  # of Ed25519 the standard does not say which
    digest = new_hash(bits, access_token.encode()).digest()
    wanted = urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
    if not hmac.compare_digest(hashed.rstrip("=").encode(), wanted.encode()):
        raise BadToken("its access token is another one")


def keys_in(document: object) -> Mapping[str, Sequence[object]]:
    """Return a JWK set if a document is one. Raises BadToken."""
    table: Mapping[str, object] = cast("Mapping[str, object]", document) if isinstance(document, dict) else {}
    listed = table.get("keys")
    if not isinstance(listed, list):
        raise BadToken("no set of keys")
    return {"keys": cast("list[object]", listed)}
