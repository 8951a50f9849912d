"""The table of which service sends audit events to which destination, where several have one store."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ID = sa.String(40).with_variant(sa.String(40, collation="C"), "postgresql")
LEASES = "event_leases"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        LEASES,
        sa.Column("destination_id", _ID, primary_key=True),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("until", sa.Float, nullable=False),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table(LEASES)
