"""Tests of JSON Web Tokens as a guard reads them."""

import hmac
import json
from typing import Any

import pytest
from tests.kit.tokens import KINDS, jwk, jwks, key_of, packed, token

from portway.policy.jwt import ALGORITHMS, TokenError, check_claims, check_type, read_keys, read_token, verify

NOW = 1_700_000_000.0


def refused(text: str, keys: bytes = b"", allowed: tuple[str, ...] = ("ES256",)) -> TokenError:
    with pytest.raises(TokenError) as failed:
        verify(read_token(text), read_keys(keys or jwks(jwk("P-256", "k1"))), allowed)
    return failed.value


@pytest.mark.parametrize("alg", KINDS)
def test_every_algorithm_verifies(alg: str) -> None:
    keys = read_keys(jwks(jwk(KINDS[alg], "k1")))
    verify(read_token(token({"a": 1}, alg)), keys, [alg])
    with pytest.raises(TokenError):
        verify(read_token(token({"a": 1}, alg)), keys, [each for each in ALGORITHMS if each != alg])


@pytest.mark.parametrize(("alg", "said"), [("EdDSA", "Ed25519"), ("Ed25519", "EdDSA")])
def test_keys_of_ed25519_go_by_either_name(alg: str, said: str) -> None:
    key = jwk(KINDS[alg], "k1")
    verify(read_token(token({}, alg)), read_keys(jwks(key | {"alg": said})), [alg])
    assert refused(token({}, alg), jwks(key | {"alg": "ES256"}), (alg,)).code == 3401


def test_claims_are_what_expressions_can_hold() -> None:
    """One that they cannot hold would take every result of the request with it."""
    read = read_token(token({"id": 2**64, "name": "\ud800x", "sub": "ada"})).payload
    assert read == {"id": 2.0**64, "name": "\ufffdx", "sub": "ada"}
    with pytest.raises(TokenError):
        read_token(token({"a": json.loads("[" * 200 + "]" * 200)}))


def test_a_signature_over_something_else_is_refused() -> None:
    head, _, signature = token({"sub": "me"}).split(".")
    assert refused(f"{head}.{packed({'sub': 'you'})}.{signature}").code == 3401


@pytest.mark.row("P-50")
def test_a_public_key_is_no_secret() -> None:
    """Alg confusion: a token signed by HMAC whose secret is the public RSA key."""
    public = key_of("RSA", 0).as_pem(private=False)
    signed = f"{packed({'alg': 'HS256', 'kid': 'k1'})}.{packed({'sub': 'me'})}"
    forged = f"{signed}.{packed(hmac.digest(public, signed.encode(), 'sha256'))}"
    assert refused(forged, jwks(jwk("RSA", "k1")), ("RS256", "HS256")).code == 3401


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "HS256", "A128KW", "", None, ["ES256"], {}])
def test_an_algorithm_that_is_not_allowed_is_refused(alg: Any) -> None:
    text = f"{packed({'alg': alg, 'kid': 'k1'})}.{packed({})}.{packed(b'x')}"
    assert refused(text).code in (3401, 3416)


def test_a_key_that_the_token_brings_along_is_not_looked_at() -> None:
    own = key_of("P-256", 7)
    bad = {
        "jwk": jwk("P-256", "k1", 7),
        "jku": "https://evil.example/",
        "x5u": "https://evil.example/",
        "x5c": ["x"],
    }
    assert refused(token({}, key=own, header=bad)).code == 3401
    good = token({}, header=bad)
    verify(read_token(good), read_keys(jwks(jwk("P-256", "k1"))), ["ES256"])


def test_keys_are_chosen_by_name_then_by_type() -> None:
    keys = read_keys(jwks(jwk("P-256", "other", 3), jwk("RSA", "k1"), jwk("P-256", "k1")))
    verify(read_token(token({})), keys, ["ES256"])
    verify(read_token(token({}, kid="")), keys, ["ES256"])
    named_otherwise = read_keys(jwks(jwk("P-256", "k2")))
    with pytest.raises(TokenError):
        verify(read_token(token({})), named_otherwise, ["ES256"])
    without_names = read_keys(jwks(jwk("P-256")))
    verify(read_token(token({})), without_names, ["ES256"])


def test_keys_for_something_else_are_left_out() -> None:
    assert read_keys(jwks(jwk("P-256", "k1", use="enc"))) == []
    assert read_keys(jwks(jwk("P-256", "k1", use="sig"))) != []
    wrong = read_keys(jwks(jwk("P-256", "k1", alg="ES384")))
    assert not wrong[0].fits("ES256")


