"""The SQLite file: how it is opened, its transactions, and bringing its tables up to date.

A transaction that writes takes the write lock at once (BEGIN IMMEDIATE), so two processes, the
service's controller and a ``portway admin`` command, queue up instead of failing half way. The
write-ahead log lets readers go on meanwhile. The migrations run inside one such transaction.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

from sqlalchemy import URL, Connection, Engine, event, inspect, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from portway.control import files
from portway.control.feed import Feed
from portway.control.store import changes
from portway.errors import ConfigError

HEAD: Final = "0002"
"""The newest revision; a test compares it with the migrations."""

BUSY_TIMEOUT: Final = 10_000
"""Milliseconds that a transaction waits for another process's."""


class Database:
    """One open store. Make it with :func:`open_database`."""

    def __init__(self, path: Path) -> None:
        """Prepare an engine; nothing is opened yet."""
        self._path = path
        self.feed = Feed()
        self._engine = create_async_engine(URL.create("sqlite+aiosqlite", database=str(path)), pool_size=2)
        self._writer = self._engine.execution_options(portway_write=True)
        _prepare(self._engine.sync_engine)

    def __repr__(self) -> str:
        """Name the file."""
        return f"<Database {self._path}>"

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        """Open a transaction that sees one state of the store and changes nothing."""
        async with self._engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncConnection]:
        """Open a transaction that may write. Left by an exception or a cancellation, it leaves nothing.

        Left well, it is durable; and if it noted a change, who follows in this process is woken.
        """
        async with self._writer.begin() as connection:
            connection.info.pop(changes.NOTED, None)
            yield connection
            noted = connection.info.pop(changes.NOTED, False)
        if noted:
            self.feed.changed()

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()


@asynccontextmanager
async def open_database(path: Path) -> AsyncGenerator[Database]:
    """Open the store, made or brought up to date if need be.

    Raises ConfigError when the file is no store of ours, is newer than this program, or cannot be
    opened.
    """
    try:
        files.private_folder(path.parent)
        files.touch_private(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be opened: {error.strerror}") from error
    database = Database(path)
    try:
        await _bring_up_to_date(database, path)
        yield database
    finally:
        await database.close()


async def _bring_up_to_date(database: Database, path: Path) -> None:
    try:
        async with database.read() as connection:
            revision = await connection.run_sync(_revision)
        if revision == HEAD:
            return
        if revision is not None and revision > HEAD:
            raise ConfigError(f"{path}: made by a newer portway (revision {revision}); this one knows {HEAD}")
        async with database.write() as connection:
            await connection.run_sync(_upgrade)
    except DatabaseError as error:
        raise ConfigError(f"{path}: not a usable database: {error.orig}") from error


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection) -> None:
    """Run the migrations on an open write transaction."""
    # A store that is up to date, which is nearly every start, does not pay for this import.
    from alembic.command import upgrade
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    upgrade(config, "head")


class _Cursor(Protocol):
    def execute(self, statement: str) -> object: ...
    def close(self) -> None: ...


class _DbConnection(Protocol):
    isolation_level: str | None

    def cursor(self) -> _Cursor: ...


def _prepare(engine: Engine) -> None:
    """Set every new connection up, and begin transactions ourselves."""

    def connected(connection: _DbConnection, _record: object) -> None:
        # The driver must not begin transactions on its own: it does so too late, and not for DDL.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT}",  # first: the change to WAL may have to wait too
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("portway_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begin)
