"""How large an expression could become."""

import pytest

from portway.policy.growth import TooLarge, growth_of
from portway.policy.syntax import parse_expression


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("'a' + 'b'", 0),
        ("a + b + 'c'", 2),
        ("a.contains(b + b)", 0),
        ("size(a + a) + 1", 0),
        ("a == b || c", 0),
        ("a ? b + b : c", 2),
        ("[a, b].map(x, x + x)", 4),
        ("['a'].map(x, x + x).map(y, y + y)", 4),
        ("a.filter(x, x != b)", 1),
        ("a.replace(b, c)", 3),
        ("{'a': a, 'b': [b, b]}", 3),
        ("a.map(x, x)", 1),
        ("a.map(x)", 0),
    ],
)
def test_estimates(source: str, wanted: int) -> None:
    assert growth_of(parse_expression(source, 20), 1000) == wanted


def test_more_than_the_limit_is_refused_with_its_place() -> None:
    with pytest.raises(TooLarge) as caught:
        growth_of(parse_expression("'' + (a + a + a)", 20), 2)
    assert caught.value.offset == 6
