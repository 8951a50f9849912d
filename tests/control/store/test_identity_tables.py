"""The tables of people who sign in, and of their sessions."""

from portway.control.store import identity_tables, schema


def test_they_are_part_of_a_new_store() -> None:
    assert {"application_users", "application_sessions"} <= set(schema.metadata.tables)
    columns = identity_tables.application_sessions.c
    assert columns.token_hash.unique
    assert not [each.name for each in columns if each.name in ("token", "tokens", "access_token")]
