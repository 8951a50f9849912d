"""The store: how it is opened, its transactions, and bringing its tables up to date.

Two back ends, one behaviour: a file (``sqlite.py``) or a PostgreSQL database (``postgres.py``).
Transactions that write run one after the other, whatever process they are in; those that read see one
state and wait for nobody. The migrations run inside one writing transaction, so two processes that
start at once are no danger, and a migration that fails leaves nothing. An empty store gets its tables at
once, without its history.

Whatever keeps a transaction from being carried out (a full disk, a lost connection, a lock that does
not come) is one error, StoreUnavailable, and then the transaction has not happened; except that, when
the connection is lost while a commit is under way, nobody can know.
"""

import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from portway.control import files
from portway.control.feed import Feed
from portway.control.measures import StoreMeasures, Times
from portway.control.store import audit_events, changes, postgres, sqlite
from portway.control.store.core import AsyncConnection, AsyncEngine
from portway.control.store.schema import metadata
from portway.control.store.url import place
from portway.errors import ConfigError, Error, StoreUnavailable

HEAD: Final = "0009"
"""The newest revision; a test compares it with the migrations."""

_log = logging.getLogger(__name__)

_OURS: Final = (IntegrityError, ProgrammingError, DataError)
"""What a statement does wrong: the use case's business, or a bug; not the state of the store."""

_AWAY: Final = (DBAPIError, PoolTimeout, OSError)
"""What the drivers raise when the store cannot be used. A TimeoutError is an OSError."""

_VERSION: Final = text(
    "CREATE TABLE alembic_version"
    " (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)
"""Where Alembic keeps the revision, as it makes it."""

_UNFIT: Final = "A text is too long, or has a character that the store cannot hold."
"""NUL, which PostgreSQL has no place for, or half of a surrogate pair."""


@dataclass(frozen=True, slots=True)
class BackEnd:
    """Where a store is and how its transactions begin. ``place`` is what may be shown of it."""

    place: str
    engine: AsyncEngine
    reader: AsyncEngine
    writer: AsyncEngine
    lock: Callable[[AsyncConnection], Awaitable[None]] | None = None


class Database:
    """One open store. Make it with :func:`open_database`."""

    def __init__(self, back_end: BackEnd) -> None:
        """Take a back end; nothing is opened yet."""
        self._back_end = back_end
        self.feed = Feed()
        self.journal = Feed()
        """Rung after each commit that wrote an audit event down."""
        self.measures = StoreMeasures()
        """What its transactions took, and whether the last one could be carried out."""

    def __repr__(self) -> str:
        """Name the file or the database."""
        return f"<Database {self._back_end.place}>"

    @property
    def is_shared(self) -> bool:
        """Other services may have the same store: it is on a server."""
        return self._back_end.lock is not None

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        """Open a transaction that sees one state of the store and changes nothing.

        Raises StoreUnavailable.
        """
        async with self._transaction(self._back_end.reader, self.measures.reads) as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncConnection]:
        """Open a transaction that may write. Left by an exception or a cancellation, it leaves nothing.

        Left well, it is durable; and if it noted a change, who follows in this process is woken.
        Raises StoreUnavailable.
        """
        async with self._transaction(self._back_end.writer, self.measures.writes) as connection:
            connection.info.pop(changes.NOTED, None)
            connection.info.pop(audit_events.JOURNALLED, None)
            if self._back_end.lock is not None:
                await self._back_end.lock(connection)
            yield connection
            noted = connection.info.pop(changes.NOTED, False)
            journalled = connection.info.pop(audit_events.JOURNALLED, False)
        if noted:
            self.feed.changed()
        if journalled:
            self.journal.changed()

    async def close(self) -> None:
        """Close every connection."""
        await self._back_end.engine.dispose()

    @asynccontextmanager
    async def _transaction(self, engine: AsyncEngine, times: Times) -> AsyncGenerator[AsyncConnection]:
        began = time.perf_counter()
        try:
            async with engine.begin() as connection:
                try:
                    yield connection
                except TimeoutError as error:
                    # The other end is silent. Rolling back in words would wait for it as long again.
                    await connection.invalidate(error)
                    raise
        except _OURS:
            raise
        except UnicodeEncodeError as error:
            raise Error(_UNFIT) from error
        except _AWAY as error:
            if postgres.is_unfit(error):
                raise Error(_UNFIT) from error
            self._lost(error)
            raise StoreUnavailable from error
        self._found()
        times.took(time.perf_counter() - began)

    def _lost(self, error: Exception) -> None:
        """Say once that the store cannot be used, and why."""
        if self.measures.up:
            _log.error("the store %s cannot be used: %s", self._back_end.place, reason(error))
        self.measures.failures += 1
        self.measures.up = False

    def _found(self) -> None:
        if not self.measures.up:
            _log.warning("the store %s can be used again", self._back_end.place)
        self.measures.up = True


