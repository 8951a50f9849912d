"""Tables of event destinations, subscriptions and the journal of what is to be delivered."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ID = sa.String(40).with_variant(sa.String(40, collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    _noun(
        "event_destinations",
        sa.Column("format", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
    )
    _noun("event_subscriptions", sa.Column("traffic", sa.Text, nullable=False, server_default="{}"))
    op.create_table(
        "event_sources",
        sa.Column("subscription_id", _ID, primary_key=True),
        sa.Column("type", sa.String(80), primary_key=True),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("filter", sa.Text, nullable=False, server_default=""),
        sa.Column("fields", sa.Text, nullable=False, server_default=""),
        sa.Column("sample", sa.Float),
        _to("event_sources", "subscription_id", "event_subscriptions"),
    )
    op.create_index("ix_event_sources_account_id_type", "event_sources", ["account_id", "type"])
    op.create_table(
        "event_links",
        sa.Column("subscription_id", _ID, primary_key=True),
        sa.Column("destination_id", _ID, primary_key=True),
        sa.Column("place", sa.Integer, nullable=False),
        _to("event_links", "subscription_id", "event_subscriptions"),
        _to("event_links", "destination_id", "event_destinations"),
    )
    op.create_index("ix_event_links_destination_id", "event_links", ["destination_id"])
    op.create_table(
        "audit_events",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", _ID, nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.UniqueConstraint("id", name="uq_audit_events_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_events_at", "audit_events", ["at"])
    op.create_table(
        "audit_deliveries",
        sa.Column("destination_id", _ID, primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    )
    op.create_index("ix_audit_deliveries_seq", "audit_deliveries", ["seq"])


def downgrade() -> None:
    """Drop them."""
    for table in (
        "audit_deliveries",
        "audit_events",
        "event_links",
        "event_sources",
        "event_subscriptions",
        "event_destinations",
    ):
        op.drop_table(table)


def _noun(name: str, *columns: "sa.Column[object]") -> None:
    op.create_table(
        name,
        sa.Column("id", _ID, primary_key=True),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("description", sa.String(255), nullable=False),
        sa.Column("metadata", sa.Text, nullable=False, server_default=""),
        sa.Column("created_at", sa.Float, nullable=False),
        *columns,
        _to(name, "account_id", "accounts"),
    )
    op.create_index(f"ix_{name}_account_id_id", name, ["account_id", "id"])


def _to(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{target}.id"], name=f"fk_{table}_{column}")
