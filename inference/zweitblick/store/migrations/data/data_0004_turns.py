"""Turns of rounds, codes of events, and workers with their heartbeats."""

import sqlalchemy as sa
from alembic import op

revision = "data_0004_turns"
down_revision = "data_0003_deliveries"

_TURNS = """
    UPDATE rounds SET turn = (
        SELECT count(*) FROM events
        WHERE events.round = rounds.id AND events.event IN ('completed', 'replayed', 'attempt failed')
    )
"""


def upgrade() -> None:
    """Add columns and table, and count the turns that rounds have had."""
    op.add_column("rounds", sa.Column("turn", sa.Integer, nullable=False, server_default="0"))
    op.add_column("events", sa.Column("code", sa.String(64), nullable=False, server_default=""))
    op.create_table(
        "workers",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("beat", sa.BigInteger, nullable=False),
    )
    op.execute(_TURNS)
