"""The history of the tables: a store of each release is brought up to date with all it holds."""

from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError
from tests.kit.store import opened, place

from portway.control.store import accounts as account_rows
from portway.control.store import changes, keys, reservations
from portway.control.store.database import Database, back_end_of, open_database
from portway.control.store.tables import api_keys, credentials
from portway.model.entities import Account, Reservation

MIGRATIONS = Path(__file__).parents[3] / "src/portway/control/store/migrations"

FIRST = """
INSERT INTO accounts VALUES ('ac_B', 'alice', 'free', 1.5), ('ac_a', 'bob', 'paid', 2.5);
INSERT INTO credentials VALUES ('cr_1', 'ac_B', 'laptop', {hash}, 3.5, NULL);
INSERT INTO credentials VALUES ('cr_2', 'ac_a', '', {hash}, 4.5, 5.5);
INSERT INTO api_keys VALUES ('ak_1', 'ac_B', 'script', {hash}, 6.5, NULL);
INSERT INTO api_keys VALUES ('ak_2', 'ac_a', '', {hash}, 7.5, 8.5);
INSERT INTO reservations VALUES ('tcp://localhost:20000', 'ac_B', 'one', NULL);
INSERT INTO reservations VALUES ('https://x', 'ac_a', 'two', 9.5);
INSERT INTO changes (kind, account_id, subject_id, at) VALUES ('credential_revoked', 'ac_a', 'cr_2', 5.5);
"""
"""Rows in every table of revision 0001."""

HASH = bytes(range(32))


def migrate(connection: Connection, revision: str) -> None:
    from alembic.command import downgrade, upgrade
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    (downgrade if revision == "base" else upgrade)(config, revision)


async def made_by_the_first(where: Path | str) -> None:
    """Make a store as the first release did, with rows in every table."""
    database = Database(back_end_of(where))
    try:
        async with database.write() as connection:
            await connection.run_sync(migrate, "0001")
            literal = f"x'{HASH.hex()}'" if isinstance(where, Path) else f"'\\x{HASH.hex()}'"
            for statement in FIRST.format(hash=literal).strip().split("\n"):
                await connection.exec_driver_sql(statement)
    finally:
        await database.close()


async def test_every_row_of_the_first_release_is_kept(tmp_path: Path) -> None:
    where = place(tmp_path)
    await made_by_the_first(where)
    async with opened(tmp_path) as context, context.database.read() as connection:
        assert await account_rows.listed(connection) == [
            Account("ac_B", "alice", "free", 1.5),
            Account("ac_a", "bob", "paid", 2.5),
        ]
        for table, prefix in ((credentials, "cr"), (api_keys, "ak")):
            good = await keys.find(connection, table, f"{prefix}_1")
            ended = await keys.find(connection, table, f"{prefix}_2")
            assert good is not None
            assert ended is not None
            assert (good.account_id, good.token_hash, good.revoked_at) == ("ac_B", HASH, None)
            assert ended.revoked_at == ended.created_at + 1
        assert await reservations.standing(connection, 9.0) == [
            Reservation("https://x", "ac_a", "two", 9.5),
            Reservation("tcp://localhost:20000", "ac_B", "one"),
        ]
        old = changes.Change(1, "credential_revoked", "ac_a", "cr_2")
        assert await changes.after(connection, 0) == [old]
        columns = text("SELECT metadata, owner_id, acl FROM credentials")
        assert (await connection.execute(columns)).all() == [("", "", "[]")] * 2


async def test_what_was_migrated_goes_on_as_if_it_were_new(tmp_path: Path) -> None:
    where = place(tmp_path)
    await made_by_the_first(where)
    async with open_database(where) as database:
        async with database.write() as connection:
            await changes.note(connection, changes.CREDENTIAL, "ac_B", "cr_1", 10.0)
            assert await changes.last(connection) == 2, "numbers go on"
        with pytest.raises(IntegrityError):
            async with database.write() as connection:
                await keys.add(connection, credentials, keys.KeyRow("cr_9", "ac_x", "", HASH, 1.0))
        with pytest.raises(IntegrityError):
            async with database.write() as connection:
                await account_rows.add(connection, Account("ac_c", "alice", "free", 1.0))


async def test_the_way_back_leads_to_an_empty_store(tmp_path: Path) -> None:
    where = place(tmp_path)
    await made_by_the_first(where)
    async with open_database(where) as database, database.write() as connection:
        await connection.run_sync(migrate, "base")
        assert await connection.run_sync(tables) == ["alembic_version"]


def tables(connection: Connection) -> list[str]:
    from sqlalchemy import inspect

    return inspect(connection).get_table_names()


async def test_a_new_store_is_as_the_migrations_would_have_made_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as context, context.database.read() as connection:
        at_once = await connection.run_sync(described)
    (tmp_path / "old").mkdir()
    where = place(tmp_path / "old")
    await made_by_the_first(where)
    async with open_database(where) as database, database.read() as connection:
        assert await connection.run_sync(described) == at_once
    assert "alembic_version" in at_once


def described(connection: Connection) -> dict[str, object]:
    """Return all that the database knows of its tables, whatever the order in which they were made."""
    from sqlalchemy import inspect

    found = inspect(connection)
    return {
        table: (
            sorted(
                (each["name"], str(each["type"]), getattr(each["type"], "collation", None), each["nullable"])
                for each in found.get_columns(table)
            ),
            sorted((each["name"], plain(each["default"])) for each in found.get_columns(table)),
            found.get_pk_constraint(table)["constrained_columns"],
            sorted(
                (each["constrained_columns"], each["referred_table"], str(each.get("options", {})))
                for each in found.get_foreign_keys(table)
            ),
            sorted((each["column_names"]) for each in found.get_unique_constraints(table)),
            sorted(
                (str(each["name"]), each["column_names"], bool(each["unique"]))
                for each in found.get_indexes(table)
            ),
        )
        for table in found.get_table_names()
    }


def plain(default: str | None) -> str:
    """Return a default without the cast and the quotes that one back end writes and the other does not."""
    return (default or "").partition("::")[0].strip("'\"")
