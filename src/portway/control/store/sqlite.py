"""The store as one SQLite file, which is the default.

A transaction that writes takes the write lock at once (BEGIN IMMEDIATE), so two processes, the
service's controller and a ``portway admin`` command, queue up instead of failing half way. The
write-ahead log lets readers go on meanwhile. A commit is on the disk before it is acknowledged
(synchronous=FULL): a cut of power loses nothing that anybody was told of.
"""

from pathlib import Path
from sqlite3 import OperationalError
from typing import Final, Protocol

from sqlalchemy import URL, Connection, Engine, event

from portway.control.store.core import AsyncEngine, create_async_engine

BUSY_TIMEOUT: Final = 10_000
"""Milliseconds that a transaction waits for another process's."""

CONNECTIONS: Final = 4
"""Connections that are kept open. Each is a thread."""

CHANGES: Final = 100
"""Times that the change to the write-ahead log is tried, each a trip to the connection's thread."""

_WRITE: Final = "portway_write"


def engine(path: Path) -> AsyncEngine:
    """Make the engine of a file; nothing is opened yet."""
    made = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)), pool_size=CONNECTIONS, hide_parameters=True
    )
    _prepare(made.sync_engine)
    return made


def writer(made: AsyncEngine) -> AsyncEngine:
    """Return the engine whose transactions take the write lock when they begin."""
    return made.execution_options(**{_WRITE: True})


class _Cursor(Protocol):
    def execute(self, statement: str) -> object: ...
    def close(self) -> None: ...


class _DbConnection(Protocol):
    isolation_level: str | None

    def cursor(self) -> _Cursor: ...


def _keep_a_log(cursor: _Cursor) -> None:
    """Change to the write-ahead log, which a file keeps for good.

    Those who open a new file at once may meet in the change. SQLite then refuses without waiting, since
    each might wait for the other.
    """
    for attempt in range(CHANGES):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except OperationalError:
            if attempt == CHANGES - 1:
                raise
        else:
            return


def _prepare(made: Engine) -> None:
    """Set every new connection up, and begin transactions ourselves."""

    def connected(connection: _DbConnection, _record: object) -> None:
        # The driver must not begin transactions on its own: it does so too late, and not for DDL.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT}")
        _keep_a_log(cursor)
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    def begin(connection: Connection) -> None:
        write = connection.get_execution_options().get(_WRITE)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    event.listen(made, "connect", connected)
    event.listen(made, "begin", begin)
