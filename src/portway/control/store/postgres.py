"""The store as a PostgreSQL database, for who has one or wants several services on one store.

The URL is libpq's, ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…``, and is read by the
driver, so what it may say is in the driver's documentation. It is never logged: see ``url.py``.

Transactions that write take one advisory lock of the database, so they run one after the other, like
those on SQLite: the numbers of changes are committed in their order (a sequence alone would hand out 7
before 6 is committed, and a follower that has seen 7 would never look for 6), and rules such as *this
name is free* hold between looking and writing, without a retry. Transactions that read see one state
of the database and wait for nobody.
"""

from importlib import import_module
from ssl import SSLCertVerificationError
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError

from portway.control.store.core import AsyncConnection, AsyncEngine, create_async_engine

CONNECTIONS: Final = 5
"""Connections that are kept open; as many again are made when all are in use."""

CONNECT_TIMEOUT: Final = 5.0
"""Seconds to connect."""

COMMAND_TIMEOUT: Final = 8.0
"""Seconds for one statement, the wait for the lock included: a request of the data plane waits ten."""

LOCK: Final = 0x706F7274776179
"""The advisory lock of who writes: "portway"."""


def engine(url: str, *, command_timeout: float | None) -> AsyncEngine:
    """Make the engine of a database; nothing is opened yet."""

    async def connect() -> Any:
        driver: Any = import_module("asyncpg")  # who keeps a file need not wait for it
        return await driver.connect(
            url,
            timeout=CONNECT_TIMEOUT,
            command_timeout=command_timeout,
            server_settings={"application_name": "portway"},
        )

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=CONNECTIONS,
        max_overflow=CONNECTIONS,
        pool_timeout=COMMAND_TIMEOUT,
        pool_pre_ping=True,  # so the first call after the database was restarted does not fail
        hide_parameters=True,
        isolation_level="READ COMMITTED",
    )


def reader(made: AsyncEngine) -> AsyncEngine:
    """Return the engine whose transactions see one state and cannot write."""
    return made.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def is_hopeless(error: BaseException) -> bool:
    """Tell whether an error of connecting will not pass: the user, the database or the URL is wrong."""
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None) or ""
        return state[:2] in {"28", "3D"} or isinstance(error, InterfaceError)
    return isinstance(error, SSLCertVerificationError)


def is_unfit(error: BaseException) -> bool:
    """Tell whether a statement failed because of a value that no column can hold (SQLSTATE class 22)."""
    return isinstance(error, DBAPIError) and (getattr(error.orig, "sqlstate", None) or "").startswith("22")


async def lock(connection: AsyncConnection) -> None:
    """Wait until no other transaction writes; the lock goes with the transaction."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
