"""Tests of jwt-validation: where tokens are, what is asked for, and what is answered."""

import json
from typing import Any

import pytest
from tests.kit.policy import NOW, begin, codes, facts, policy
from tests.kit.tokens import jwk, jwks, token

from portway.policy.engine import Run
from portway.policy.facts import Facts
from portway.policy.jwt import read_keys
from portway.policy.verdict import CONTINUE, Failed, Fetch, Respond, Verdict

GOOD = {"iss": "https://issuer.example/", "aud": "app", "exp": NOW + 60, "sub": "ada"}
KEYS = read_keys(jwks(jwk("P-256", "k1")))


def document(tokens: str = '[{type: jwt, method: header, name: Authorization, prefix: "Bearer "}]') -> str:
    return f"""
on_http_request:
  - actions:
      - type: jwt-validation
        config:
          issuer: {{allow_list: [{{value: "https://issuer.example/"}}]}}
          audience: {{allow_list: [{{value: app}}, {{value: "${{'other'}}"}}]}}
          http: {{tokens: {tokens}}}
          jws:
            allowed_algorithms: [ES256, RS256]
            keys:
              identification: {{token_claims: [kid]}}
              sources: {{additional_jkus: ["https://issuer.example/keys"]}}
"""


def sent(*fields: tuple[str, str], method: str = "GET") -> Facts:
    return facts(fields=[(name.encode(), value.encode()) for name, value in fields], method=method)


def bearer(text: str) -> Facts:
    return sent(("authorization", f"Bearer {text}"))


def judged(known: Facts, text: str = "", body: bytes = b"", keys: object = KEYS) -> tuple[Verdict, Run]:
    """Run the policy, with what it asks for."""
    run = begin(policy(text or document()), known=known)
    verdict = run.step()
    if isinstance(verdict, Fetch) and verdict.what == "body":
        verdict = run.resume(body)
    if isinstance(verdict, Fetch):
        assert verdict.arguments["urls"] == ("https://issuer.example/keys",)
        verdict = run.resume(keys)
    return verdict, run


def result(run: Run) -> Any:
    return run.facts.results["jwt_validation"]


def test_a_good_token_lets_in() -> None:
    verdict, run = judged(bearer(token(GOOD)))
    assert verdict is CONTINUE
    (found,) = result(run)["tokens"]
    assert found["payload"]["sub"] == "ada"
    assert found["header"]["kid"] == "k1"
    assert (found["location"], found["location_property"], found["verified"]) == (
        "header",
        "Authorization",
        True,
    )
    assert result(run)["error"] == {"code": "", "message": ""}


def test_the_prefix_is_stripped_however_it_is_written() -> None:
    assert judged(sent(("authorization", f"bearer {token(GOOD)}")))[0] is CONTINUE
    verdict, run = judged(sent(("authorization", token(GOOD))))
    assert isinstance(verdict, Respond)
    assert result(run)["error"]["code"] == "ERR_NGROK_3413"


@pytest.mark.parametrize(
    ("known", "code"),
    [
        (sent(), 3408),
        (sent(("authorization", "Bearer x")), 3416),
        (sent(("authorization", f"Bearer {token(GOOD)}"), ("authorization", "Bearer y")), 3416),
        (bearer(token(GOOD, "HS256")), 3401),
        (bearer(token({**GOOD, "iss": "https://issuer.example"})), 3401),
        (bearer(token({**GOOD, "aud": "else"})), 3401),
        (bearer(token({**GOOD, "exp": NOW - 60})), 3401),
        (bearer(token(GOOD, "RS256")), 3401),
        (bearer(token(GOOD) + "a" * 20_000), 3416),
    ],
)
def test_anything_else_is_answered_401(known: Facts, code: int) -> None:
    verdict, run = judged(known)
    assert isinstance(verdict, Respond)
    assert (verdict.status, verdict.code, verdict.final) == (401, code, True)
    assert dict(verdict.headers)[b"www-authenticate"].startswith(b"Bearer")
    assert result(run)["error"]["code"] == f"ERR_NGROK_{code}"
    assert all(not each["verified"] for each in result(run)["tokens"])


def test_without_keys_nobody_enters() -> None:
    verdict, run = judged(bearer(token(GOOD)), keys=Failed(3422, "gone"))
    assert isinstance(verdict, Respond)
    assert (verdict.status, verdict.code) == (401, 3422)
    assert result(run)["tokens"][0]["verified"] is False
    assert judged(bearer(token(GOOD)), keys=[])[0] is not CONTINUE


