"""Regular expressions of RE2."""

import pytest

from portway.policy.regex import LONGEST, RegexError, compile_regex


def test_a_pattern_finds() -> None:
    found = compile_regex("(?i)a(b+)").search("xABBx")
    assert found.group(1) == "BB"


@pytest.mark.row("P-35")
@pytest.mark.parametrize(
    "pattern", ["(", "(?=a)", "\\1", "((a{1000}){1000}){1000}", "a" * (LONGEST + 1), "\ud800", "a**+"]
)
def test_what_is_none(pattern: str) -> None:
    with pytest.raises(RegexError):
        compile_regex(pattern)


def test_a_hostile_pattern_is_linear() -> None:
    assert compile_regex("(x+x+)+y").search("x" * 100_000) is None
