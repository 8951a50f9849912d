"""Replacements as Go writes them, with RE2 itself."""

import pytest

from portway.policy.regex import compile_regex
from portway.policy.replacement import Replacement, expand_names


def replaced(pattern: str, to: str, text: str, most: int = 1000) -> str:
    compiled = compile_regex(pattern)
    return Replacement(to, compiled).all(compiled, text.encode(), most)[0].decode()


@pytest.mark.parametrize(
    ("pattern", "to", "text", "expected"),
    [
        ("a(x*)b", "T", "-ab-axxb-", "-T-T-"),
        ("a(x*)b", "$1", "-ab-axxb-", "--xx-"),
        ("a(x*)b", "$1W", "-ab-axxb-", "---"),
        ("a(x*)b", "${1}W", "-ab-axxb-", "-W-xxW-"),
        ("a(?P<n>x*)b", "<$n>", "-axb-", "-<x>-"),
        ("a(?P<n>x*)b", "<$n_>", "-axb-", "-<>-"),
        ("a", "$$", "a", "$"),
        ("a", "$", "a", "$"),
        ("a", "$-${", "a", "$-${"),
        ("a", "$0$0$1$99999", "a", "aa"),
        ("(a)|(b)", "[$1$2]", "abc", "[a][b]c"),
        ("é+", "e", "xéé", "xe"),
        ("^", ">", "a", ">a"),
        ("z", "y", "abc", "abc"),
    ],
)
def test_what_takes_the_place_of_a_match(pattern: str, to: str, text: str, expected: str) -> None:
    assert replaced(pattern, to, text) == expected


def test_only_the_first_match_where_that_is_asked() -> None:
    pattern = compile_regex("a(.)")
    changed, match = Replacement("<$1>", pattern).first(pattern, b"a1 a2")
    assert changed == b"<1> a2"
    assert match is not None
    assert match.group(0) == b"a1"
    assert Replacement("x", pattern).first(pattern, b"") == (b"", None)


def test_a_replacement_that_grows_without_bound_is_stopped() -> None:
    with pytest.raises(OverflowError):
        replaced("a", "b" * 100, "a" * 11)
    with pytest.raises(OverflowError):
        replaced("a", "bb", "a" + "c" * 999)
    assert len(replaced("a", "b" * 100, "a" * 10)) == 1000


def test_names_that_are_no_groups_may_mean_something() -> None:
    names = {"host": "a.example", "n": "hidden"}.get
    pattern = compile_regex("(?P<n>x)")
    assert Replacement("<$n|$host|$other|${host}1>", pattern, names).all(pattern, b"-x-", 100)[0] == (
        b"-<x|a.example||a.example1>-"
    )
    assert expand_names("$host$1$other$$host $Host", names) == "a.example$1$other$a.example $Host"
