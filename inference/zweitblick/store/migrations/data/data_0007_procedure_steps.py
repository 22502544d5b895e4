"""What modalities tell of their work: procedure steps, and the instances that they list."""

import sqlalchemy as sa
from alembic import op

revision = "data_0007_procedure_steps"
down_revision = "data_0006_lookups"


def upgrade() -> None:
    """Make the tables."""
    study = sa.ForeignKey("studies.token", ondelete="CASCADE")
    op.create_table(
        "procedure_steps",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("study", sa.String(32), study, nullable=False, index=True),
        sa.Column("uid_index", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("state", sa.String(12), nullable=False),
    )
    step = sa.ForeignKey("procedure_steps.id", ondelete="CASCADE")
    op.create_table(
        "listed_instances",
        sa.Column("step", sa.String(32), step, primary_key=True),
        sa.Column("identity_index", sa.LargeBinary(32), primary_key=True),
    )
