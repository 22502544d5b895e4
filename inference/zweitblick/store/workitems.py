"""Work items as rows: sealed with the data key of their study, found by a keyed hash of their UID."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection as Transaction
from sqlalchemy import Row, Select, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from zweitblick.errors import StoreUnavailableError, UnknownWorkitemError, WorkitemExistsError
from zweitblick.store.index import Indexed
from zweitblick.store.lost import LOST
from zweitblick.store.rooms import Rooms
from zweitblick.store.rows import fresh_id, microseconds, opened_details, sealed_details
from zweitblick.store.schema import studies, subscriptions, workitems

log = logging.getLogger(__name__)

_TRIES = 5
"""Another process that deletes the study is waited out so many times."""


@dataclass(frozen=True)
class KeptWorkitem:
    """A work item.

    Parameters
    ----------
    id
        Random; may stand in logs.
    study
        Token of its study.
    state
        Procedure Step State.
    uid
        SOP Instance UID.
    content
        All attributes, DICOM JSON.
    transaction_uid
        Of whoever has claimed it; empty until then.
    """

    id: str
    study: str
    state: str
    uid: str = field(repr=False)
    content: str = field(repr=False)
    transaction_uid: str = field(default="", repr=False)


Change = Callable[[KeptWorkitem], KeptWorkitem]


class Workitems:
    """The work items that are kept, and who is told of them; for several threads at once."""

    def __init__(self, rooms: Rooms, clock: Callable[[], datetime]) -> None:
        self._rooms = rooms
        self._clock = clock

    def add(self, *, uid: str, study_uid: str, state: str, content: str) -> None:
        """Keep a new work item; its study is enlisted, though nothing of it may have come yet.

        Raises
        ------
        WorkitemExistsError
            If there is one of this UID.
        StoreError, VaultError
            If it cannot be kept.
        """
        for _ in range(_TRIES):
            study = self._rooms.studies.enlist(study_uid)
            try:
                self._insert(KeptWorkitem(fresh_id(), study, state, uid, content))
            except IntegrityError:
                if self._is_known(uid):
                    raise WorkitemExistsError(
                        "a work item of this UID is there already; make one of another UID"
                    ) from None
                self._rooms.studies.forget(study)
            else:
                return
        raise StoreUnavailableError("the work item's study was deleted again and again; send it again later")

    def item(self, uid: str) -> KeptWorkitem:
        """Return a work item.

        Raises
        ------
        UnknownWorkitemError
            If there is none of this UID.
        """
        with self._rooms.database.reading() as transaction:
            return self._opened(_found(transaction, self._query(uid)))

    def items(self, *states: str) -> list[KeptWorkitem]:
        """Return the work items that are in one of some states, all if none is given, the oldest first.

        Those that cannot be opened any more, as that of a shredded study which a backup of the data brought back, are
        passed over.
        """
        query = select(workitems).join(studies).where(~studies.c.shredding)
        if states:
            query = query.where(workitems.c.state.in_(states))
        with self._rooms.database.reading() as transaction:
            rows = transaction.execute(query.order_by(workitems.c.made_us, workitems.c.id)).all()
        return [item for row in rows for item in self._unless_lost(row)]

    def change(self, uid: str, change: Change) -> KeptWorkitem:
        """Replace a work item by what a function makes of it, while nobody else can change it; return the new one.

        Raises
        ------
        UnknownWorkitemError
            If there is none of this UID.
        """
        with self._rooms.database.writing() as transaction:
            changed = change(self._opened(_found(transaction, self._query(uid).with_for_update())))
            values = {"state": changed.state, "details": self._sealed(changed)}
            transaction.execute(update(workitems).where(workitems.c.id == changed.id).values(values))
        return changed

    def subscribe(self, ae_title: str, uid: str | None) -> None:
        """Have a subscriber told of a work item, or of all if no UID is given; the second time nothing happens.

        Raises
        ------
        UnknownWorkitemError
            If there is none of this UID.
        """
        with self._rooms.database.writing() as transaction:
            item = None if uid is None else _found(transaction, self._query(uid)).id
            there = select(subscriptions).where(subscriptions.c.ae_title == ae_title, subscriptions.c.workitem == item)
            if not transaction.execute(there).all():
                row = {"id": fresh_id(), "ae_title": ae_title, "workitem": item}
                transaction.execute(insert(subscriptions).values(row))

    def unsubscribe(self, ae_title: str, uid: str | None) -> None:
        """Have a subscriber no longer told of a work item, or of any if no UID is given.

        Raises
        ------
        UnknownWorkitemError
            If there is none of this UID, or no such subscription.
        """
        with self._rooms.database.writing() as transaction:
            where = subscriptions.c.ae_title == ae_title
            if uid is not None:
                where &= subscriptions.c.workitem == _found(transaction, self._query(uid)).id
            if not transaction.execute(delete(subscriptions).where(where)).rowcount:
                raise UnknownWorkitemError("there is no such subscription; it may have ended before")

    def suspend(self, ae_title: str) -> None:
        """Have a subscriber to all told of those that are there, and of none that comes.

        Raises
        ------
        UnknownWorkitemError
            If it has not subscribed to all.
        """
        with self._rooms.database.writing() as transaction:
            of_them = subscriptions.c.ae_title == ae_title
            every = of_them & subscriptions.c.workitem.is_(None)
            if not transaction.execute(delete(subscriptions).where(every)).rowcount:
                raise UnknownWorkitemError(
                    "the subscriber has not subscribed to all work items; there is nothing to end"
                )
            known = select(subscriptions.c.workitem).where(of_them)
            rest = transaction.execute(select(workitems.c.id).where(workitems.c.id.not_in(known))).scalars().all()
            rows = [{"id": fresh_id(), "ae_title": ae_title, "workitem": item} for item in rest]
            if rows:
                transaction.execute(insert(subscriptions), rows)

    def subscribers(self, item: KeptWorkitem) -> frozenset[str]:
        """Return the AE titles of those who are to be told of a work item."""
        told = or_(subscriptions.c.workitem.is_(None), subscriptions.c.workitem == item.id)
        with self._rooms.database.reading() as transaction:
            return frozenset(transaction.execute(select(subscriptions.c.ae_title).where(told)).scalars())

    def _insert(self, item: KeptWorkitem) -> None:
        row = {
            "id": item.id,
            "study": item.study,
            "uid_index": self._index_of(item.uid),
            "state": item.state,
            "made_us": microseconds(self._clock()),
            "details": self._sealed(item),
        }
        with self._rooms.database.writing() as transaction:
            transaction.execute(insert(workitems).values(row))

    def _is_known(self, uid: str) -> bool:
        with self._rooms.database.reading() as transaction:
            return transaction.execute(self._query(uid)).first() is not None

    def _index_of(self, uid: str) -> bytes:
        return self._rooms.index.of(Indexed.WORKITEM, uid)

    def _query(self, uid: str) -> Select[tuple[object, ...]]:
        return select(workitems).where(workitems.c.uid_index == self._index_of(uid))

    def _unless_lost(self, row: Row[tuple[object, ...]]) -> Iterator[KeptWorkitem]:
        try:
            yield self._opened(row)
        except LOST as error:
            log.debug("work item %s of study %s is passed over: %s", row.id, row.study, error.code)

    def _opened(self, row: Row[tuple[object, ...]]) -> KeptWorkitem:
        details = opened_details(row.details, self._rooms.keyring.key(row.study), study=row.study, row=row.id)
        return KeptWorkitem(row.id, row.study, row.state, **{name: str(value) for name, value in details.items()})

    def _sealed(self, item: KeptWorkitem) -> bytes:
        details: dict[str, str | int] = {
            "uid": item.uid,
            "content": item.content,
            "transaction_uid": item.transaction_uid,
        }
        return sealed_details(details, self._rooms.keyring.key(item.study), study=item.study, row=item.id)


def _found(transaction: Transaction, query: Select[tuple[object, ...]]) -> Row[tuple[object, ...]]:
    row = transaction.execute(query).one_or_none()
    if row is None:
        raise UnknownWorkitemError("no work item of this UID is kept; search for those that are")
    return row
