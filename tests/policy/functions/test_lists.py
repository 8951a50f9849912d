"""Functions on lists."""

import pytest
from tests.kit.policy import value

from portway.policy.expression import EvaluationError


@pytest.mark.row("P-29")
@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("['a', 'b'].join() + ['a', 'b'].join('-') + [].join()", "aba-b"),
        ("[1, 2, 3, 4].slice(1, 3)", [2, 3]),
        ("[1, [2, [3]], 4].flatten()", [1, 2, [3], 4]),
        ("[1, [2, [3]]].flatten(2)", [1, 2, 3]),
        ("[[1]].flatten(0)", [[1]]),
        ("[3, 2, 1].sort() + [2.5, 1].sort()", [1, 2, 3, 1, 2.5]),
        ("['b', 'a'].sort()", ["a", "b"]),
        ("['bbb', 'a', 'cc'].sortBy(x, x.size())", ["a", "cc", "bbb"]),
        ("[{'n': 2}, {'n': 1}].sortBy(m, m.n).map(m, m.n)", [1, 2]),
        (
            "[1, 2, 2, 'a', 'a', [1], [1], true, {'a': 1}, {'a': 1}].distinct()",
            [1, 2, "a", [1], True, {"a": 1}],
        ),
        ("lists.range(4)", [0, 1, 2, 3]),
    ],
)
def test_what_they_return(source: str, wanted: object) -> None:
    assert value(source) == wanted


@pytest.mark.parametrize(
    "source",
    [
        "[1, 'a'].join()",
        "[1, 2].slice(1, 3)",
        "[1].slice(-1, 1)",
        "[1].flatten(-1)",
        "[1, 'a'].sort()",
        "[[1], [2]].sort()",
        "lists.range(1001)",
        "[vars.long, vars.long, vars.long].join()",
    ],
)
def test_what_they_refuse(source: str) -> None:
    with pytest.raises(EvaluationError):
        value(source, variables={"long": "x" * 500_000})
