"""Durations as Go writes them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portway.policy.duration import parse_duration, write_duration


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("10s", 10),
        ("1h30m", 5400),
        ("1.5m", 90),
        ("250ms", 0.25),
        (".5s", 0.5),
        ("1us", 1e-6),
        ("1µs", 1e-6),
        ("2ns", 2e-9),
        ("0", 0),
        ("-5s", -5),
        ("+5s", 5),
        ("1m1s", 61),
        ("", None),
        ("5", None),
        ("s", None),
        ("1 s", None),
        ("1d", None),
        ("١s", None),
        ("1s" * 50, None),
        ("-", None),
    ],
)
def test_reading(text: str, wanted: float | None) -> None:
    found = parse_duration(text)
    assert found == (None if wanted is None else pytest.approx(wanted))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (90, "1m30s"), (3600, "1h"), (1.5, "1.5s"), (-60, "-1m"), (86_400, "24h")],
)
def test_writing(seconds: float, text: str) -> None:
    assert write_duration(seconds) == text


@settings(deadline=None)
@given(st.integers(0, 10**7))
def test_what_is_written_is_read(seconds: int) -> None:
    assert parse_duration(write_duration(seconds)) == seconds
