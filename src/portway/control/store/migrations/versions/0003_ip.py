"""Tables of IP policies, their rules and IP restrictions."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ID = sa.String(40).with_variant(sa.String(40, collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    _noun("ip_policies")
    _noun(
        "ip_policy_rules",
        sa.Column("ip_policy_id", _ID, nullable=False),
        sa.Column("cidr", sa.String(64), nullable=False),
        sa.Column("action", sa.String(8), nullable=False),
        sa.UniqueConstraint("ip_policy_id", "cidr", name="uq_ip_policy_rules_ip_policy_id_cidr"),
        sa.ForeignKeyConstraint(["ip_policy_id"], ["ip_policies.id"], name="fk_ip_policy_rules_ip_policy_id"),
    )
    _noun(
        "ip_restrictions",
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("enforced", sa.Boolean, nullable=False),
        sa.Column("ip_policy_ids", sa.Text, nullable=False),
        sa.UniqueConstraint("account_id", "type", name="uq_ip_restrictions_account_id_type"),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("ip_restrictions", "ip_policy_rules", "ip_policies"):
        op.drop_table(table)


def _noun(name: str, *columns: "sa.Column[object] | sa.Constraint") -> None:
    op.create_table(
        name,
        sa.Column("id", _ID, primary_key=True),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("description", sa.String(255), nullable=False),
        sa.Column("metadata", sa.Text, nullable=False, server_default=""),
        sa.Column("created_at", sa.Float, nullable=False),
        *columns,
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=f"fk_{name}_account_id"),
    )
    op.create_index(f"ix_{name}_account_id_id", name, ["account_id", "id"])
