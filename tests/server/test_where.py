"""Where a service's store is, and how commands beside it find it."""

import stat
from pathlib import Path

import pytest

from portway.errors import ConfigError
from portway.server import where

URL = "postgresql://me:hunter2@db.example.com/portway"


def test_a_url_goes_before_the_file(tmp_path: Path) -> None:
    assert where.store_of(tmp_path) == tmp_path / "portway.db"
    assert where.store_of(tmp_path, URL) == URL


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no service has run with this data folder"):
        where.existing(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert where.existing(tmp_path, URL) == URL


def test_a_folder_whose_store_is_elsewhere_says_so(tmp_path: Path) -> None:
    (tmp_path / "portway.db").touch()
    where.remember(tmp_path, URL)
    with pytest.raises(ConfigError, match=r"postgresql://db\.example\.com/portway; say --database-url"):
        where.existing(tmp_path)
    kept = tmp_path / "database"
    assert "hunter2" not in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    where.remember(tmp_path, "")
    where.remember(tmp_path, "")
    assert where.existing(tmp_path) == tmp_path / "portway.db"


def test_a_child_gets_the_url_by_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(where.VARIABLE, "postgresql://other/other")
    assert where.environment(URL)[where.VARIABLE] == URL
    assert where.VARIABLE not in where.environment("")
    assert "PATH" in where.environment("")
