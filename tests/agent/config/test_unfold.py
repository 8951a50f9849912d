"""Braces become lines; what that means is seen in what becomes of files, in test_upgrade.py."""

import pytest

from portway.agent.config.unfold import spliced, unfolded
from portway.errors import ConfigError


def test_places_are_written_anew_whatever_their_order() -> None:
    text = "one two\nthree four\n"
    assert (
        spliced(text, [((1, 1), (1, 4), "1"), ((2, 7), (2, 11), "4"), ((1, 5), (2, 6), "2\n3")])
        == "1 2\n3 4\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "version: 2\n",
        "a: {b: 1}\ntunnels:\n  a:\n    b: {c: 1}\n",
        "tunnels: {}\n",
        "tunnels:\n  a: {}\n",
        "tunnels: 7",
    ],
)
def test_what_stands_on_lines_stays(text: str) -> None:
    assert unfolded(text, "f") == text


def test_what_only_its_writer_can_write() -> None:
    with pytest.raises(ConfigError, match="f: write what is in braces"):
        unfolded("x: &y 1\ntunnels: {a: {addr: *y}}\n", "f")
