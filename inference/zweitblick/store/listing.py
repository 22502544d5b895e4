"""What studies there are, and what is in each: without a look into objects."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, exists, func, or_, select

from zweitblick.store.database import Database
from zweitblick.store.index import Indexed, KeyedIndex
from zweitblick.store.life import Event
from zweitblick.store.objects import Kind
from zweitblick.store.schema import events, objects, rounds, studies


@dataclass(frozen=True)
class Place:
    """A study's place in the list of all of them, the newest first.

    Parameters
    ----------
    arrived_us
        When its last instance came, or another reading was asked for, in microseconds since 1970 in UTC.
    study
        Its token.
    """

    arrived_us: int
    study: str


@dataclass(frozen=True)
class KeptSeries:
    """What is known of a series without a look into it.

    Parameters
    ----------
    first
        Id of one of its instances.
    instances
        How many there are, those in conflict left out.
    """

    first: str
    instances: int


class Listing:
    """Lists of what is kept; for several threads at once."""

    def __init__(self, database: Database, index: KeyedIndex) -> None:
        self._database = database
        self._index = index

    def newest(self, *, limit: int, offset: int = 0, after: Place | None = None) -> list[Place]:
        """Return studies, the one first whose last instance came last.

        Parameters
        ----------
        limit
            At most so many.
        offset
            So many are passed over.
        after
            Only those behind this place, which may be gone by now.
        """
        arrived = func.max(rounds.c.arrived_us).label("arrived_us")
        query = (
            select(arrived, rounds.c.study)
            .join(studies, studies.c.token == rounds.c.study)
            .where(~studies.c.shredding)
            .group_by(rounds.c.study)
            .order_by(arrived.desc(), rounds.c.study)
            .limit(limit)
            .offset(offset)
        )
        if after is not None:
            query = query.having(_is_after(func.max(rounds.c.arrived_us), after))
        with self._database.reading() as transaction:
            return [Place(row.arrived_us, row.study) for row in transaction.execute(query)]

    def undescribed(self) -> list[str]:
        """Return the tokens of the studies that have objects, and no Patient ID and no Accession Number yet."""
        query = select(studies.c.token).where(
            studies.c.patient_index.is_(None),
            studies.c.accession_index.is_(None),
            ~studies.c.shredding,
            exists().where(objects.c.study == studies.c.token),  # others are known by an MPPS or a work item alone
        )
        with self._database.reading() as transaction:
            return list(transaction.execute(query.order_by(studies.c.token)).scalars())

    def with_instance(self, sop_instance_uid: str) -> list[str]:
        """Return the tokens of the studies that have an instance, or a result, of this SOP Instance UID."""
        found = exists().where(
            objects.c.study == studies.c.token,
            objects.c.identity_index == self._index.of(Indexed.INSTANCE, sop_instance_uid),
        )
        with self._database.reading() as transaction:
            query = select(studies.c.token).where(found, ~studies.c.shredding).order_by(studies.c.token)
            return list(transaction.execute(query).scalars())

    def round_with(self, study: str, sop_instance_uids: Collection[str]) -> int | None:
        """Return the number of the round that the last of some instances of a study came in; None if not all are here.

        Parameters
        ----------
        study
            Token.
        sop_instance_uids
            Of the instances; None is returned if there are none.
        """
        wanted = {self._index.of(Indexed.INSTANCE, uid) for uid in sop_instance_uids}
        query = (
            select(objects.c.identity_index, rounds.c.number)
            .join(rounds, objects.c.round == rounds.c.id)
            .where(objects.c.study == study, objects.c.kind == Kind.INSTANCE, objects.c.conflicts_with.is_(None))
        )
        with self._database.reading() as transaction:
            here = {row.identity_index: row.number for row in transaction.execute(query)}
        return max(here[one] for one in wanted) if wanted and wanted <= here.keys() else None

    def series(self, study: str) -> list[KeptSeries]:
        """Return the series that were received of a study, in no particular order."""
        query = (
            select(func.min(objects.c.id).label("first"), func.count().label("instances"))
            .where(objects.c.study == study, objects.c.kind == Kind.INSTANCE, objects.c.conflicts_with.is_(None))
            .group_by(objects.c.series_index)
            .order_by("first")
        )
        with self._database.reading() as transaction:
            return [KeptSeries(row.first, row.instances) for row in transaction.execute(query)]

    def last_read(self, study: str) -> str | None:
        """Return the id of a study's newest round that was read, None if none was; it may be superseded by now."""
        was_read = exists().where(events.c.round == rounds.c.id, events.c.event == Event.READ)
        query = select(rounds.c.id).where(rounds.c.study == study, was_read).order_by(rounds.c.number.desc()).limit(1)
        with self._database.reading() as transaction:
            found: str | None = transaction.execute(query).scalar_one_or_none()
        return found


def _is_after(arrived_us: ColumnElement[int], place: Place) -> ColumnElement[bool]:
    return or_(arrived_us < place.arrived_us, and_(arrived_us == place.arrived_us, rounds.c.study > place.study))
