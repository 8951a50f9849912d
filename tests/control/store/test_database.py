"""The store, whichever it is: its migrations, its transactions, its failures."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, insert, select, text
from sqlalchemy.exc import IntegrityError
from tests.kit.store import SQLITE, opened, place

from portway.control.store import changes
from portway.control.store.database import HEAD, Database, back_end_of, open_database
from portway.control.store.tables import accounts, metadata
from portway.control.store.tables import changes as table
from portway.errors import ConfigError, Error, StoreUnavailable

ADD = insert(table).values(kind="k", account_id="a", subject_id="s", at=0.0)


async def count(database: Database) -> int:
    async with database.read() as connection:
        return len((await connection.execute(select(table.c.seq))).all())


async def test_the_migrations_make_what_the_tables_say(tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with opened(tmp_path) as context, context.database.read() as connection:
        assert await connection.run_sync(differences) == []
        assert (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar() == HEAD
    migrations = Path(__file__).parents[3] / "src/portway/control/store/migrations"
    assert ScriptDirectory(str(migrations)).get_heads() == [HEAD]


async def test_opening_again_keeps_the_content(tmp_path: Path) -> None:
    async with opened(tmp_path) as context, context.database.write() as connection:
        await connection.execute(ADD.values(seq=7))
    async with opened(tmp_path) as context:
        assert await count(context.database) == 1


async def test_several_processes_may_make_the_store_at_once(tmp_path: Path) -> None:
    where = place(tmp_path)

    async def make() -> int:
        async with open_database(where) as database:
            return await count(database)

    assert await asyncio.gather(*(make() for _ in range(4))) == [0, 0, 0, 0]


async def test_writers_queue_up_and_readers_go_on(tmp_path: Path) -> None:
    async with opened(tmp_path) as one, opened(tmp_path) as other:

        async def second() -> int:
            async with other.database.write() as connection:
                await connection.execute(ADD)
                return len((await connection.execute(select(table.c.seq))).all())

        async with one.database.write() as connection:
            await connection.execute(ADD)
            writer = asyncio.ensure_future(second())
            assert await count(other.database) == 0
            assert not writer.done()
        assert await writer == 2


async def test_numbers_of_changes_are_committed_in_their_order(tmp_path: Path) -> None:
    """A reader that has seen number n never finds a lower one later."""
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        done = asyncio.Event()

        async def write(database: Database) -> None:
            for number in range(20):
                async with database.write() as connection:
                    await changes.note(connection, changes.API_KEY, "ac_1", f"ak_{number}", 1.0)

        async def watch() -> list[int]:
            seen: list[int] = []
            last = False
            while not last:
                last = done.is_set()
                async with one.database.read() as connection:
                    seen += [each.seq for each in await changes.after(connection, max(seen, default=0))]
            return seen

        watching = asyncio.ensure_future(watch())
        await asyncio.gather(*(write(each.database) for each in (one, one, other, other)))
        done.set()
        seen = await watching
        async with one.database.read() as connection:
            assert seen == [each.seq for each in await changes.after(connection, 0)]
        assert len(seen) == 80


async def test_a_reading_transaction_sees_one_state(tmp_path: Path) -> None:
    async with opened(tmp_path) as context, context.database.read() as reader:
        assert await changes.last(reader) == 0
        async with context.database.write() as writer:
            await writer.execute(ADD)
        assert await changes.last(reader) == 0


async def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:

        async def fail() -> None:
            async with context.database.write() as connection:
                await connection.execute(ADD)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        assert await count(context.database) == 0


async def test_a_cancelled_transaction_leaves_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        written = asyncio.Event()

        async def hang() -> None:
            async with context.database.write() as connection:
                await connection.execute(ADD)
                written.set()
                await asyncio.Event().wait()

        hanging = asyncio.ensure_future(hang())
        await written.wait()
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        assert await count(context.database) == 0
        async with context.database.write() as connection:  # and nobody holds the lock
            await connection.execute(ADD)


async def test_what_a_statement_does_wrong_is_not_the_stores_state(tmp_path: Path) -> None:
    row = {"id": "ac_1", "name": "a", "plan": "", "created_at": 0.0}
    async with opened(tmp_path) as context:
        with pytest.raises(IntegrityError) as caught:
            async with context.database.write() as connection:
                await connection.execute(insert(accounts), [row, row])
        assert "hidden" in str(caught.value), "values end up in logs"
        assert "ac_1" not in str(caught.value.statement)


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
async def test_a_character_that_cannot_be_stored_is_no_failure_of_the_store(
    tmp_path: Path, text: str, back_end: str
) -> None:
    row = {"id": "ac_1", "name": text, "plan": "", "created_at": 0.0}
    async with opened(tmp_path) as context:

        async def write() -> None:
            async with context.database.write() as connection:
                await connection.execute(insert(accounts).values(row))

        if text == "a\0b" and back_end == SQLITE:
            await write()  # it can
            return
        with pytest.raises(Error, match="character that the store cannot hold") as caught:
            await write()
        assert not isinstance(caught.value, StoreUnavailable)


async def test_a_store_that_fails_says_so_once_and_heals(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    @asynccontextmanager
    async def broken(database: Database) -> AsyncGenerator[None]:
        async with database.write() as connection:
            yield
            del connection
            raise ConnectionResetError("the cable")

    async with opened(tmp_path) as context:
        for _ in range(2):
            with pytest.raises(StoreUnavailable) as caught:
                async with broken(context.database):
                    pass
            assert isinstance(caught.value, Error)
            assert caught.value.code == ""
        assert await count(context.database) == 0
    messages = [each.getMessage() for each in caplog.records if "store" in each.getMessage()]
    assert len(messages) == 2
    assert "cannot be used: the cable" in messages[0]
    assert "can be used again" in messages[1]


async def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    where = place(tmp_path)
    async with open_database(where) as database, database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="newer portway"):
        async with open_database(where):
            pass


async def test_a_store_can_be_opened_only_if_it_is_there(tmp_path: Path) -> None:
    where = place(tmp_path)
    with pytest.raises(ConfigError, match="no service has run"):
        async with open_database(where, create=False):
            pass
    async with open_database(where):
        pass
    async with open_database(where, create=False) as database:
        assert await count(database) == 0


async def test_a_migration_that_fails_leaves_nothing(tmp_path: Path) -> None:
    where = place(tmp_path)
    async with open_database(where) as database, database.write() as connection:
        await connection.execute(delete(accounts))
        await connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    with pytest.raises(ConfigError, match="not a usable database"):  # 0002 finds its columns there
        async with open_database(where):
            pass
    database = Database(back_end_of(where))
    try:
        async with database.read() as connection:
            version = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar()
        assert version == "0001"
    finally:
        await database.close()
