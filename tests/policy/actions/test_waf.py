"""Tests of owasp-crs-request and -response: what is asked for, what is answered, what is refused."""

from typing import Any

import pytest
from tests.kit.policy import EXAMPLE_WORLD, begin, codes, facts, policy

from portway.policy.actions.waf import BODY, EXCLUDED, Inspected, Match
from portway.policy.engine import Run
from portway.policy.facts import Response
from portway.policy.phase import Phase
from portway.policy.verdict import CONTINUE, Failed, Fetch, Respond, Verdict

pytestmark = pytest.mark.row("P-57")

SQLI = Match(942100, "SQL Injection", "CRITICAL", "Matched Data: s&sos")
KINDS = pytest.mark.parametrize(("kind", "code"), [("request", 3700), ("response", 3702)])


def document(kind: str = "request", config: str = "{}") -> str:
    return f"""
on_http_{kind}:
  - actions:
      - type: owasp-crs-{kind}
        config: {config}
"""


def begun(kind: str, config: str) -> Run:
    phase = Phase.HTTP_REQUEST if kind == "request" else Phase.HTTP_RESPONSE
    known = facts(response=None if kind == "request" else Response())
    return begin(policy(document(kind, config), world=EXAMPLE_WORLD), phase, known)


def judged(found: object, kind: str = "request", config: str = "{}") -> tuple[Verdict, Any, Run]:
    run = begun(kind, config)
    asked = run.step()
    assert isinstance(asked, Fetch)
    assert (asked.what, asked.arguments["answer"]) == ("inspect", kind == "response")
    verdict = run.resume(found)
    return verdict, run.facts.results[f"owasp_crs_{kind}"], run


@KINDS
def test_a_score_below_the_threshold_goes_on(kind: str, code: int) -> None:
    verdict, result, _ = judged(Inspected(3, ()), kind)
    assert verdict is CONTINUE
    assert result == {
        "decision": "allow",
        "anomaly_score": 3,
        "anomaly_score_threshold": 5 if code == 3700 else 4,
        "matched_rules": [],
        "error": {"code": "", "message": ""},
    }


@KINDS
def test_the_threshold_itself_is_refused(kind: str, code: int) -> None:
    verdict, result, run = judged(Inspected(5 if code == 3700 else 4, (SQLI,)), kind)
    assert isinstance(verdict, Respond)
    assert (verdict.status, verdict.code) == (403, code)
    assert result["decision"] == "deny"
    assert result["matched_rules"] == [
        {
            "id": 942100,
            "message": "SQL Injection",
            "severity": "CRITICAL",
            "data": "Matched Data: s&sos",
        }
    ]
    assert result["error"]["code"] == f"ERR_NGROK_{code}"
    assert any("942100" in each.detail and each.code == code for each in run.diagnostics)


@KINDS
def test_what_is_only_tested_goes_on(kind: str, code: int) -> None:
    verdict, result, _ = judged(Inspected(15, (SQLI,)), kind, "{on_error: continue}")
    assert verdict is CONTINUE
    assert (result["decision"], result["anomaly_score"]) == ("deny", 15)
    assert result["error"]["code"] == f"ERR_NGROK_{code}"


@KINDS
def test_a_firewall_that_does_not_work_lets_nothing_pass(kind: str, code: int) -> None:
    verdict, result, _ = judged(Failed(3701, "The firewall does not work.", 500), kind)
    assert isinstance(verdict, Respond)
    assert (verdict.status, verdict.code) == (500, 3701)
    assert result["error"]["code"] == "ERR_NGROK_3701"
    verdict, result, _ = judged(Failed(2300, "Too slow.", 504), kind, "{on_error: continue}")
    assert verdict is CONTINUE
    assert (result["decision"], result["error"]["code"]) == ("allow", "ERR_NGROK_3701")


@KINDS
def test_the_beginning_of_the_body_is_inspected_if_that_is_wanted(kind: str, code: int) -> None:
    run = begun(kind, "{process_body: true, exclude_rule_ids: [942100, '920350', 942100]}")
    assert run.step() == Fetch("body", {"limit": BODY})
    asked = run.resume(b"q=1")
    assert isinstance(asked, Fetch)
    wanted = {"answer": code == 3702, "body": b"q=1", "excluded": (920350, 942100)}
    assert asked.arguments == wanted
    assert run.resume(Inspected(0, ())) is CONTINUE


def test_a_body_that_cannot_be_had_is_a_failure() -> None:
    run = begun("request", "{process_body: true}")
    run.step()
    verdict = run.resume(Failed(3903, "Too many bodies.", 503))
    assert isinstance(verdict, Respond)
    assert (verdict.status, verdict.code) == (500, 3701)


@KINDS
def test_without_rules_it_is_refused(kind: str, code: int) -> None:
    assert codes(document(kind)) == [2201]
    assert codes(document(kind), world=EXAMPLE_WORLD) == []


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ("{exclude_rule_ids: [899999]}", 2215),
        ("{exclude_rule_ids: [1000000]}", 2215),
        ("{exclude_rule_ids: [sqli]}", 2215),
        ("{exclude_rule_ids: [[1]]}", 2215),
        ("{exclude_rule_ids: 942100}", 2228),
        (f"{{exclude_rule_ids: {list(range(900_000, 900_001 + EXCLUDED))}}}", 2218),
        ("{process_body: perhaps}", 2228),
        ("{on_error: ignore}", 2222),
        ("{paranoia: 1}", 2203),
    ],
)
def test_a_wrong_configuration_is_refused(config: str, code: int) -> None:
    assert codes(document("request", config), world=EXAMPLE_WORLD) == [code]


def test_each_stands_in_its_phase_alone() -> None:
    text = document("request").replace("on_http_request", "on_http_response")
    assert codes(text, world=EXAMPLE_WORLD) == [2202]


def test_an_error_in_its_expressions_refuses_unless_it_only_tests() -> None:
    for config, guards in (("{}", True), ("{on_error: continue}", False)):
        made = policy(document("request", config), world=EXAMPLE_WORLD)
        assert made.rules(Phase.HTTP_REQUEST)[0].guards is guards
