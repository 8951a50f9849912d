"""The tables."""

from portway.control.store.tables import metadata


def test_no_column_can_hold_a_secret() -> None:
    columns = {f"{table.name}.{column.name}" for table in metadata.sorted_tables for column in table.columns}
    named = {
        each for each in columns if "token" in each.partition(".")[2] or "secret" in each.partition(".")[2]
    }
    assert named == {
        "credentials.token_hash",
        "api_keys.token_hash",
        "application_sessions.token_hash",
        "application_sessions.sealed_tokens",
    }
    kept = {each for each in columns if each.startswith("vault_secrets.")}
    assert "vault_secrets.sealed" in kept
    assert not any("value" in each for each in kept)
