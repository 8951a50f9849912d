"""Accounts, credentials, API keys, reservations and changes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("plan", sa.String(40), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.UniqueConstraint("name", name="uq_accounts_name"),
    )
    for table in ("credentials", "api_keys"):
        op.create_table(
            table,
            sa.Column("id", sa.String(40), primary_key=True),
            sa.Column("account_id", sa.String(40), nullable=False),
            sa.Column("description", sa.String(255), nullable=False),
            sa.Column("token_hash", sa.LargeBinary(32), nullable=False),
            sa.Column("created_at", sa.Float, nullable=False),
            sa.Column("revoked_at", sa.Float),
            sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=f"fk_{table}_account_id"),
        )
        op.create_index(f"ix_{table}_account_id", table, ["account_id"])
    op.create_table(
        "reservations",
        sa.Column("url", sa.String(320), primary_key=True),
        sa.Column("account_id", sa.String(40), nullable=False),
        sa.Column("session_key", sa.String(255), nullable=False),
        sa.Column("held_until", sa.Float),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_reservations_account_id"),
    )
    op.create_index("ix_reservations_account_id", "reservations", ["account_id"])
    op.create_table(
        "changes",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("account_id", sa.String(40), nullable=False),
        sa.Column("subject_id", sa.String(40), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_changes_at", "changes", ["at"])


def downgrade() -> None:
    """Drop everything."""
    for table in ("changes", "reservations", "api_keys", "credentials", "accounts"):
        op.drop_table(table)