BODY = document("[{type: jwt, method: body, name: Token}]")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", json.dumps({"token": token(GOOD), "deep": {"token": 5}}).encode()),
        ("application/ld+json; charset=utf-8", json.dumps({"TOKEN": token(GOOD)}).encode()),
        ("application/x-www-form-urlencoded", b"a=b&token=" + token(GOOD).encode()),
    ],
)
def test_a_token_in_the_body(kind: str, body: bytes) -> None:
    verdict, run = judged(sent(("content-type", kind), method="POST"), BODY, body)
    assert verdict is CONTINUE
    assert result(run)["tokens"][0]["location"] == "body"


@pytest.mark.parametrize(
    ("method", "kind", "body", "code"),
    [
        ("GET", "application/json", b"", 3415),
        ("POST", "text/plain", b"", 3414),
        ("POST", "application/json", b"no", 3411),
        ("POST", "application/json", b"[" * 100_000, 3411),
        ("POST", "application/json", b"{}", 3406),
        ("POST", "application/json", b"[1]", 3406),
        ("POST", "application/json", b'{"token": 5}', 3416),
        ("POST", "application/json", b'{"token": "a", "Token": "b"}', 3416),
        ("POST", "application/x-www-form-urlencoded", b"&".join([b"a=b"] * 2000), 3412),
        ("POST", "application/x-www-form-urlencoded", b"\xff", 3412),
    ],
)
def test_bodies_that_hold_no_token(method: str, kind: str, body: bytes, code: int) -> None:
    verdict, _ = judged(sent(("content-type", kind), method=method), BODY, body)
    assert isinstance(verdict, Respond)
    assert (verdict.status, verdict.code) == (401, code)


def test_a_body_that_cannot_be_had_is_said() -> None:
    run = begin(policy(BODY), known=sent(("content-type", "application/json"), method="POST"))
    run.step()
    verdict = run.resume(Failed(3903, "too long", 413))
    assert isinstance(verdict, Respond)
    assert verdict.status == 413


def test_all_tokens_must_be_there() -> None:
    both = document("[{type: jwt, method: header, name: X-One}, {type: at+jwt, method: header, name: X-Two}]")
    one, two = token(GOOD), token(GOOD, header={"typ": "at+jwt"})
    verdict, run = judged(sent(("x-one", one), ("x-two", two)), both)
    assert verdict is CONTINUE
    assert [each["verified"] for each in result(run)["tokens"]] == [True, True]
    assert judged(sent(("x-one", one)), both)[0] is not CONTINUE
    verdict, run = judged(sent(("x-one", one), ("x-two", one)), both)
    assert verdict is not CONTINUE
    assert [each["verified"] for each in result(run)["tokens"]] == [True, False]


def test_a_rule_can_ask_for_claims() -> None:
    text = (
        document()
        + """
  - expressions: ["actions.ngrok.jwt_validation.tokens[0].payload.sub != 'ada'"]
    actions: [{type: deny}]
"""
    )
    assert judged(bearer(token(GOOD)), text)[0] is CONTINUE
    verdict = judged(bearer(token({**GOOD, "sub": "eve"})), text)[0]
    assert isinstance(verdict, Respond)
    assert verdict.status == 403


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("[ES256, RS256]", "[none]", 2222),
        ("[ES256, RS256]", "[]", 2223),
        ("[ES256, RS256]", "[ES256, ES256]", 2231),
        ('issuer: {allow_list: [{value: "https://issuer.example/"}]}', "issuer: {allow_list: []}", 2223),
        ("type: jwt,", "type: saml,", 2222),
        ("method: header", "method: query", 2222),
        ('["https://issuer.example/keys"]', '["file:///etc/passwd"]', 2226),
        ('["https://issuer.example/keys"]', '["https://u:p@issuer.example/keys"]', 2226),
        ("token_claims: [kid]", "token_claims: [sub]", 2222),
        ("jws:", "jwx:", 2234),
        ("keys:\n", "keyz:\n", 2234),
    ],
)
def test_mistakes_are_found(old: str, new: str, code: int) -> None:
    text = document()
    assert old in text
    assert codes(text) == []
    assert code in codes(text.replace(old, new))


def test_keys_may_be_lists() -> None:
    listed = document().replace(
        'sources: {additional_jkus: ["https://issuer.example/keys"]}',
        'sources: [{additional_jkus: ["https://issuer.example/keys"]}]',
    )
    assert codes(listed) == []
    assert judged(bearer(token(GOOD)), listed)[0] is CONTINUE
