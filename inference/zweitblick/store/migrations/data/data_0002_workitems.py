"""Work items and who is told of them."""

import sqlalchemy as sa
from alembic import op

revision = "data_0002_workitems"
down_revision = "data_0001"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "workitems",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column(
            "study", sa.String(32), sa.ForeignKey("studies.token", ondelete="CASCADE"), nullable=False, index=True
        ),
        sa.Column("uid_index", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("state", sa.String(11), nullable=False, index=True),
        sa.Column("made_us", sa.BigInteger, nullable=False),
        sa.Column("details", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("ae_title", sa.String(16), nullable=False),
        sa.Column("workitem", sa.String(32), sa.ForeignKey("workitems.id", ondelete="CASCADE")),
        sa.UniqueConstraint("ae_title", "workitem", name="subscribed_once"),
    )
