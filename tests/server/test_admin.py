"""The doors of `portway admin`."""

import asyncio
from pathlib import Path

import pytest

from portway.control.service.context import Context
from portway.control.service.settings import Settings
from portway.control.store.database import open_database
from portway.errors import ConfigError
from portway.server import admin, facts


async def make(folder: Path) -> None:
    async with open_database(folder / "portway.db"):
        pass


def test_work_needs_a_store(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no service has run with this data folder"):
        admin.run(tmp_path, admin.accounts.listed)
    assert list(tmp_path.iterdir()) == [], "asking makes nothing"


def test_work_is_done_on_the_store(tmp_path: Path) -> None:
    asyncio.run(make(tmp_path))
    added = admin.run(tmp_path, lambda context: admin.accounts.add(context, "a"))
    assert admin.run(tmp_path, admin.accounts.listed) == [added]


def test_work_that_needs_the_services_names_has_them_as_they_last_were(tmp_path: Path) -> None:
    async def domain(context: Context) -> str:
        return context.settings.domain

    asyncio.run(make(tmp_path))
    with pytest.raises(ConfigError, match="start the service once"):
        admin.run(tmp_path, domain, with_names=True)
    facts.keep(tmp_path, Settings(domain="example.com"))
    assert admin.run(tmp_path, domain, with_names=True) == "example.com"
