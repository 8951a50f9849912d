"""The doors of `portway admin`."""

from pathlib import Path

import pytest

from portway.control.store.database import open_database
from portway.errors import ConfigError
from portway.server import admin


async def make(folder: Path) -> None:
    async with open_database(folder / "portway.db"):
        pass


def test_work_needs_a_store(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no service has run with this data folder"):
        admin.run(tmp_path, admin.accounts.listed)
    assert list(tmp_path.iterdir()) == [], "asking makes nothing"


def test_work_is_done_on_the_store(tmp_path: Path) -> None:
    import asyncio

    asyncio.run(make(tmp_path))
    added = admin.run(tmp_path, lambda context: admin.accounts.add(context, "a"))
    assert admin.run(tmp_path, admin.accounts.listed) == [added]
