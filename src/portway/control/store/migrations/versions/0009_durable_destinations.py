"""Whether traffic events for a destination stand on disk until they have arrived."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

DESTINATIONS = "event_destinations"


def upgrade() -> None:
    """Add the column; what is there was not asked to be durable."""
    column = sa.Column("durable", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column(DESTINATIONS, column)


def downgrade() -> None:
    """Drop it."""
    op.drop_column(DESTINATIONS, "durable")
