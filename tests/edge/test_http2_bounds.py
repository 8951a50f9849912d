"""Scores of one HTTP/2 peer."""

from portway.edge.http2_bounds import EARNED, PER_KIBIBYTE, PER_PIECE, PER_SECOND, Bounds


def test_resets_are_paid_for_by_answers() -> None:
    """Browsers reset requests all the time; each answer makes up for one."""
    bounds = Bounds(3, 0)
    for _ in range(100):
        assert bounds.reset()
        bounds.answered()
    assert [bounds.reset() for _ in range(4)] == [True, True, True, False]


def test_answers_are_no_credit_for_later() -> None:
    bounds = Bounds(1, 0)
    for _ in range(100):
        bounds.answered()
    assert [bounds.reset(), bounds.reset()] == [True, False]


def test_idle_frames_are_paid_for_by_requests_and_bytes() -> None:
    bounds = Bounds(0, EARNED)
    for _ in range(100):
        assert all(bounds.idle_frame() for _ in range(EARNED))
        bounds.request()
    assert all(bounds.idle_frame() for _ in range(EARNED))
    assert not bounds.idle_frame()
    for _ in range(4):
        bounds.moved(512)  # pieces add up
    assert [bounds.idle_frame() for _ in range(2 * PER_KIBIBYTE)] == [True] * (2 * PER_KIBIBYTE - 1) + [False]


def test_a_connection_that_lives_for_days_may_ping_and_cancel() -> None:
    bounds = Bounds(3, 2 * PER_SECOND)
    for _ in range(10_000):
        assert bounds.reset()
        assert all(bounds.idle_frame() for _ in range(PER_SECOND))
        bounds.second()


def test_small_pieces_may_each_be_answered_with_updates() -> None:
    bounds = Bounds(0, 10)
    for _ in range(10_000):
        bounds.piece()
        assert all(bounds.idle_frame() for _ in range(PER_PIECE))
