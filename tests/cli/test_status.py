"""The numbers behind the status screen."""

import pytest

from portway.cli.status import KEPT_REQUESTS, Rate, Request, Status


def test_rate_counts_only_what_happened_within_the_window() -> None:
    rate = Rate()
    for second in range(60):
        rate.add(1000.5 + second)
    assert rate.per_second(1059.9, 60) == pytest.approx(1.0)
    assert rate.per_second(1059.9, 300) == pytest.approx(60 / 300)
    assert rate.per_second(1089.0, 60) == pytest.approx(30 / 60)
    assert rate.per_second(1500.0, 300) == 0.0


def test_rate_forgets_everything_after_a_long_silence() -> None:
    rate = Rate()
    rate.add(5.0)
    rate.add(100_000.0)
    assert rate.per_second(100_000.0, 300) == pytest.approx(1 / 300)


def test_status_follows_session_and_connections() -> None:
    status = Status(version="1")
    assert status.session == "connecting"
    status.online()
    status.latency = 0.01
    status.offline("read EOF")
    assert (status.session, status.problem, status.latency) == ("reconnecting", "read EOF", None)
    status.connection_opened(1.0)
    status.connection_opened(1.1)
    status.connection_closed(0.5)
    assert (status.opened, status.open_now) == (2, 1)


def test_percentiles_are_of_the_recent_durations() -> None:
    status = Status(version="1")
    assert status.percentile(0.5) == 0.0
    for i in range(1, 11):
        status.connection_closed(float(i))
    assert status.percentile(0.5) == 6.0
    assert status.percentile(0.9) == 10.0


def test_requests_are_bounded() -> None:
    status = Status(version="1")
    for i in range(KEPT_REQUESTS * 3):
        status.requests.append(Request("", "GET", f"/{i}", 200))
    assert len(status.requests) == KEPT_REQUESTS
