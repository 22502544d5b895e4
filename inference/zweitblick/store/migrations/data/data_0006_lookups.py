"""Lookups of earlier studies elsewhere, a round each, and what was fetched for them."""

import sqlalchemy as sa
from alembic import op

revision = "data_0006_lookups"
down_revision = "data_0005_headers"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "lookups",
        sa.Column("round", sa.String(32), sa.ForeignKey("rounds.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("outcome", sa.String(64), nullable=False),
    )
    op.create_table(
        "fetched",
        sa.Column("round", sa.String(32), sa.ForeignKey("rounds.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("uid_index", sa.LargeBinary(32), primary_key=True, index=True),
        sa.Column("completed", sa.Boolean, nullable=False),
    )
