"""Wrapped keys."""

import sqlalchemy as sa
from alembic import op

revision = "keys_0001"
down_revision = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "wrapped_keys",
        sa.Column("owner", sa.String(32), primary_key=True),
        sa.Column("kek_id", sa.String(64), nullable=False, index=True),
        sa.Column("data_key_id", sa.String(32), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary, nullable=False),
    )
