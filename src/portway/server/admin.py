"""The doors of ``portway admin``: the use cases of control, on the store of a data folder.

They work beside a running service, which follows within a second, and without one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from portway.control.service import accounts, api_keys, credentials
from portway.control.service.context import Context
from portway.control.store.database import open_database
from portway.errors import ConfigError
from portway.server.config import ControlConfig

T = TypeVar("T")


def run(data_dir: Path, work: Callable[[Context], Awaitable[T]]) -> T:
    """Carry out some work on a store. Raises ConfigError: there is none; Error: what the work refuses."""
    path = ControlConfig(data_dir).database
    if not path.exists():
        raise ConfigError(
            f"{data_dir}: no service has run with this data folder; start `portway serve` or say --data-dir"
        )

    async def whole() -> T:
        async with open_database(path) as database:
            return await work(Context(database))

    return asyncio.run(whole())


__all__ = ["Context", "accounts", "api_keys", "credentials", "run"]
