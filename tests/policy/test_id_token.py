"""id_tokens: what is believed, and the tricks that are not."""

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwk, jwt

from portway.policy.id_token import BadToken, UnknownKey, keys_in, verify

NOW = 1_800_000_000.0
RSA = jwk.generate_key("RSA", 2048, {"kid": "rsa"})
EC = jwk.generate_key("EC", "P-256", {"kid": "ec"})
ED = jwk.generate_key("OKP", "Ed25519", {"kid": "ed"})
KEYS = {"keys": [each.as_dict(private=False) for each in (RSA, EC, ED)]}
CLAIMS: dict[str, Any] = {
    "iss": "https://idp.example", "aud": "app", "sub": "ada", "exp": NOW + 60, "iat": NOW, "nonce": "n",
}  # fmt: skip


def made(claims: dict[str, Any] | None = None, alg: str = "ES256", key: Any = EC, **header: Any) -> str:
    """Make a token."""
    given = {"alg": alg, "kid": key.kid} | header
    header = {name: value for name, value in given.items() if value}
    return jwt.encode(header, CLAIMS | (claims or {}), key, algorithms=[alg])


def judged(token: str, keys: Any = KEYS, **more: Any) -> Any:
    """Verify a token as one for us."""
    settings: dict[str, Any] = {"issuer": "https://idp.example", "client_id": "app", "nonce": "n", "now": NOW}
    return verify(token, keys, **(settings | more))


@pytest.mark.parametrize(("alg", "key"), [("ES256", EC), ("RS256", RSA), ("PS512", RSA), ("Ed25519", ED)])
def test_honest_tokens_are_believed(alg: str, key: Any) -> None:
    assert judged(made(alg=alg, key=key))["sub"] == "ada"


def test_a_token_without_the_name_of_its_key_is_tried_with_those_that_fit() -> None:
    assert judged(made(kid=None))["sub"] == "ada"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example"}, {"iss": None}, {"aud": "other"}, {"aud": []}, {"aud": None},
        {"aud": ["app", "other"]}, {"aud": ["app", "other"], "azp": "other"}, {"azp": "other"},
        {"exp": NOW - 61}, {"exp": None}, {"exp": "later"}, {"exp": True}, {"nbf": NOW + 61}, {"nonce": "m"},
        {"nonce": None},
    ],
)  # fmt: skip
def test_wrong_claims_are_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(BadToken):
        judged(made(claims))


def test_several_audiences_need_to_say_for_whom() -> None:
    assert judged(made({"aud": ["app", "other"], "azp": "app"}))


def test_who_repeats_no_nonce_need_not_and_may_not_lie() -> None:
    assert judged(made({"nonce": None}), needs_nonce=False)
    with pytest.raises(BadToken):
        judged(made({"nonce": "m"}), needs_nonce=False)


def test_no_algorithm_is_no_signature() -> None:
    def part(value: object) -> str:
        return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    for alg in ("none", "None", "nOnE", "", None, ["ES256"], 7):
        with pytest.raises(BadToken):
            judged(f"{part({'alg': alg, 'kid': 'ec'})}.{part(CLAIMS)}.")


def test_a_public_key_is_no_shared_secret() -> None:
    """The algorithm is confused: an HMAC under the public key, which everybody has."""
    pem = RSA.as_pem(private=False)
    secret = jwk.import_key(pem.replace(b"-----", b""), "oct")
    for name in ("HS256", "HS512"):
        token = jwt.encode({"alg": name, "kid": "rsa"}, CLAIMS, secret, algorithms=[name])
        with pytest.raises(BadToken, match="not taken"):
            judged(token)
    shared = {"keys": [{"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "ec"}]}
    with pytest.raises(BadToken):
        judged(made(), shared)


def test_keys_that_the_token_brings_are_not_looked_at() -> None:
    own = jwk.generate_key("EC", "P-256", {"kid": "own"})
    with pytest.raises(UnknownKey):
        judged(made(key=own, jwk=own.as_dict(private=False)))
    with pytest.raises(BadToken):
        judged(made(key=own, kid="ec", jwk=own.as_dict(private=False)))


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"}, {"alg": "ES512"}, {"kty": "RSA"}, {"crv": "P-999"}, {"x": None},
        {"key_ops": ["sign"]}, {"crv": "secp256k1"},
    ],
)  # fmt: skip
def test_keys_for_something_else_are_not_used(change: dict[str, Any]) -> None:
    with pytest.raises(BadToken):
        judged(made(), {"keys": [EC.as_dict(private=False) | change]})


def signed(head: dict[str, Any], payload: bytes, key: Any = RSA) -> str:
    """Sign a token whose parts a library would not write."""
    parts = [urlsafe_b64encode(each).rstrip(b"=") for each in (json.dumps(head).encode(), payload)]
    sealed = key.private_key.sign(b".".join(parts), PKCS1v15(), SHA256())
    return b".".join([*parts, urlsafe_b64encode(sealed).rstrip(b"=")]).decode()


def test_what_is_signed_and_can_be_read_in_two_ways_is_refused() -> None:
    plain = json.dumps(CLAIMS).encode()
    assert judged(signed({"alg": "RS256"}, plain))["sub"] == "ada"
    doubled = plain.replace(b'"iss"', b'"iss": "https://other.example", "iss"')
    endless = plain.replace(str(NOW + 60).encode(), b"1e999")
    nested = json.dumps(made()).encode()
    for head, payload in (
        ({"alg": "RS256"}, doubled),
        ({"alg": "RS256"}, endless),
        ({"alg": "RS256", "cty": "JWT"}, nested),
        ({"alg": "RS256", "crit": ["exp"], "exp": 1}, plain),
        ({"alg": "RS256", "b64": False}, plain),
        ({"alg": "RS256", "kid": "r", "jku": "https://evil.example/keys"}, plain),
        ({"alg": "ES256"}, plain),
    ):
        with pytest.raises(BadToken):
            judged(signed(head, payload))


@pytest.mark.filterwarnings("ignore:Key size should be")
def test_a_key_that_can_be_broken_signs_nothing() -> None:
    weak = jwk.generate_key("RSA", 1024, {"kid": "weak"})
    token = signed({"alg": "RS256", "kid": "weak"}, json.dumps(CLAIMS).encode(), weak)
    with pytest.raises(BadToken):
        judged(token, {"keys": [weak.as_dict(private=False)]})


def test_a_flood_of_keys_is_looked_at_in_part() -> None:
    others = [jwk.generate_key("EC", "P-256").as_dict(private=False) for _ in range(10)]
    many = {"keys": [dict(each) for _ in range(30) for each in others] + KEYS["keys"]}
    with pytest.raises(BadToken):
        judged(made(kid=None), many)
    with pytest.raises(UnknownKey):
        judged(made(), many)


def test_the_access_token_is_the_one_that_came_along() -> None:
    assert judged(
        made({"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}),
        access_token="jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y",
    )
    with pytest.raises(BadToken):
        judged(made({"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}), access_token="another")


@pytest.mark.parametrize("text", ["", "a", "a.b.c", "..", "x" * 20_000, "ü.ü.ü", "e30.e30.e30"])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(BadToken):
        judged(text)


def test_a_set_of_keys_is_one() -> None:
    assert keys_in({"keys": [1]}) == {"keys": [1]}
    odd_ones: tuple[Any, ...] = ({}, [], None, {"keys": {}})
    for odd in odd_ones:
        with pytest.raises(BadToken):
            keys_in(odd)
