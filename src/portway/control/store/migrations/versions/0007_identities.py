"""Tables of who signed in through an endpoint, and their sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_ID = sa.String(40).with_variant(sa.String(40, collation="C"), "postgresql")
USERS, SESSIONS = "application_users", "application_sessions"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        USERS,
        sa.Column("id", _ID, primary_key=True),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("provider", sa.String(255), nullable=False),
        sa.Column("provider_url", sa.String(255), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("email", sa.String(255), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("username", sa.Text, nullable=False),
        *_times("created_at", "last_active", "last_login"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=f"fk_{USERS}_account_id"),
        sa.UniqueConstraint(
            "account_id",
            "provider",
            "provider_url",
            "subject",
            name=f"uq_{USERS}_account_id_provider_provider_url_subject",
        ),
    )
    op.create_index(f"ix_{USERS}_account_id_id", USERS, ["account_id", "id"])
    op.create_table(
        SESSIONS,
        sa.Column("id", _ID, primary_key=True),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("endpoint_id", _ID, nullable=False),
        sa.Column("public_url", sa.Text, nullable=False),
        sa.Column("realm", sa.Text, nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("settings", sa.String(64), nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("sealed_tokens", sa.LargeBinary, nullable=False),
        sa.Column("user_agent", sa.Text, nullable=False),
        sa.Column("ip", sa.String(64), nullable=False),
        sa.Column("country", sa.String(8), nullable=False),
        sa.Column("latitude", sa.Float, nullable=False),
        sa.Column("longitude", sa.Float, nullable=False),
        sa.Column("radius", sa.Integer, nullable=False),
        *_times("idle", "most", "created_at", "last_active", "refreshed_at", "expires_at"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=f"fk_{SESSIONS}_account_id"),
        sa.ForeignKeyConstraint(["user_id"], [f"{USERS}.id"], name=f"fk_{SESSIONS}_user_id"),
        sa.UniqueConstraint("token_hash", name=f"uq_{SESSIONS}_token_hash"),
    )
    op.create_index(f"ix_{SESSIONS}_account_id_id", SESSIONS, ["account_id", "id"])
    op.create_index(f"ix_{SESSIONS}_user_id", SESSIONS, ["user_id"])
    op.create_index(f"ix_{SESSIONS}_expires_at", SESSIONS, ["expires_at"])


def downgrade() -> None:
    """Drop them."""
    for table in (SESSIONS, USERS):
        op.drop_table(table)


def _times(*names: str) -> "list[sa.Column[float]]":
    return [sa.Column(name, sa.Float, nullable=False) for name in names]
