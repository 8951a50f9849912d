"""Tests of the names of vaults and secrets."""

import pytest

from portway.model.vault import is_name


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("a", True),
        ("Team_1/prod.key-2", True),
        ("", False),
        ("a b", False),
        ("\u00e9", False),
        ("a\n", False),
        ("$", False),
    ],
)
def test_names_have_few_characters(text: str, good: bool) -> None:
    assert is_name(text) is good
