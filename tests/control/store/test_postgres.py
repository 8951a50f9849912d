"""The store as a PostgreSQL database: its order of identifiers, a server that goes away."""

import asyncio
import logging
from collections.abc import Generator
from pathlib import Path

import pytest
from sqlalchemy import insert, text
from tests.kit.postgres import Cluster, cluster
from tests.kit.store import Clock

from portway.control.service import accounts, credentials
from portway.control.service.context import Context
from portway.control.store import postgres
from portway.control.store.database import Database, back_end_of, open_database
from portway.control.store.tables import ID, changes, metadata
from portway.errors import ConfigError, StoreUnavailable

ADD = insert(changes).values(kind="k", account_id="a", subject_id="s", at=0.0)


@pytest.fixture
def server() -> Cluster:
    return cluster()


@pytest.fixture(scope="module")
def fragile() -> Generator[Cluster]:
    """A server of this module's own, which may be killed and frozen."""
    made = Cluster()
    yield made
    made.remove()


async def test_identifiers_are_compared_byte_by_byte(server: Cluster) -> None:
    name = server.database()
    async with open_database(server.url(name)) as database, database.read() as connection:
        order = text("SELECT x FROM (VALUES ('ra_a'), ('ra_B'), ('ra_0')) AS t (x) ORDER BY x")
        assert list((await connection.execute(order)).scalars()) == ["ra_0", "ra_a", "ra_B"], "in English"
        found = await connection.execute(
            text(
                "SELECT c.relname || '.' || a.attname, l.collname FROM pg_attribute a"
                " JOIN pg_class c ON c.oid = a.attrelid JOIN pg_collation l ON l.oid = a.attcollation"
                " WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace"
            )
        )
        collations = {row[0]: row[1] for row in found}
    expected = {
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        for column in table.columns
        if column.type is ID
    }
    assert len(expected) > 20
    assert {name for name, collation in collations.items() if collation == "C"} == expected


async def test_a_reading_transaction_cannot_write(server: Cluster) -> None:
    async with open_database(server.url(server.database())) as database:
        with pytest.raises(StoreUnavailable) as caught:
            async with database.read() as connection:
                await connection.execute(ADD)
    assert "read-only" in str(caught.value.__cause__)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://tester@/nonsense?host={folder}", "nonsense"),
        ("postgresql://stranger@/postgres?host={folder}", "stranger"),
        ("postgresql://tester@/postgres?host={folder}&sslmode=nonsense", "sslmode"),
    ],
    ids=["no database", "no user", "bad option"],
)
async def test_a_url_that_can_never_work_is_refused(server: Cluster, url: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        async with open_database(url.format(folder=server.folder)):
            pass


async def test_a_user_who_may_make_no_tables_is_told_so(server: Cluster) -> None:
    name = server.database()
    server.sql(f"CREATE ROLE guest_{name} LOGIN")
    with pytest.raises(ConfigError, match="permission denied"):
        async with open_database(server.url(name, f"guest_{name}")):
            pass


async def test_a_server_that_is_not_there_may_come(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        async with open_database(f"postgresql://me:hunter2@/portway?host={tmp_path}"):
            pass


async def test_the_password_is_never_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"postgresql://me:hunter2@/portway?host={tmp_path}"
    database = Database(back_end_of(url))
    with pytest.raises(StoreUnavailable) as caught:
        async with database.read():
            pass
    assert "hunter2" not in caplog.text + repr(database) + str(caught.value) + str(caught.value.__cause__)
    assert "postgresql:///portway cannot be used" in caplog.text


async def test_transactions_go_on_after_every_connection_was_cut(server: Cluster) -> None:
    name = server.database()
    async with open_database(server.url(name)) as database:
        async with database.write() as one, database.read() as two:
            await one.execute(ADD)
            await two.execute(text("SELECT 1"))
        cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = "
        assert int(server.sql(f"{cut}'{name}'")) >= 2
        async with database.write() as connection:
            await connection.execute(ADD)
        async with database.read() as connection:
            assert (await connection.execute(text("SELECT count(*) FROM changes"))).scalar() == 2


async def test_a_connection_cut_within_a_transaction_leaves_nothing(server: Cluster) -> None:
    name = server.database()
    async with open_database(server.url(name)) as database:

        async def write() -> None:
            async with database.write() as connection:
                await connection.execute(ADD)
                pid = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar()
                server.sql(f"SELECT pg_terminate_backend({pid}, 10000)")
                await connection.execute(ADD)

        with pytest.raises(StoreUnavailable):
            await write()
        async with database.read() as connection:
            assert (await connection.execute(text("SELECT count(*) FROM changes"))).scalar() == 0


async def test_a_server_that_is_killed_is_found_again(fragile: Cluster) -> None:
    async with open_database(fragile.url(fragile.database())) as database:
        context = Context(database, now=Clock())
        await accounts.add(context, "a")
        token = (await credentials.add(context)).token
        await asyncio.to_thread(fragile.stop)
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await credentials.authenticate(context, token)
        await asyncio.to_thread(fragile.start)
        assert (await credentials.authenticate(context, token)).account_name == "a"
        await credentials.add(context)


async def test_a_server_that_falls_silent_is_not_waited_for(
    fragile: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "CONNECT_TIMEOUT", 2.0)
    url = fragile.url(fragile.database())
    async with open_database(url):
        pass
    database = Database(back_end_of(url, command_timeout=2.0))
    try:
        async with database.read() as connection:
            await connection.execute(text("SELECT 1"))
        with fragile.frozen():
            with pytest.raises(StoreUnavailable):
                async with database.write() as connection:
                    await connection.execute(ADD)
            with pytest.raises(StoreUnavailable):
                async with database.read() as connection:
                    await connection.execute(text("SELECT 1"))
        async with database.write() as connection:
            await connection.execute(ADD)
    finally:
        await database.close()
