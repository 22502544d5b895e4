"""Lookups of earlier studies elsewhere, a round each."""

import sqlalchemy as sa
from alembic import op

revision = "data_0006_lookups"
down_revision = "data_0005_headers"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "lookups",
        sa.Column("round", sa.String(32), sa.ForeignKey("rounds.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("found_index", sa.LargeBinary(32), index=True),
        sa.Column("outcome", sa.String(64)),
    )
