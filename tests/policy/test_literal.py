"""Where a string literal ends."""

import pytest

from portway.policy.literal import end_of_literal


@pytest.mark.parametrize(
    ("text", "raw", "end"),
    [
        ("'a'b", False, 3),
        ('"a\'b"', False, 5),
        ("'a\\'b'", False, 6),
        ("'a\\'b'", True, 4),
        ("'''a'b'''c", False, 9),
        ("''", False, 2),
        ("'a\nb'", False, None),
        ("'''a\nb'''", False, 9),
        ("'a", False, None),
        ("'a\\", False, None),
    ],
)
def test_ends(text: str, raw: bool, end: int | None) -> None:
    assert end_of_literal(text, 0, raw=raw) == end
