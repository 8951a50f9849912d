"""What the evaluator says, in words for those who wrote the expression."""

from random import Random

import pytest
from tests.kit.policy import NOW, facts, policy

from portway.policy.facts import Response
from portway.policy.problem import PolicyError
from portway.policy.said import failed, is_unfit, refused
from portway.policy.trial import attempt


def rule(expression: str) -> str:
    """Return a policy of one rule that has this expression."""
    return f"on_http_request:\n  - expressions:\n    - >-\n     {expression}\n    actions: [{{type: deny}}]\n"


@pytest.mark.row("P-01")
@pytest.mark.parametrize(
    ("expression", "told"),
    [
        (
            "req.headers.host == 'a.example'",
            "'==' does not take list(string) and string; of a list take one value with [0]",
        ),
        ("req.url.port == '443'", "a number is written without quotes"),
        ("conn.client_ip in '10.0.0.0/8'", "inCidrRange(…) into networks"),
        ("1 + 1.0 == 2.0", "convert one of them with int(…) or double(…)"),
        ("'a' + 1 == 'a1'", "string(…) makes a text of a number"),
        ("req.method && true", "'&&' does not take string and bool; it wants true or false"),
        ("'a'.matches(1)", "'matches' does not take string and int"),
        ("time.now == timestamp(time.now)", "'==' does not take string and timestamp"),
        ("req.cookies == []", "'==' does not take map(string, list(dyn)) and list(dyn)"),
    ],
)
def test_what_does_not_fit_is_told_with_a_way_out(expression: str, told: str) -> None:
    with pytest.raises(PolicyError) as caught:
        policy(rule(expression))
    assert told in caught.value.problems[0].message


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("req.headers['x'][0] == 'a'", "there is no [0] in an empty list"),
        ("[1, 2][5] == 1", "there is no [5] in a list of 2"),
        ("vars.x == 1", 'there is no key "x"'),
        ("dyn('a') + dyn(1) == dyn('b')", "'+' does not take string and int"),
        (
            "dyn([1]).startsWith('x')",
            "'startsWith' does not take list and string; of a list take one value with [0]",
        ),
        ("dyn(1) && true", "'&&' does not take this; it wants true or false"),
        ("req.url.port == 1", "req.url.port is absent"),
        ("1 / 0 == 1", "divide by zero"),
    ],
)
def test_what_fails_is_told_plainly(expression: str, told: str) -> None:
    trial = attempt(policy(rule(expression)), facts, lambda: Response(200), now=NOW, random=Random(1))
    assert told in trial.phases[0].problems[0].detail


def test_what_does_not_fit_is_told_apart() -> None:
    assert is_unfit(failed("K: No matching overloads found : _?_:_(int64, string)"))
    assert not is_unfit(failed('K: Key not found in map : "x\' does not take "'))


def test_what_is_not_known_stays_as_it_is() -> None:
    assert failed("SOME_KIND: words of a later runtime") == "words of a later runtime"
    assert refused("words of a later checker") == "words of a later checker"
