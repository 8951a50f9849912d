"""A real store of either kind, empty, with a clock that tests move by hand.

Tests below tests/control/store and tests/control/service that use `opened` run twice, on SQLite and on
PostgreSQL; tests/control/conftest.py says which one is on.
"""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from portway.control.service.context import Context
from portway.control.store.database import Database, open_database
from portway.control.store.tables import metadata
from tests.kit.postgres import cluster

SQLITE, POSTGRESQL = "sqlite", "postgresql"
BACK_ENDS = (SQLITE, POSTGRESQL)


@dataclass
class Clock:
    """Unix seconds that stand still until a test sets them."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@dataclass
class _Stores:
    """Which back end is on, and which database stands for which folder."""

    back_end: str = SQLITE
    names: dict[Path, str] = field(default_factory=dict[Path, str])
    template: bytes = b""
    opened: set[Path] = field(default_factory=set[Path])
    used: list[str] = field(default_factory=list[str])

    def place(self, folder: Path) -> Path | str:
        """Return the file or the URL of a folder's store."""
        if self.back_end == SQLITE:
            return folder / "portway.db"
        if folder not in self.names:
            self.names[folder] = cluster().database()
        return cluster().url(self.names[folder])


_stores = _Stores()


@contextmanager
def back_end(name: str) -> Generator[None]:
    """Use one back end for the time of a test."""
    _stores.back_end = name
    try:
        yield
    finally:
        _stores.used += [each for folder, each in _stores.names.items() if folder in _stores.opened]
        _stores.names.clear()
        _stores.opened.clear()
        _stores.back_end = SQLITE


def place(folder: Path) -> Path | str:
    """Return where a folder's store is: a file that is not there, or the URL of an empty database."""
    return _stores.place(folder)


def everything(folder: Path) -> bytes:
    """Return all that the store of a folder has written down."""
    where = place(folder)
    if isinstance(where, Path):
        return b"".join(file.read_bytes() for file in folder.iterdir())
    return cluster().dump(_stores.names[folder]).encode()


@asynccontextmanager
async def opened(folder: Path, clock: Clock | None = None) -> AsyncGenerator[Context]:
    """Open the store of a folder: empty the first time, then as it was left."""
    where = folder / "portway.db"
    if _stores.back_end == SQLITE and not where.exists():
        if not _stores.template:
            await _keep_template(where)
        _copied(where)
    again = _stores.back_end == POSTGRESQL and folder not in _stores.names and bool(_stores.used)
    if again:
        _stores.names[folder] = _stores.used.pop()
    async with open_database(place(folder)) as database:
        if again:
            await _empty(database)
        _stores.opened.add(folder)
        yield Context(database, now=clock or Clock())


def _copied(where: Path) -> None:
    """Copy the first store that was made, as it was when it was new: quicker than its migrations."""
    if _stores.template:
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(_stores.template)


async def _keep_template(where: Path) -> None:
    """Make the store of which the others are copies."""
    async with open_database(where):
        pass
    _stores.template = await asyncio.to_thread(where.read_bytes)


async def _empty(database: Database) -> None:
    """Leave a database as its migrations made it: quicker than making one, and in one trip."""
    async with database.write() as connection:
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        await driver.execute(_EMPTY)


_EMPTY = "".join(
    [
        *(f'DELETE FROM "{table.name}";' for table in reversed(metadata.sorted_tables)),
        "ALTER SEQUENCE changes_seq_seq RESTART;",
    ]
)
