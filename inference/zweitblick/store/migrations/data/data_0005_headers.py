"""Headers of instances and results, so that none is opened for every question."""

import sqlalchemy as sa
from alembic import op

revision = "data_0005_headers"
down_revision = "data_0004_turns"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "headers",
        sa.Column("object", sa.String(32), sa.ForeignKey("objects.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("header", sa.LargeBinary, nullable=False),
    )
