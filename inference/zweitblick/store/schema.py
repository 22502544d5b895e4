"""The tables of the store. Every identifier is sealed or a keyed hash; what is in clear tells nothing of a patient.

Columns that end in ``_index`` are keyed hashes (`zweitblick.store.index`), those that end in ``_us`` are microseconds
since 1970 in UTC, and ``details`` is JSON sealed under the study's data key, bound to the study and to its row. Tokens
and ids are 32 random hexadecimal digits. `migrations` makes these tables; a test compares the two.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

data = MetaData()
"""What may be backed up anywhere."""
keys = MetaData()
"""Wrapped keys; apart, so that no backup of the data holds them."""

identities = Table(
    "identities",
    data,
    Column("index_key_id", String(32), primary_key=True),
)
"""One row: which index key made the hashes, so that the data of one store are not used with the keys of another."""

studies = Table(
    "studies",
    data,
    Column("token", String(32), primary_key=True),
    Column("uid_index", LargeBinary(32), nullable=False, unique=True),
    Column("patient_index", LargeBinary(32), index=True),
    Column("accession_index", LargeBinary(32), index=True),
    Column("shredding", Boolean, nullable=False),
    Column("details", LargeBinary, nullable=False),
)
"""``shredding``: its key is about to be destroyed, and all of it to be deleted, whatever happens in between."""

rounds = Table(
    "rounds",
    data,
    Column("id", String(32), primary_key=True),
    Column("study", ForeignKey("studies.token", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    Column("supersedes", ForeignKey("rounds.id", ondelete="CASCADE")),
    Column("arrived_us", BigInteger, nullable=False),
    Column("quiet_us", BigInteger, nullable=False),
    Column("turn", Integer, nullable=False, server_default="0"),
    UniqueConstraint("study", "number", name="one_round_of_a_number"),
    Index("rounds_by_state", "state", "quiet_us"),
)
"""``arrived_us``: when the last instance came, a duplicate too; ``quiet_us``: until when more may be on the way;
``turn``: how many of `life.TURNS` have happened to it."""

objects = Table(
    "objects",
    data,
    Column("id", String(32), primary_key=True),
    Column("study", ForeignKey("studies.token", ondelete="CASCADE"), nullable=False),
    Column("round", ForeignKey("rounds.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("kind", String(8), nullable=False),
    Column("file", String(32), nullable=False, index=True),
    Column("start", BigInteger, nullable=False),
    Column("sealed_bytes", BigInteger, nullable=False),
    Column("identity_index", LargeBinary(32), nullable=False),
    Column("series_index", LargeBinary(32)),
    Column("content_index", LargeBinary(32), nullable=False),
    Column("conflicts_with", ForeignKey("objects.id", ondelete="CASCADE")),
    Column("details", LargeBinary, nullable=False),
    UniqueConstraint("study", "identity_index", "content_index", name="content_kept_once"),
)
"""Instances and results, and where their sealed bytes lie in the folder of objects."""
Index(
    "first_of_an_identity",
    objects.c.study,
    objects.c.identity_index,
    unique=True,
    sqlite_where=objects.c.conflicts_with.is_(None),
    postgresql_where=objects.c.conflicts_with.is_(None),
)

headers = Table(
    "headers",
    data,
    Column("object", ForeignKey("objects.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("header", LargeBinary, nullable=False),
)
"""What is asked of an object again and again, sealed; ``version`` is that of its making, and another is made anew."""

receptions = Table(
    "receptions",
    data,
    Column("id", String(32), primary_key=True),
    Column("study", ForeignKey("studies.token", ondelete="CASCADE"), nullable=False, index=True),
    Column("object", ForeignKey("objects.id", ondelete="CASCADE"), nullable=False),
    Column("outcome", String(9), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("details", LargeBinary, nullable=False),
)
"""Every instance that was acknowledged, also those that were there already."""

events = Table(
    "events",
    data,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("study", ForeignKey("studies.token", ondelete="CASCADE"), nullable=False, index=True),
    Column("round", ForeignKey("rounds.id", ondelete="CASCADE"), nullable=False),
    Column("event", String(20), nullable=False),
    Column("before", String(20), nullable=False),
    Column("after", String(20), nullable=False),
    Column("actor", String(20), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("code", String(64), nullable=False, server_default=""),
)
"""What happened to each round; arrivals that change no state are in `receptions` alone. ``code``: why, of an error."""

workers = Table(
    "workers",
    data,
    Column("id", String(40), primary_key=True),
    Column("beat", BigInteger, nullable=False),
)
"""Who is at work; a ``beat`` that does not grow any more is of a worker that is dead."""

workitems = Table(
    "workitems",
    data,
    Column("id", String(32), primary_key=True),
    Column("study", ForeignKey("studies.token", ondelete="CASCADE"), nullable=False, index=True),
    Column("uid_index", LargeBinary(32), nullable=False, unique=True),
    Column("state", String(11), nullable=False, index=True),
    Column("made_us", BigInteger, nullable=False),
    Column("details", LargeBinary, nullable=False),
)
"""Procedure steps; what they say is sealed with the study's key, and goes with it."""