def reason(error: BaseException) -> str:
    """Return why the store cannot be used, without the statement and its values."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return f"{cause}" or type(cause).__name__


@asynccontextmanager
async def open_database(where: Path | str, *, create: bool = True) -> AsyncGenerator[Database]:
    """Open the store, a file or the URL of a PostgreSQL database, and bring it up to date.

    ``create``: make it if it is not there or empty; else that is a ConfigError. Raises ConfigError too
    when it is no store of ours, is newer than this program, or cannot be opened; and StoreUnavailable
    when the database's server cannot be reached now.
    """
    back_end = back_end_of(where)
    database = Database(back_end)
    try:
        await _bring_up_to_date(database, where, back_end.place, create=create)
        yield database
    finally:
        await database.close()


def back_end_of(where: Path | str, *, command_timeout: float | None = postgres.COMMAND_TIMEOUT) -> BackEnd:
    """Return the back end of a file, made if need be, or of a URL. Raises ConfigError.

    ``command_timeout`` bounds one statement on a server; a file has a bound of its own.
    """
    if isinstance(where, Path):
        return _file(where)
    engine = postgres.engine(where, command_timeout=command_timeout)
    return BackEnd(place(where), engine, postgres.reader(engine), engine, postgres.lock)


def _file(path: Path) -> BackEnd:
    try:
        files.private_folder(path.parent)
        files.touch_private(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be opened: {error.strerror}") from error
    engine = sqlite.engine(path)
    return BackEnd(str(path), engine, engine, sqlite.writer(engine))


async def _bring_up_to_date(database: Database, where: Path | str, place: str, *, create: bool) -> None:
    try:
        async with database.read() as connection:
            revision = await connection.run_sync(_revision)
        if revision == HEAD:
            return
        if revision is None and not create:
            raise ConfigError(f"{place}: no service has run with this store; start `portway serve` first")
        if revision is not None and revision > HEAD:
            raise ConfigError(
                f"{place}: made by a newer portway (revision {revision}); this one knows {HEAD}"
            )
        await _migrate(database, where)
    except _OURS as error:
        raise ConfigError(f"{place}: not a usable database: {reason(error)}") from error
    except StoreUnavailable as error:
        cause = error.__cause__ or error
        if isinstance(where, Path) or postgres.is_hopeless(cause):
            raise ConfigError(f"{place}: not a usable database: {reason(cause)}") from error
        raise


async def _migrate(database: Database, where: Path | str) -> None:
    if isinstance(where, Path):
        async with database.write() as connection:
            await connection.run_sync(_upgrade)
        return
    # However long it takes, and however long another process's takes before it.
    patient = Database(back_end_of(where, command_timeout=None))
    try:
        async with patient.write() as connection:
            await connection.run_sync(_upgrade)
    finally:
        await patient.close()


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection) -> None:
    """Make the tables, or run the migrations, on an open write transaction."""
    if not inspect(connection).get_table_names():
        metadata.create_all(connection)
        connection.execute(_VERSION)
        connection.execute(text("INSERT INTO alembic_version (version_num) VALUES (:head)"), {"head": HEAD})
        return
    # Only a store of an older release pays for this import.
    from alembic.command import upgrade
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    upgrade(config, "head")
