"""The doors of ``portway admin``: the use cases of control, on the store of a data folder.

They work beside a running service, which follows within a second, and without one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from portway.control.service import accounts, api_keys, credentials, operator
from portway.control.service.context import Context
from portway.control.service.principal import OPERATOR
from portway.control.service.settings import Settings
from portway.control.store.database import open_database
from portway.server import facts, where

T = TypeVar("T")


def run(
    data_dir: Path,
    work: Callable[[Context], Awaitable[T]],
    *,
    database_url: str = "",
    with_names: bool = False,
) -> T:
    """Carry out some work on a store: the database of a URL, else the file in the folder.

    ``with_names``: the work depends on the domain, ports and so on of the service, which are then taken
    as the service last had them. Raises ConfigError: there is no store, or these are not known;
    Error: what the work refuses.
    """
    store = where.existing(data_dir, database_url)
    settings = facts.kept(data_dir) if with_names else Settings()

    async def whole() -> T:
        async with open_database(store, create=False) as database:
            return await work(Context(database, settings=settings, principal=OPERATOR))

    return asyncio.run(whole())


__all__ = ["Context", "accounts", "api_keys", "credentials", "operator", "run"]
