"""The waits of an outage, without waiting."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.net.backoff import Backoff


def _waits(backoff: Backoff, count: int) -> list[float]:
    """The waits of an outage whose attempts fail at once, without chance."""
    now, found = 1000.0, list[float]()
    for _ in range(count):
        wait = backoff.next(now, 0.0)
        found.append(wait)
        now += wait
    return found


def test_brisk_for_a_minute_then_slower() -> None:
    """0.5, 1, 2, 2 … for a minute, then 4, 8, 16, 30, 30."""
    waits = _waits(Backoff(), 40)
    assert waits[:4] == [0.5, 1.0, 2.0, 2.0]
    slow = waits.index(4.0)
    assert set(waits[2:slow]) == {2.0}
    assert 60 <= sum(waits[:slow]) < 62
    assert waits[slow : slow + 5] == [4.0, 8.0, 16.0, 30.0, 30.0]


def test_reset_begins_anew() -> None:
    """The next outage is brisk again."""
    backoff = Backoff()
    _waits(backoff, 40)
    backoff.reset()
    assert repr(backoff) == "<Backoff idle>"
    assert backoff.next(5000.0, 0.0) == 0.5
    assert repr(backoff) == "<Backoff 0.5 s>"


@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 1, exclude_max=True)), min_size=1))
def test_never_above_the_cap_nor_far_below_the_first(steps: list[tuple[float, float]]) -> None:
    """Whatever time and chance do."""
    backoff, now = Backoff(), 0.0
    for passed, rand in steps:
        now += passed
        assert 0.5 * 0.8 <= backoff.next(now, rand) <= 30.0


@pytest.mark.parametrize(
    "bad", [{"first": 0.0}, {"first": 3.0}, {"brisk_cap": 40.0}, {"jitter": 1.0}, {"jitter": -0.1}]
)
def test_senseless_settings_are_refused(bad: dict[str, float]) -> None:
    """At once, not at the first outage."""
    with pytest.raises(ValueError, match="must hold"):
        Backoff(**bad)
