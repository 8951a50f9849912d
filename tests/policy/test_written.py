"""Values as text and as JSON, and their order."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from portway.policy.written import comparable, to_json, written

MOMENT = datetime(2024, 7, 13, 2, 10, 16, 500, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("a", "a"),
        (None, ""),
        (True, "true"),
        (1, "1"),
        (2.0, "2"),
        (0.1, "0.1"),
        (1e30, "1e+30"),
        (b"a", "a"),
        (float("inf"), "+Inf"),
        (MOMENT, "2024-07-13T00:10:16Z"),
        (timedelta(seconds=90), "1m30s"),
        ([1, None, MOMENT, b"x"], '[1,null,"2024-07-13T00:10:16Z","x"]'),
        ({"ü": timedelta(0)}, '{"ü":"0s"}'),
        ({"b": {"d": 1, "c": 2}, "a": 3}, '{"a":3,"b":{"c":2,"d":1}}'),
        ({"b": 1, 2: [{"d": 1, "c": 2}]}, '{"b":1,"2":[{"d":1,"c":2}]}'),
    ],
)
def test_as_text(value: object, wanted: str) -> None:
    assert written(value) == wanted


def test_json_is_bounded() -> None:
    with pytest.raises(ValueError, match="longer"):
        to_json(["x" * 600_000, "y" * 600_000])


def test_json_has_no_infinity() -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_json([float("inf")])


def test_years_have_four_digits() -> None:
    assert written(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00Z"


def test_order() -> None:
    assert sorted([2, 1.5], key=comparable([2, 1.5])) == [1.5, 2]
    days = [datetime(2024, 1, day, tzinfo=UTC) for day in (2, 1)]
    assert sorted(days, key=comparable(days)) == days[::-1]
    for mixed in ([1, "a"], [True, 1], [None], [[1]]):
        with pytest.raises(ValueError, match="one type"):
            comparable(mixed)
