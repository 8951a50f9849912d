"""The tables of events."""

from portway.control.store import event_tables, schema


def test_they_are_part_of_a_new_store() -> None:
    names = {"event_destinations", "event_subscriptions", "event_sources", "event_links"}
    assert {*names, "audit_events", "audit_deliveries", "event_leases"} <= set(schema.metadata.tables)
    assert event_tables.audit_events.c.id.unique