subscriptions = Table(
    "subscriptions",
    data,
    Column("id", String(32), primary_key=True),
    Column("ae_title", String(16), nullable=False),
    Column("workitem", ForeignKey("workitems.id", ondelete="CASCADE")),
    UniqueConstraint("ae_title", "workitem", name="subscribed_once"),
)
"""``workitem`` is NULL for a subscription to all work items, also those to come."""

procedure_steps = Table(
    "procedure_steps",
    data,
    Column("id", String(32), primary_key=True),
    Column("study", ForeignKey("studies.token", ondelete="CASCADE"), nullable=False, index=True),
    Column("uid_index", LargeBinary(32), nullable=False, unique=True),
    Column("state", String(12), nullable=False),
)
"""What modalities tell of their work, as far as it says when a study is complete; nothing else of it is kept."""

listed_instances = Table(
    "listed_instances",
    data,
    Column("step", ForeignKey("procedure_steps.id", ondelete="CASCADE"), primary_key=True),
    Column("identity_index", LargeBinary(32), primary_key=True),
)
"""Instances that a procedure step has made, hashed as in `objects`."""

deliveries = Table(
    "deliveries",
    data,
    Column("id", String(32), primary_key=True),
    Column("study", ForeignKey("studies.token", ondelete="CASCADE"), nullable=False, index=True),
    Column("round", ForeignKey("rounds.id", ondelete="CASCADE"), nullable=False),
    Column("destination", String(32), nullable=False),
    Column("state", String(20), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error_code", String(64)),
    Column("acknowledged_us", BigInteger),
    Column("asked_us", BigInteger),
    Column("transaction_uid", String(64), unique=True),
    UniqueConstraint("round", "destination", name="one_delivery_of_a_destination"),
)
"""``destination`` is a name of the settings; ``transaction_uid`` names a request for storage commitment, random."""

lookups = Table(
    "lookups",
    data,
    Column("round", ForeignKey("rounds.id", ondelete="CASCADE"), primary_key=True),
    Column("outcome", String(64), nullable=False),
)
"""What came of looking for an earlier study, elsewhere, before a round is read."""

fetched = Table(
    "fetched",
    data,
    Column("round", ForeignKey("rounds.id", ondelete="CASCADE"), primary_key=True),
    Column("uid_index", LargeBinary(32), primary_key=True, index=True),
    Column("completed", Boolean, nullable=False),
)
"""Studies that are, or were, fetched for a round, until somebody asks for them or sends them. ``completed``: all of it
came; else fetching it goes on or failed."""

wrapped_keys = Table(
    "wrapped_keys",
    keys,
    Column("owner", String(32), primary_key=True),
    Column("kek_id", String(64), nullable=False, index=True),
    Column("data_key_id", String(32), nullable=False),
    Column("ciphertext", LargeBinary, nullable=False),
)
"""``owner`` is a study's token, or names the index key."""

retired_keks = Table(
    "retired_keks",
    keys,
    Column("kek_id", String(64), primary_key=True),
)
"""Key-encryption keys under which no data key is kept any more, once a rotation has begun."""
