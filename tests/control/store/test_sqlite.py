"""The store as a file: its mode, its pragmas, what keeps it from being written."""

import sqlite3
import stat
from pathlib import Path

import pytest
from sqlalchemy import insert, text

from portway.control.store.database import open_database
from portway.control.store.tables import changes
from portway.errors import ConfigError, StoreUnavailable

ADD = insert(changes).values(kind="k", account_id="a", subject_id="s", at=0.0)


async def test_the_file_and_its_companions_are_private(tmp_path: Path) -> None:
    path = tmp_path / "data" / "portway.db"
    async with open_database(path) as database, database.write() as connection:
        await connection.execute(ADD)
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert modes == {"portway.db": 0o600, "portway.db-wal": 0o600, "portway.db-shm": 0o600}


async def test_every_connection_has_its_pragmas(tmp_path: Path) -> None:
    async with open_database(tmp_path / "portway.db") as database, database.read() as connection:
        values = {
            name: (await connection.execute(text(f"PRAGMA {name}"))).scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout", "synchronous")
        }
    # 2 is FULL: a commit is on the disk before anybody is told of it.
    assert values == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 10_000, "synchronous": 2}


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


async def test_a_full_store_refuses_writes_serves_reads_and_heals(tmp_path: Path) -> None:
    path = tmp_path / "portway.db"
    async with open_database(path) as database:
        async with database.read() as connection:
            size = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
        written = 0

        async def limit(pages: int) -> None:
            """Bound the file, on every connection of the pool: they are handed out in turns."""
            async with database.read() as one, database.read() as two:
                for connection in (one, two):
                    await connection.execute(text(f"PRAGMA max_page_count = {pages}"))

        async def write() -> None:
            nonlocal written
            for _ in range(1000):
                async with database.write() as connection:
                    await connection.execute(ADD.values(subject_id="x" * 3000))
                written += 1

        await limit(size + 4)
        with pytest.raises(StoreUnavailable):
            await write()
        assert written < 10
        async with database.read() as connection:
            kept = (await connection.execute(text("SELECT count(*) FROM changes"))).scalar_one()
        assert kept == written, "what was acknowledged is there, what was refused is not"
        await limit(1 << 20)
        async with database.write() as connection:
            await connection.execute(ADD)


async def test_a_store_that_became_read_only_refuses_writes_and_serves_reads(tmp_path: Path) -> None:
    path = tmp_path / "portway.db"
    async with open_database(path) as database:
        async with database.write() as connection:
            await connection.execute(ADD)
        async with database.read() as one, database.read() as two:
            for connection in (one, two):
                await connection.execute(text("PRAGMA query_only = ON"))
        with pytest.raises(StoreUnavailable):
            async with database.write() as connection:
                await connection.execute(ADD)
        async with database.read() as connection:
            assert (await connection.execute(text("SELECT count(*) FROM changes"))).scalar() == 1
