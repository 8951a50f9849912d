"""The circuit breaker: when it opens, when it tries again, what it forgets."""

import pytest

from portway.policy.breaker import Breaker, Rule, State

RULE = Rule(threshold=0.5, volume=10, window=10.0, tripped=5.0)


def ask(breaker: Breaker, now: float, *, failed: bool) -> bool:
    entry = breaker.enter(now)
    if entry.allowed:
        breaker.record(entry, now, failed=failed)
    return entry.allowed


def tripped(now: float = 0.0) -> Breaker:
    breaker = Breaker(RULE)
    for n in range(10):
        assert ask(breaker, now, failed=n % 2 == 0)
    assert breaker.state is State.OPEN
    return breaker


@pytest.mark.row("P-41")
def test_half_of_enough_requests_trip_it() -> None:
    breaker = Breaker(RULE)
    for n in range(9):
        assert ask(breaker, n / 10, failed=True)
    assert breaker.state is State.CLOSED  # too few
    ask(breaker, 1.0, failed=False)
    entry = breaker.enter(1.5)
    assert not entry.allowed
    assert entry.retry_after == pytest.approx(4.5)


def test_errors_that_are_older_than_the_window_do_not_count() -> None:
    breaker = Breaker(RULE)
    for n in range(9):
        ask(breaker, n / 10, failed=True)
    for n in range(30):
        assert ask(breaker, 11.0 + n / 10, failed=False)
    assert breaker.state is State.CLOSED
    ask(breaker, 1000.0, failed=True)
    assert "1/1" in repr(breaker)


@pytest.mark.row("P-41")
def test_one_probe_is_let_through_and_closes_it() -> None:
    breaker = tripped()
    assert not breaker.enter(4.9).allowed
    probe = breaker.enter(5.0)
    assert probe.allowed
    assert not breaker.enter(5.1).allowed
    breaker.record(probe, 5.2, failed=False)
    assert breaker.state is State.CLOSED
    assert ask(breaker, 5.3, failed=True)  # it has forgotten what tripped it


def test_a_failed_probe_opens_it_again() -> None:
    breaker = tripped()
    breaker.record(breaker.enter(5.0), 6.0, failed=True)
    assert not breaker.enter(10.9).allowed
    assert breaker.enter(11.0).allowed


def test_a_lost_probe_is_given_up() -> None:
    breaker = tripped()
    lost = breaker.enter(5.0)
    second = breaker.enter(10.0)
    assert second.allowed
    breaker.record(lost, 10.1, failed=True)  # too late to matter
    assert breaker.state is State.HALF_OPEN
    breaker.record(second, 10.2, failed=False)
    assert breaker.state is State.CLOSED


def test_answers_from_before_a_trip_change_nothing() -> None:
    breaker = Breaker(RULE)
    slow = [breaker.enter(0.0) for _ in range(10)]
    for _ in range(10):
        ask(breaker, 0.0, failed=True)
    for entry in slow:
        breaker.record(entry, 1.0, failed=False)
    assert breaker.state is State.OPEN


def test_a_threshold_of_zero_trips_on_success_too() -> None:
    breaker = Breaker(Rule(0.0, 1, 10.0, 5.0))
    assert ask(breaker, 0.0, failed=False)
    assert not breaker.enter(0.1).allowed
