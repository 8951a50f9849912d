"""Tests of verify-webhook: what is asked for, what is answered, what is refused."""

import hmac
import json
from base64 import b64encode
from typing import Any

import pytest
from tests.kit.policy import NOW, begin, codes, facts, policy
from tests.policy.test_webhook_schemes import NOW as SNS_NOW
from tests.policy.test_webhook_schemes import URL, message, signer

from portway.policy.engine import Run
from portway.policy.facts import Facts
from portway.policy.verdict import CONTINUE, Failed, Fetch, Respond, Verdict
from portway.policy.webhook_providers import UNKNOWN

BODY = b'{"a": 1}'


def document(provider: str = "github", more: str = "secret: 's3cret'") -> str:
    return f"""
on_http_request:
  - actions:
      - type: verify-webhook
        config: {{provider: {provider}, {more}}}
"""


def signed(body: bytes = BODY, secret: bytes = b"s3cret") -> Facts:
    value = b"sha256=" + hmac.digest(secret, body, "sha256").hex().encode()
    return facts(method="POST", fields=[(b"x-hub-signature-256", value)])


def judged(known: Facts, text: str = "", body: object = BODY) -> tuple[Verdict, Run]:
    run = begin(policy(text or document()), known=known)
    verdict = run.step()
    assert isinstance(verdict, Fetch)
    assert (verdict.what, verdict.arguments["whole"]) == ("body", True)
    return run.resume(body), run


def result(run: Run) -> Any:
    return run.facts.results["verify_webhook"]


def test_what_is_signed_goes_on() -> None:
    verdict, run = judged(signed())
    assert verdict is CONTINUE
    assert result(run) == {"verified": True, "error": {"code": "", "message": ""}}
    assert run.decisions["webhook_verification.decision"] == "allow"


def test_what_is_not_is_answered_403() -> None:
    verdict, run = judged(signed(), body=BODY + b" ")
    assert isinstance(verdict, Respond)
    assert (verdict.status, verdict.code, verdict.final) == (403, 3204, True)
    assert result(run)["verified"] is False
    assert result(run)["error"]["code"] == "ERR_NGROK_3204"
    assert run.decisions["webhook_verification.decision"] == "block"
    assert "s3cret" not in repr(run.diagnostics) + verdict.message


def test_what_covers_the_url_covers_the_one_that_was_asked_for() -> None:
    """A rule in front may rewrite it for the upstream; its sender knows nothing of that."""
    rewrite = "  - actions: [{type: url-rewrite, config: {from: /old, to: /new}}]\n"
    text = document("square").replace("on_http_request:\n", f"on_http_request:\n{rewrite}")
    known = facts(method="POST", target="/old/hook")
    assert known.request
    signature = b64encode(hmac.digest(b"s3cret", known.request.url.encode() + BODY, "sha256"))
    known.request.fields.append((b"x-square-hmacsha256-signature", signature))
    verdict, run = judged(known, text)
    assert verdict is CONTINUE
    assert run.request.target == "/new/hook"


def test_not_enforced_it_only_tells() -> None:
    verdict, run = judged(signed(secret=b"other"), document(more="secret: x, enforce: false"))
    assert verdict is CONTINUE
    assert result(run)["verified"] is False
    verdict, run = judged(signed(), document(more="secret: x, enforce: false"), Failed(3903, "long", 413))
    assert verdict is CONTINUE
    assert result(run)["verified"] is False


def test_a_body_that_is_too_long_is_not_verified() -> None:
    verdict, _ = judged(signed(), body=Failed(3903, "long", 413))
    assert isinstance(verdict, Respond)
    assert (verdict.status, verdict.code) == (403, 3204)
    verdict, _ = judged(signed(), body=Failed(3903, "busy", 503))
    assert isinstance(verdict, Respond)
    assert verdict.status == 503


def test_the_secret_may_be_computed_and_may_not_be_empty() -> None:
    assert judged(signed(), document(more="secret: \"${'s3' + 'cret'}\""))[0] is CONTINUE
    verdict, _ = judged(signed(secret=b""), document(more="secret: \"${''}\""))
    assert isinstance(verdict, Respond)
    assert verdict.status == 403


def test_challenges_are_answered() -> None:
    verdict, run = judged(facts("/?crc_token=abc"), document("twitter"), b"")
    assert isinstance(verdict, Respond)
    assert (verdict.status, json.loads(verdict.body)["response_token"][:7]) == (200, "sha256=")
    assert result(run)["verified"] is True
    verdict, _ = judged(facts(method="POST"), document("xero"), b"{}")
    assert isinstance(verdict, Respond)
    assert verdict.status == 401


def test_amazons_certificate_is_asked_for() -> None:
    def ask(found: dict[str, Any], certificate: object, more: str = "enforce: true") -> Verdict:
        known = facts(method="POST")
        run = begin(policy(document("sns", more)), known=known, now=SNS_NOW)
        run.step()
        verdict = run.resume(json.dumps(found).encode())
        if isinstance(verdict, Fetch):
            assert (verdict.what, verdict.arguments) == ("sns certificate", {"url": URL})
            return run.resume(certificate)
        return verdict

    assert ask(message(), signer()[1]) is CONTINUE
    assert ask(message(), signer()[1], "secret: '123456789012'") is CONTINUE
    for found, certificate, more in [
        (message(), Failed(3204, "gone"), "enforce: true"),
        ({**message(), "Message": "x"}, signer()[1], "enforce: true"),
        (message(), signer()[1], "secret: '1'"),
        ({**message(), "SigningCertURL": "https://evil.example/a.pem"}, b"", "enforce: true"),
    ]:
        verdict = ask(found, certificate, more)
        assert isinstance(verdict, Respond)
        assert (verdict.status, verdict.code) == (403, 3204)


@pytest.mark.parametrize("provider", UNKNOWN)
def test_senders_that_say_nowhere_how_they_sign_are_refused(provider: str) -> None:
    assert codes(document(provider)) == [2222]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (document("nobody"), [2222]),
        (document("vmware_workspace"), [2222]),
        (document("sonatype_nexus"), []),
        (document("signalsciences"), []),
        (document("sns", "enforce: true"), []),
        (document("github", "enforce: true"), [2234]),
        (document("github", "secret: ''"), [2223]),
        (document("sendgrid", "secret: abc"), [2087]),
        (document("github", "secret: a, timeout: 5"), [2203]),
    ],
)
def test_mistakes_are_found(text: str, found: list[int]) -> None:
    assert codes(text) == found


def test_a_replay_is_refused() -> None:
    def at(when: float) -> Facts:
        value = hmac.digest(b"s3cret", b"%d." % when + BODY, "sha256").hex()
        return facts(method="POST", fields=[(b"stripe-signature", f"t={when:.0f},v1={value}".encode())])

    assert judged(at(NOW - 299), document("stripe"))[0] is CONTINUE
    assert isinstance(judged(at(NOW - 301), document("stripe"))[0], Respond)
