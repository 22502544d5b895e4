"""Key-encryption keys that were rotated out."""

import sqlalchemy as sa
from alembic import op

revision = "keys_0002"
down_revision = "keys_0001"


def upgrade() -> None:
    """Make the table."""
    op.create_table("retired_keks", sa.Column("kek_id", sa.String(64), primary_key=True))
