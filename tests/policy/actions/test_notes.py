"""log and set-vars: what they do."""

import pytest
from tests.kit.policies import action
from tests.kit.policy import begin, policy

from portway.policy.verdict import CONTINUE, Respond


@pytest.mark.row("P-44")
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


@pytest.mark.row("P-43")
def test_what_fails_in_a_log_is_empty() -> None:
    run = begin(policy(action("log", "metadata: {a: \"${req.headers['x'][0]}\", b: '${1 + 1}'}")))
    assert run.step() == CONTINUE
    assert run.logs == [{"metadata": {"a": "", "b": 2}}]
    assert run.facts.results["log"] == {"metadata": {"a": "", "b": 2}}
