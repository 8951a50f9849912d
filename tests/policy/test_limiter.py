"""The sliding window: what it promises for every window, and how it bears floods of keys."""

import random

import pytest

from portway.policy.limiter import Limiter


@pytest.mark.row("P-40")
def test_the_31st_request_of_a_minute_is_refused_and_another_key_is_untouched() -> None:
    limiter = Limiter(30, 60)
    assert all(limiter.admit("a", 100.0 + n / 100).admitted for n in range(30))
    refused = limiter.admit("a", 101.0)
    assert not refused.admitted
    assert refused.retry_after == 60
    assert limiter.admit("b", 101.0).admitted
    assert limiter.admit("a", 160.3).admitted  # the burst's last was at 100.29


def test_waiting_as_long_as_it_says_is_enough() -> None:
    limiter = Limiter(3, 60)
    for now in (0.0, 4.0, 8.0):
        assert limiter.admit("a", now).admitted
    refused = limiter.admit("a", 30.0)
    assert not refused.admitted
    assert limiter.admit("a", 30.0 + refused.retry_after).admitted


@pytest.mark.row("P-40")
def test_no_window_ever_holds_more_than_the_capacity() -> None:
    rng = random.Random(7)
    for _ in range(30):
        capacity, window = rng.randint(1, 20), 60.0
        limiter = Limiter(capacity, window)
        now, admitted = 0.0, list[float]()
        for _ in range(400):
            now += rng.expovariate(capacity / 30)
            if limiter.admit("a", now).admitted:
                admitted.append(now)
        for first, beyond in zip(admitted, admitted[capacity:], strict=False):
            assert beyond - first >= window


def test_at_most_one_slot_less_than_the_capacity_is_admitted() -> None:
    limiter = Limiter(6, 60)
    admitted = [now for now in range(600) if limiter.admit("a", float(now)).admitted]
    assert len(admitted) >= 6 * 600 / 70


def test_refused_requests_do_not_count() -> None:
    limiter = Limiter(1, 60)
    assert limiter.admit("a", 0.0).admitted
    assert not any(limiter.admit("a", float(now)).admitted for now in range(1, 60))
    assert limiter.admit("a", 60.0).admitted


def test_a_flood_of_keys_is_bounded_and_admits_no_key_too_often() -> None:
    limiter = Limiter(2, 60, most=50)
    admitted: dict[str, list[float]] = {}
    rng = random.Random(3)
    now = 0.0
    for _ in range(5000):
        now += 0.1
        key = f"k{rng.randint(0, 200)}"
        if limiter.admit(key, now).admitted:
            admitted.setdefault(key, []).append(now)
        assert len(limiter) <= 51  # the shared one's slot comes on top
    for times in admitted.values():
        assert all(c - a >= 60 for a, c in zip(times, times[2:], strict=False))


def test_buckets_that_are_empty_again_are_forgotten() -> None:
    limiter = Limiter(5, 60)
    for n in range(1000):
        limiter.admit(f"k{n}", n * 10.0)
    assert len(limiter) < 30
