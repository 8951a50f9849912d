"""Limits of policies as an operator writes them."""

import pytest
from msgspec.structs import replace

from portway.policy.limits import DEFAULT_LIMITS, read_limits


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("", {}),
        (" , ", {}),
        ("rules=200", {"rules": 200}),
        ("document=524288, run = 0.5,", {"document": 524288, "run": 0.5}),
        ("run=0,depth=100", {"run": 0.0, "depth": 100}),
    ],
)
def test_what_is_said_takes_the_place_of_the_default(text: str, changed: dict[str, float]) -> None:
    assert read_limits(text) == replace(DEFAULT_LIMITS, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rules", "not LIMIT=N"),
        ("doors=1", "with a limit of actions"),
        ("rules=x", "whole number"),
        ("rules=-1", "whole number"),
        ("rules=1.5", "whole number"),
        ("rules=99999999999", "whole number"),
        ("depth=101", "from 0 to 100"),
        ("expression_depth=25", "from 0 to 24"),
        ("run=nan", "seconds"),
        ("run=-1", "seconds"),
        ("run=inf", "seconds"),
        ("rules=1,rules=2", "stands twice"),
    ],
)
def test_nonsense_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_limits(text)
