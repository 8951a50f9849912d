"""Issuers of JSON Web Tokens in tests: keys, key sets, tokens good and bad."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from functools import cache
from typing import Any

from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

KINDS = {
    "RS256": "RSA",
    "PS384": "RSA",
    "ES256": "P-256",
    "ES384": "P-384",
    "ES512": "P-521",
    "ES256K": "secp256k1",
    "EdDSA": "Ed25519",
    "Ed25519": "Ed25519",
    "HS256": "oct",
}


@cache
def key_of(kind: str, number: int) -> Any:
    """Make a key; the same for the same kind and number."""
    if kind == "RSA":
        return RSAKey.generate_key(2048)
    if kind == "oct":
        return OctKey.generate_key(256)
    if kind in ("Ed25519", "Ed448"):
        return OKPKey.generate_key(kind)  # type: ignore[arg-type]
    return ECKey.generate_key(kind)  # type: ignore[arg-type]


def jwk(kind: str, kid: str = "", number: int = 0, **more: str) -> dict[str, Any]:
    """Return a key as it stands in a key set."""
    key = key_of(kind, number)
    found: dict[str, Any] = dict(key.as_dict(private=kind == "oct"))
    found.pop("kid", None)
    return {**found, **({"kid": kid} if kid else {}), **more}


def jwks(*keys: Mapping[str, Any]) -> bytes:
    """Write a key set."""
    return json.dumps({"keys": keys}).encode()


def packed(part: object) -> str:
    """Write a part of a token."""
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return urlsafe_b64encode(data).decode().rstrip("=")


def token(
    payload: object,
    alg: str = "ES256",
    key: Any = None,
    *,
    kid: str = "k1",
    header: Mapping[str, Any] | None = None,
) -> str:
    """Sign a token."""
    head = {"alg": alg, **({"kid": kid} if kid else {}), **(header or {})}
    signed = f"{packed(head)}.{packed(payload)}"
    model: Any = JWSRegistry.algorithms[alg]
    return f"{signed}.{packed(model.sign(signed.encode(), key or key_of(KINDS[alg], 0)))}"
