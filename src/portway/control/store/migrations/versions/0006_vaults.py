"""Tables of vaults and their secrets."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ID = sa.String(40).with_variant(sa.String(40, collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    _noun("vaults", sa.UniqueConstraint("account_id", "name", name="uq_vaults_account_id_name"))
    _noun(
        "vault_secrets",
        sa.Column("vault_id", _ID, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("vault_id", "name", name="uq_vault_secrets_vault_id_name"),
        sa.ForeignKeyConstraint(["vault_id"], ["vaults.id"], name="fk_vault_secrets_vault_id"),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("vault_secrets", "vaults"):
        op.drop_table(table)


def _noun(name: str, *columns: "sa.Column[object] | sa.Constraint") -> None:
    op.create_table(
        name,
        sa.Column("id", _ID, primary_key=True),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(255), nullable=False),
        sa.Column("metadata", sa.Text, nullable=False, server_default=""),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.Column("created_by", sa.String(40), nullable=False),
        sa.Column("updated_by", sa.String(40), nullable=False),
        *columns,
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=f"fk_{name}_account_id"),
    )
    op.create_index(f"ix_{name}_account_id_id", name, ["account_id", "id"])
