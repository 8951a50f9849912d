"""Opening the store: its mode, its pragmas, its migrations, its transactions."""

import asyncio
import sqlite3
import stat
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from portway.control.store.database import HEAD, open_database
from portway.control.store.tables import metadata
from portway.errors import ConfigError


async def test_the_file_and_its_companions_are_private(tmp_path: Path) -> None:
    path = tmp_path / "data" / "portway.db"
    async with open_database(path) as database, database.write() as connection:
        await connection.execute(text("INSERT INTO changes VALUES (1, 'k', 'a', 's', 0)"))
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert modes == {"portway.db": 0o600, "portway.db-wal": 0o600, "portway.db-shm": 0o600}


async def test_every_connection_has_its_pragmas(tmp_path: Path) -> None:
    async with open_database(tmp_path / "portway.db") as database, database.read() as connection:
        values = {
            name: (await connection.execute(text(f"PRAGMA {name}"))).scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout", "synchronous")
        }
    assert values == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 10_000, "synchronous": 1}


async def test_the_migrations_make_what_the_tables_say(tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with open_database(tmp_path / "portway.db") as database, database.read() as connection:
        assert await connection.run_sync(differences) == []
        assert (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar() == HEAD
    migrations = Path(__file__).parents[3] / "src/portway/control/store/migrations"
    assert ScriptDirectory(str(migrations)).get_heads() == [HEAD]


async def test_opening_again_keeps_the_content(tmp_path: Path) -> None:
    path = tmp_path / "portway.db"
    async with open_database(path) as database, database.write() as connection:
        await connection.execute(text("INSERT INTO changes VALUES (7, 'k', 'a', 's', 0)"))
    async with open_database(path) as database, database.read() as connection:
        assert (await connection.execute(text("SELECT seq FROM changes"))).scalars().all() == [7]


async def test_two_processes_may_make_the_store_at_once(tmp_path: Path) -> None:
    async def make() -> int:
        async with open_database(tmp_path / "portway.db") as database, database.read() as connection:
            return (await connection.execute(text("SELECT count(*) FROM accounts"))).scalar_one()

    assert await asyncio.gather(*(make() for _ in range(4))) == [0, 0, 0, 0]


async def test_writers_queue_up_and_readers_go_on(tmp_path: Path) -> None:
    path = tmp_path / "portway.db"
    insert = text("INSERT INTO changes (kind, account_id, subject_id, at) VALUES ('k', 'a', 's', 0)")
    async with open_database(path) as one, open_database(path) as other:

        async def second() -> int:
            async with other.write() as connection:
                await connection.execute(insert)
                return (await connection.execute(text("SELECT count(*) FROM changes"))).scalar_one()

        async with one.write() as connection:
            await connection.execute(insert)
            writer = asyncio.ensure_future(second())
            async with other.read() as reader:
                assert (await reader.execute(text("SELECT count(*) FROM changes"))).scalar_one() == 0
            assert not writer.done()
        assert await writer == 2


async def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    async with open_database(tmp_path / "portway.db") as database:

        async def fail() -> None:
            async with database.write() as connection:
                await connection.execute(text("INSERT INTO changes VALUES (1, 'k', 'a', 's', 0)"))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        async with database.read() as connection:
            assert (await connection.execute(text("SELECT count(*) FROM changes"))).scalar() == 0


async def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "portway.db"
    async with open_database(path) as database, database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="newer portway"):
        async with open_database(path):
            pass


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "portway.db"
    path.write_text("not a database, but long enough to be read as one" * 50)
    with pytest.raises(ConfigError, match="not a usable database"):
        async with open_database(path):
            pass


async def test_a_store_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    (tmp_path / "portway.db").mkdir()
    with pytest.raises(ConfigError, match="cannot be opened"):
        async with open_database(tmp_path / "portway.db"):
            pass


async def test_closing_lets_go_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "portway.db"
    async with open_database(path) as database:
        assert "portway.db" in repr(database)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        connection.execute("BEGIN EXCLUSIVE")
    connection.close()
