"""A real store in a temporary folder, with a clock that tests move by hand."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from portway.control.service.context import Context
from portway.control.store.database import open_database


@dataclass
class Clock:
    """Unix seconds that stand still until a test sets them."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@asynccontextmanager
async def opened(folder: Path, clock: Clock | None = None) -> AsyncGenerator[Context]:
    """Open the store of a folder."""
    async with open_database(folder / "portway.db") as database:
        yield Context(database, now=clock or Clock())
