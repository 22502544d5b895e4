"""Studies, their rounds, objects, receptions and events."""

import sqlalchemy as sa
from alembic import op

revision = "data_0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table("identities", sa.Column("index_key_id", sa.String(32), primary_key=True))
    op.create_table(
        "studies",
        sa.Column("token", sa.String(32), primary_key=True),
        sa.Column("uid_index", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("patient_index", sa.LargeBinary(32), index=True),
        sa.Column("accession_index", sa.LargeBinary(32), index=True),
        sa.Column("shredding", sa.Boolean, nullable=False),
        sa.Column("details", sa.LargeBinary, nullable=False),
    )
    _rounds_and_events()
    _objects_and_receptions()


def _rounds_and_events() -> None:
    op.create_table(
        "rounds",
        sa.Column("id", sa.String(32), primary_key=True),
        _study(),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("supersedes", sa.String(32), sa.ForeignKey("rounds.id", ondelete="CASCADE")),
        sa.Column("arrived_us", sa.BigInteger, nullable=False),
        sa.Column("quiet_us", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("study", "number", name="one_round_of_a_number"),
    )
    op.create_index("rounds_by_state", "rounds", ["state", "quiet_us"])
    op.create_table(
        "events",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        _study(index=True),
        sa.Column("round", sa.String(32), sa.ForeignKey("rounds.id", ondelete="CASCADE"), nullable=False),
        sa.Column("event", sa.String(20), nullable=False),
        sa.Column("before", sa.String(20), nullable=False),
        sa.Column("after", sa.String(20), nullable=False),
        sa.Column("actor", sa.String(20), nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
    )


def _objects_and_receptions() -> None:
    op.create_table(
        "objects",
        sa.Column("id", sa.String(32), primary_key=True),
        _study(),
        sa.Column("round", sa.String(32), sa.ForeignKey("rounds.id", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("file", sa.String(32), nullable=False, index=True),
        sa.Column("start", sa.BigInteger, nullable=False),
        sa.Column("sealed_bytes", sa.BigInteger, nullable=False),
        sa.Column("identity_index", sa.LargeBinary(32), nullable=False),
        sa.Column("series_index", sa.LargeBinary(32)),
        sa.Column("content_index", sa.LargeBinary(32), nullable=False),
        sa.Column("conflicts_with", sa.String(32), sa.ForeignKey("objects.id", ondelete="CASCADE")),
        sa.Column("details", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("study", "identity_index", "content_index", name="content_kept_once"),
    )
    first = sa.text("conflicts_with IS NULL")
    op.create_index(
        "first_of_an_identity",
        "objects",
        ["study", "identity_index"],
        unique=True,
        sqlite_where=first,
        postgresql_where=first,
    )
    op.create_table(
        "receptions",
        sa.Column("id", sa.String(32), primary_key=True),
        _study(index=True),
        sa.Column("object", sa.String(32), sa.ForeignKey("objects.id", ondelete="CASCADE"), nullable=False),
        sa.Column("outcome", sa.String(9), nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("details", sa.LargeBinary, nullable=False),
    )


def _study(*, index: bool = False) -> sa.Column[str]:
    return sa.Column(
        "study", sa.String(32), sa.ForeignKey("studies.token", ondelete="CASCADE"), nullable=False, index=index
    )
