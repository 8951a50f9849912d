"""Policy documents: the limits of policies, and one code for whatever cannot be read."""

import pytest

from portway.policy.document import parse
from portway.policy.limits import PolicyLimits
from portway.policy.problem import PolicyError, Problem


def refused(text: str, limits: PolicyLimits | None = None) -> Problem:
    """Return the one problem of a document that cannot be read."""
    with pytest.raises(PolicyError) as caught:
        parse(text, limits or PolicyLimits())
    [problem] = caught.value.problems
    assert problem.code == 2236
    assert caught.value.code == "ERR_NGROK_2236"
    return problem


@pytest.mark.row("P-01")
@pytest.mark.parametrize(
    ("text", "said", "line", "column"),
    [
        ("a: 1\nb: [1", "expected", 2, 6),
        ("x:\n  - !inCidrRange(conn.client_ip, '10.0.0.0/8')\n", "quotes", 2, 5),
        ("", "a map whose keys", 1, 1),
        ("- 1\n", "a map whose keys", 1, 1),
        ("just text", "a map whose keys", 1, 1),
        ("\n\n[]", "a map whose keys", 3, 1),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text: str, said: str, line: int, column: int) -> None:
    """2236 with line and column."""
    problem = refused(text)
    assert said in problem.message
    assert (problem.line, problem.column) == (line, column)


def test_the_limits_are_those_of_policies() -> None:
    assert "larger than 10 bytes" in refused("ääääää", PolicyLimits(document=10)).message
    assert "more than 3 values" in refused("a: [1, 2]", PolicyLimits(nodes=3)).message
    assert "deeper than 1 levels" in refused("a: [1, 2]", PolicyLimits(depth=1)).message
    assert "larger than 262144 bytes" in refused("#" + "x" * 300_000).message
