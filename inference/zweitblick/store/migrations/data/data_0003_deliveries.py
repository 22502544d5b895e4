"""Deliveries of rounds to destinations."""

import sqlalchemy as sa
from alembic import op

revision = "data_0003_deliveries"
down_revision = "data_0002_workitems"


def upgrade() -> None:
    """Make the table."""
    study = sa.ForeignKey("studies.token", ondelete="CASCADE")
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("study", sa.String(32), study, nullable=False, index=True),
        sa.Column("round", sa.String(32), sa.ForeignKey("rounds.id", ondelete="CASCADE"), nullable=False),
        sa.Column("destination", sa.String(32), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("error_code", sa.String(64)),
        sa.Column("acknowledged_us", sa.BigInteger),
        sa.Column("asked_us", sa.BigInteger),
        sa.Column("transaction_uid", sa.String(64), unique=True),
        sa.UniqueConstraint("round", "destination", name="one_delivery_of_a_destination"),
    )
