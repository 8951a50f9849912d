"""URLs of PostgreSQL databases, and what is shown of them."""

import pytest

from portway.control.store.url import is_url, place


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:hunter2@db.example.com:5432/portway", "postgresql://db.example.com:5432/portway"),
        ("postgres://me@db/portway?sslmode=verify-full&password=hunter2", "postgresql://db/portway"),
        ("postgresql:///portway?host=/run/postgresql", "postgresql:///portway"),
        ("postgresql://a,b:5433/portway?target_session_attrs=primary", "postgresql://a,b:5433/portway"),
    ],
)
def test_what_is_shown_of_a_url(url: str, shown: str) -> None:
    assert is_url(url)
    assert place(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "", "portway.db", "sqlite:///portway.db", "postgresql://", "postgresql://db", "postgresql://db/",
        "postgresql://me:hun/ter2@db/portway", "postgresql://me:hunter2@db/por tway", "mysql://db/portway",
        "postgresql://me:hunter#2@db/portway",
    ],
)  # fmt: skip
def test_what_is_no_url(url: str) -> None:
    assert not is_url(url)
    assert "hunter" not in place(url)
    assert "ter2" not in place(url)
