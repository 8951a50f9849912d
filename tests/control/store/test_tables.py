"""The tables."""

from portway.control.store.tables import metadata


def test_no_column_can_hold_a_secret() -> None:
    columns = {f"{table.name}.{column.name}" for table in metadata.sorted_tables for column in table.columns}
    assert {each for each in columns if "token" in each or "secret" in each} == {
        "credentials.token_hash",
        "api_keys.token_hash",
    }