def test_a_flood_of_keys_is_bounded() -> None:
    keys = read_keys(jwks(*[jwk("P-256", f"k{n}") for n in range(150)]))
    assert len(keys) == 100
    many = read_keys(jwks(*[jwk("P-256", "", number=9)] * 50, jwk("P-256")))
    with pytest.raises(TokenError):
        verify(read_token(token({})), many, ["ES256"])  # the good one is the 51st


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"keys": {}}', b"[" * 100_000, b"\xff", b'{"keys": 1}']
)
def test_what_is_no_key_set_is_said(data: bytes) -> None:
    with pytest.raises(ValueError):
        read_keys(data)


@pytest.mark.parametrize(
    "key",
    [
        1,
        None,
        {},
        {"kty": "RSA"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": 5},
        {"kty": "EC", "crv": "P-256"},
        {"kty": "RSA", "n": "A" * 3000, "e": "AQAB"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "nothing"},
    ],
)
def test_keys_that_are_none_are_left_out(key: Any) -> None:
    assert read_keys(json.dumps({"keys": [key, jwk("P-256", "k1")]}).encode())[-1].kid == "k1"
    assert len(read_keys(json.dumps({"keys": [key]}).encode())) == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a.b",
        "a.b.c.d.e",
        "..",
        "a..c",
        f"{packed({})}.{packed({})}.x",
        "é.é.é",
        f"{packed([])}.{packed({})}.aa",
        f"{packed({'alg': 'ES256', 'crit': ['exp']})}.{packed({})}.aa",
        f"{packed({'alg': 'ES256', 'b64': False})}.{packed({})}.aa",
        packed(b'{"alg":"ES256","alg":"none"}') + ".e30.aa",
        f"{packed({'alg': 'ES256'})}.{packed(b'no')}.aa",
        packed({"alg": "ES256"}) + "." + packed(b'{"exp": NaN}') + ".aa",
        f"{packed(b'[' * 9000)}.aa.aa",
        f"{packed({'alg': 'ES256'})}=.{packed({})}.aa",
        "x" * 20_000,
        f"{packed({'alg': 'ES256'})}.{packed({})}.a+/a",
    ],
)
def test_what_is_no_token_is_said(text: str) -> None:
    with pytest.raises(TokenError) as failed:
        read_token(text)
    assert failed.value.code == 3416


def claims(payload: dict[str, object], audiences: tuple[str, ...] = ()) -> None:
    check_claims({"iss": "me", **payload}, ["me"], audiences, NOW)


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"exp": NOW + 1},
        {"exp": NOW - 29},
        {"nbf": NOW + 29},
        {"nbf": NOW - 1, "exp": NOW + 1},
        {"aud": ["a", "x"]},
        {"aud": "x"},
    ],
)
def test_claims_that_hold(payload: dict[str, object]) -> None:
    claims(payload, ("x", "y") if "aud" in payload else ())


@pytest.mark.parametrize(
    "payload",
    [
        {"exp": NOW - 31},
        {"nbf": NOW + 31},
        {"exp": "tomorrow"},
        {"exp": True},
        {"exp": None},
        {"nbf": [1]},
        {"iss": "me/"},
        {"iss": ["me"]},
        {"iss": None},
    ],
)
def test_claims_that_do_not(payload: dict[str, object]) -> None:
    with pytest.raises(TokenError):
        claims(payload)


@pytest.mark.parametrize("aud", [None, "xx", [], ["a"], {"x": 1}, [["x"]]])
def test_the_audience_must_be_among_those(aud: object) -> None:
    with pytest.raises(TokenError):
        claims({"aud": aud}, ("x",))


@pytest.mark.parametrize(
    ("typ", "kind", "good"),
    [
        ("at+jwt", "at+jwt", True),
        ("application/AT+JWT", "at+jwt", True),
        ("JWT", "at+jwt", False),
        ("", "at+jwt", False),
        ("JWT", "jwt", True),
        ("", "jwt", True),
        ("at+jwt", "jwt", False),
        ("x", "plain", True),
        ("x", "id_token", True),
        ("it+jwt", "it+jwt", True),
    ],
)
def test_the_type_must_be_the_one_that_is_expected(typ: str, kind: str, good: bool) -> None:
    made = read_token(token({}, header={"typ": typ} if typ else {}))
    if good:
        check_type(made, kind)
    else:
        with pytest.raises(TokenError):
            check_type(made, kind)


def test_a_token_is_not_shown() -> None:
    assert "ey" not in repr(read_token(token({"sub": "me"})))
