"""All tables together."""

from portway.control.store import schema, tables


def test_every_module_of_tables_adds_to_one_metadata() -> None:
    assert schema.metadata is tables.metadata
    assert {"accounts", "event_destinations", "ip_policies"} <= set(schema.metadata.tables)
