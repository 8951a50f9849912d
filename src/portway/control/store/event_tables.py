"""The tables of events: where they go, who wants which, and the journal of those that must not be lost.

Traffic events are never in the store; those for durable destinations are in files beside it. An audit event
is written down in the transaction that changes the thing, once, with one row for each destination that it
must still reach; the row goes when it has arrived.
"""

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    false,
)

from portway.control.store.tables import ID, metadata

event_destinations = Table(
    "event_destinations",
    metadata,
    Column("id", ID, primary_key=True),
    Column("account_id", ID, ForeignKey("accounts.id"), nullable=False),
    Column("description", String(255), nullable=False),
    Column("metadata", Text, nullable=False, server_default=""),
    Column("created_at", Float, nullable=False),
    Column("format", String(16), nullable=False),
    # Which of the keys of a target it has, then that key's value as JSON, secrets left out: they are sealed.
    Column("kind", String(40), nullable=False),
    Column("settings", Text, nullable=False),
    Column("sealed", LargeBinary),
    # Whether its traffic events stand on disk until they have arrived.
    Column("durable", Boolean, nullable=False, server_default=false()),
    Index(None, "account_id", "id"),
)

event_subscriptions = Table(
    "event_subscriptions",
    metadata,
    Column("id", ID, primary_key=True),
    Column("account_id", ID, ForeignKey("accounts.id"), nullable=False),
    Column("description", String(255), nullable=False),
    Column("metadata", Text, nullable=False, server_default=""),
    Column("created_at", Float, nullable=False),
    # What the edge must know: {type of traffic: with the fields of heads}; {} without a destination.
    Column("traffic", Text, nullable=False, server_default="{}"),
    Index(None, "account_id", "id"),
)

event_sources = Table(
    "event_sources",
    metadata,
    Column("subscription_id", ID, ForeignKey("event_subscriptions.id"), primary_key=True),
    Column("type", String(80), primary_key=True),
    Column("account_id", ID, nullable=False),
    # Sources are shown in the order in which they were added.
    Column("place", Integer, nullable=False),
    Column("filter", Text, nullable=False, server_default=""),
    # A JSON list of fields, "" for all of them.
    Column("fields", Text, nullable=False, server_default=""),
    Column("sample", Float),
    Index(None, "account_id", "type"),
)

event_links = Table(
    "event_links",
    metadata,
    Column("subscription_id", ID, ForeignKey("event_subscriptions.id"), primary_key=True),
    Column("destination_id", ID, ForeignKey("event_destinations.id"), primary_key=True, index=True),
    Column("place", Integer, nullable=False),
)

audit_events = Table(
    "audit_events",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", ID, nullable=False, unique=True),
    Column("account_id", ID, nullable=False),
    Column("at", Float, nullable=False, index=True),
    # The whole event, JSON.
    Column("body", Text, nullable=False),
    sqlite_autoincrement=True,
)

audit_deliveries = Table(
    "audit_deliveries",
    metadata,
    # What has not arrived yet. No foreign keys: a destination's rows go with it, old events with theirs.
    Column("destination_id", ID, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False, index=True),
)

event_leases = Table(
    "event_leases",
    metadata,
    # Which of several services on one store sends audit events there, and until when no other does.
    Column("destination_id", ID, primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("until", Float, nullable=False),
)
