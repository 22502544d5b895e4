"""Procedure steps as rows: how far each is, and keyed hashes of the instances that it lists; nothing else is kept."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, delete, exists, insert, select, update
from sqlalchemy import Connection as Transaction
from sqlalchemy.exc import IntegrityError

from zweitblick.audit.events import AuditedStudy
from zweitblick.dicom.performed_step import BegunStep, PerformedState, StepChange
from zweitblick.errors import StepEndedError, StepExistsError, StoreUnavailableError, UnknownStepError
from zweitblick.store.index import Indexed
from zweitblick.store.rooms import Rooms
from zweitblick.store.rows import fresh_id
from zweitblick.store.schema import listed_instances, objects, procedure_steps, rounds

_TRIES = 5
"""Another process that deletes the study is waited out so many times."""

_of_study = procedure_steps.c.study == rounds.c.study
_listed = listed_instances.c.step == procedure_steps.c.id
_kept = exists().where(
    objects.c.study == procedure_steps.c.study, objects.c.identity_index == listed_instances.c.identity_index
)
_of_round = objects.c.round == rounds.c.id
_is_listed = exists().where(
    procedure_steps.c.study == objects.c.study, _listed, listed_instances.c.identity_index == objects.c.identity_index
)

ALL_LISTED_ARE_KEPT: ColumnElement[bool] = and_(
    exists().where(_of_study, _listed, procedure_steps.c.state == PerformedState.COMPLETED),
    ~exists().where(_of_study, procedure_steps.c.state == PerformedState.IN_PROGRESS),
    ~exists().where(_of_study, _listed, ~_kept),
    exists().where(_of_round),
    ~exists().where(_of_round, ~_is_listed),
)
"""Of a row of `schema.rounds`: a step of its study is completed and lists instances, none is in progress, all instances
that its steps list are there, and they list all that came in this round: of others nobody says how many there are."""


class ProcedureSteps:
    """What modalities tell of their work; for several threads at once, and several processes.

    Parameters
    ----------
    rooms
        Of the store.
    """

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def begin(self, uid: str, step: BegunStep) -> None:
        """Return once a new step is durable; its study is enlisted, though nothing of it may have come yet.

        Parameters
        ----------
        uid
            SOP Instance UID of the step.
        step
            What is said of it.

        Raises
        ------
        StepExistsError
            If there is one of this UID.
        StoreError, VaultError
            If it cannot be kept.
        """
        for _ in range(_TRIES):
            study = self._rooms.studies.enlist(step.study_instance_uid)
            try:
                self._insert(uid, study, step.instances)
            except IntegrityError:
                if self._is_known(uid):
                    raise StepExistsError("a procedure step of this UID is known already; change it instead") from None
                self._rooms.studies.forget(study)
            else:
                return
        raise StoreUnavailableError("the step's study was deleted again and again; send it again later")

    def change(self, uid: str, change: StepChange) -> None:
        """Return once a change of a step is durable.

        Parameters
        ----------
        uid
            SOP Instance UID of the step.
        change
            Its state, the instances that it lists from now on, or both.

        Raises
        ------
        UnknownStepError
            If there is none of this UID.
        StepEndedError
            If it is completed or discontinued; nothing is changed then.
        StoreError
            If it cannot be kept.
        """
        with self._rooms.database.writing() as transaction:
            row = _found(transaction, self._query(uid).with_for_update())
            if row.state != PerformedState.IN_PROGRESS:
                raise StepEndedError(f"the procedure step is {row.state}, and cannot be changed any more")
            if change.state is not None:
                mine = procedure_steps.c.id == row.id
                transaction.execute(update(procedure_steps).where(mine).values(state=change.state))
            if change.instances is not None:
                transaction.execute(delete(listed_instances).where(listed_instances.c.step == row.id))
                self._list(transaction, row.id, change.instances)

    def study(self, uid: str) -> AuditedStudy:
        """Return the study of a step, as it is named on record.

        Raises
        ------
        UnknownStepError
            If there is none of this UID.
        StoreError, VaultError
            If the study cannot be opened.
        """
        with self._rooms.database.reading() as transaction:
            token = _found(transaction, self._query(uid)).study
        return self._rooms.studies.study(token).audited

    def _insert(self, uid: str, study: str, instances: Collection[str]) -> None:
        step = fresh_id()
        row = {"id": step, "study": study, "uid_index": self._index_of(uid), "state": PerformedState.IN_PROGRESS}
        with self._rooms.database.writing() as transaction:
            transaction.execute(insert(procedure_steps).values(row))
            self._list(transaction, step, instances)

    def _is_known(self, uid: str) -> bool:
        with self._rooms.database.reading() as transaction:
            return transaction.execute(self._query(uid)).first() is not None

    def _index_of(self, uid: str) -> bytes:
        return self._rooms.index.of(Indexed.STEP, uid)

    def _list(self, transaction: Transaction, step: str, uids: Collection[str]) -> None:
        rows = [{"step": step, "identity_index": self._rooms.index.of(Indexed.INSTANCE, uid)} for uid in uids]
        if rows:
            transaction.execute(insert(listed_instances), rows)

    def _query(self, uid: str) -> Select[Any]:
        return select(procedure_steps).where(procedure_steps.c.uid_index == self._index_of(uid))


def _found(transaction: Transaction, query: Select[Any]) -> Row[Any]:
    row = transaction.execute(query).one_or_none()
    if row is None:
        raise UnknownStepError("no procedure step of this UID is known; begin it first")
    return row
