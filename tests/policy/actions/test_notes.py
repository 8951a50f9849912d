"""log and set-vars: what is accepted, what is refused with which code, and what they do."""

import pytest
from tests.kit.policies import action
from tests.kit.policy import begin, codes, policy

from portway.policy.verdict import CONTINUE, Respond

GOOD = [
    ("log", "metadata: {a: {b: ['${req.method}', 1, null]}}", "on_http_response"),
    ("set-vars", "vars: [{a: 1}, {b: [1, {c: '${vars.a}'}]}, {a: null}]", ""),
]

BAD = [
    ("log", "{}", "on_http_request", 2234),
    ("log", "metadata: text", "on_http_request", 2228),
    ("log", "metadata: {a: '${'}", "on_http_request", 2224),
    ("set-vars", "vars: {a: 1}", "on_http_request", 2228),
    ("set-vars", "vars: [{a: 1, b: 2}]", "on_http_request", 2252),
    ("set-vars", "vars: [a]", "on_http_request", 2252),
    ("set-vars", "vars: [{a: [[[[[[[[[1]]]]]]]]]}]", "on_http_request", 2250),
    ("set-vars", "vars: [{'a b': 1}]", "on_http_request", 2204),
]


@pytest.mark.parametrize(("kind", "config", "phase"), GOOD, ids=lambda value: str(value)[:40])
def test_what_is_documented_is_accepted(kind: str, config: str, phase: str) -> None:
    assert codes(action(kind, config, phase or "on_http_request")) == []


@pytest.mark.parametrize(("kind", "config", "phase", "code"), BAD, ids=lambda value: str(value)[:40])
def test_every_mistake_has_its_code(kind: str, config: str, phase: str, code: int) -> None:
    assert codes(action(kind, config, phase))[:1] == [code]


def test_variables_keep_their_types_and_see_those_before() -> None:
    vars_ = "vars: [{a: 1}, {b: '${vars.a + 1}'}, {c: 'x${vars.b}'}, {d: [1, {e: '${vars.b}'}]}, {a: null}]"
    run = begin(policy(action("set-vars", vars_)))
    assert run.step() == CONTINUE
    assert run.vars == {"a": None, "b": 2, "c": "x2", "d": [1, {"e": 2}]}


def test_too_many_bytes_of_variables_are_an_error() -> None:
    doubled = ", ".join("{a: '${vars.a + vars.a}'}" for _ in range(40))
    verdict = begin(policy(action("set-vars", f"vars: [{{a: 'xxxxxxxx'}}, {doubled}]"))).step()
    assert isinstance(verdict, Respond)
    assert verdict.code in (2249, 2238)


def test_what_fails_in_a_log_is_empty() -> None:
    run = begin(policy(action("log", "metadata: {a: \"${req.headers['x'][0]}\", b: '${1 + 1}'}")))
    assert run.step() == CONTINUE
    assert run.logs == [{"metadata": {"a": "", "b": 2}}]
    assert run.facts.results["log"] == {"metadata": {"a": "", "b": 2}}
