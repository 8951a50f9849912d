"""Counts of strangers and patience with wrong tokens."""

import pytest

from portway.edge.admission import REMEMBERED, Admission
from portway.edge.ports import Limits


def test_strangers_are_counted_in_all_and_by_address() -> None:
    doors = Admission(Limits(unauthenticated=3, unauthenticated_per_address=2))
    assert doors.admit("a")
    assert doors.admit("a")
    assert not doors.admit("a")
    assert doors.admit("b")
    assert not doors.admit("c")
    doors.leave("a")
    assert doors.admit("c")
    assert doors.strangers == 3
    for address in ("a", "b", "c"):
        doors.leave(address)
    assert "strangers=0 from=0" in repr(doors)


def test_ten_wrong_tokens_a_minute_then_delay() -> None:
    doors = Admission(Limits())
    for second in range(10):
        assert doors.delay("a", float(second)) == 0.0
        doors.wrong_token("a", float(second))
    assert doors.delay("a", 10.0) == 5.0
    assert doors.delay("b", 10.0) == 0.0
    assert doors.delay("a", 60.0) == 0.0  # the first one is a minute old
    assert doors.delay("a", 200.0) == 0.0
    assert "wrong=0" in repr(doors)


def test_zero_delays_always() -> None:
    assert Admission(Limits(wrong_tokens=0)).delay("a", 0.0) == 5.0


@pytest.mark.parametrize("extra", [10])
def test_memory_is_bounded(extra: int) -> None:
    doors = Admission(Limits(wrong_tokens=1))
    for n in range(REMEMBERED + extra):
        doors.wrong_token(str(n), 0.0)
    assert f"wrong={REMEMBERED}" in repr(doors)
    assert doors.delay("0", 1.0) == 0.0
    assert doors.delay(str(REMEMBERED), 1.0) == 5.0
