"""Tables of edges, their routes and modules, and backends."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ID = sa.String(40).with_variant(sa.String(40, collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    _noun(
        "edges",
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("modules", sa.Text, nullable=False),
    )
    op.create_table(
        "edge_endpoints",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("edge_id", _ID, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("hostport", sa.String(320), nullable=False),
        sa.Column("url", sa.String(320), nullable=False),
        sa.Column("place", sa.String(320), nullable=False),
        sa.Column("domain_id", _ID),
        sa.Column("tcp_addr_id", _ID),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.UniqueConstraint("place", name="uq_edge_endpoints_place"),
        _to("edge_endpoints", "account_id", "accounts"),
        _to("edge_endpoints", "edge_id", "edges"),
        _to("edge_endpoints", "domain_id", "reserved_domains"),
        _to("edge_endpoints", "tcp_addr_id", "reserved_addrs"),
    )
    op.create_index("ix_edge_endpoints_account_id_id", "edge_endpoints", ["account_id", "id"])
    for column in ("edge_id", "url", "domain_id", "tcp_addr_id"):
        op.create_index(f"ix_edge_endpoints_{column}", "edge_endpoints", [column])
    _noun(
        "edge_routes",
        sa.Column("edge_id", _ID, nullable=False),
        sa.Column("match_type", sa.String(16), nullable=False),
        sa.Column("path", sa.String(1024), nullable=False),
        sa.Column("modules", sa.Text, nullable=False),
        sa.UniqueConstraint("edge_id", "path", name="uq_edge_routes_edge_id_path"),
        _to("edge_routes", "edge_id", "edges"),
    )
    _noun(
        "backends",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("backends", "edge_routes", "edge_endpoints", "edges"):
        op.drop_table(table)


def _to(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=f"fk_{table}_{column}")


def _noun(name: str, *columns: sa.Column[object] | sa.Constraint) -> None:
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
