"""Patience with wrong keys."""

from portway.control.api.failures import REMEMBERED, WINDOW, Failures


def test_patience_ends_and_comes_back() -> None:
    failures = Failures(3)
    for at in (0.0, 1.0, 2.0):
        assert not failures.too_many("a", at)
        failures.add("a", at)
    assert failures.too_many("a", 3.0)
    assert not failures.too_many("b", 3.0)
    assert not failures.too_many("a", WINDOW + 0.5), "the first is forgotten"
    assert not failures.too_many("a", WINDOW + 2.5), "all are"
    assert "addresses=0" in repr(failures)


def test_zero_has_no_patience() -> None:
    failures = Failures(0)
    assert failures.too_many("a", 0.0)
    failures.add("a", 0.0)


def test_no_more_addresses_are_remembered_than_said() -> None:
    failures = Failures(1)
    for number in range(REMEMBERED + 10):
        failures.add(str(number), 0.0)
    assert f"addresses={REMEMBERED}" in repr(failures)
    assert failures.too_many(str(REMEMBERED + 9), 1.0)
    assert not failures.too_many("0", 1.0)
