"""Lookups: whether an earlier study was looked for elsewhere before a round is read, and what came of it."""

from collections.abc import Collection
from enum import StrEnum

from sqlalchemy import ColumnElement, delete, exists, insert, select, update
from sqlalchemy import Connection as Transaction
from sqlalchemy.exc import IntegrityError

from zweitblick.errors import UnknownRoundError
from zweitblick.store.index import Indexed
from zweitblick.store.life import State
from zweitblick.store.rooms import Rooms
from zweitblick.store.schema import fetched, lookups, rounds, studies

_of_study = fetched.c.uid_index == studies.c.uid_index
_held = rounds.alias()

WAS_FETCHED: ColumnElement[bool] = exists().where(_of_study)
"""Of a row of `schema.studies`: it is here, or is coming, because it was fetched for another one, and for nothing else:
nobody has asked for it and nobody has sent it."""

IS_COMING: ColumnElement[bool] = exists().where(
    _of_study,
    ~fetched.c.completed,
    _held.c.id == fetched.c.round,
    _held.c.state.in_((State.RECEIVING, State.STABLE)),
    ~exists().where(lookups.c.round == fetched.c.round),
)
"""Of a row of `schema.studies`: it is being fetched, for a round whose lookup has not ended."""


class LookupOutcome(StrEnum):
    """What came of a lookup that found out; of one that did not, it is the code of an error."""

    HAD = "had"
    """An earlier study is here, and was read."""
    NONE = "none"
    """There is none."""
    UNNAMED = "unnamed"
    """The study has no Patient ID that can be asked for, or no date."""
    UNREAD = "unread"
    """There is one, and it cannot be read, or not in time."""
    LATE = "late"
    """The round was read before it was known."""


class Lookups:
    """Lookups by round; for several threads at once."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def begin(self, round_id: str, study_uid: str) -> None:
        """Note that a study is about to be fetched for a round; the second time nothing happens.

        Raises
        ------
        UnknownRoundError
            If there is no such round.
        StoreError
            If it cannot be noted.
        """
        row = {"round": round_id, "uid_index": self._index_of(study_uid), "completed": False}
        if self._is_begun(round_id, study_uid):
            return
        try:
            with self._rooms.database.writing() as transaction:
                transaction.execute(insert(fetched).values(row))
        except IntegrityError:
            raise _unknown(round_id) from None

    def complete(self, round_id: str, study_uid: str) -> None:
        """Note that all of a study came that was fetched for a round.

        Raises
        ------
        StoreError
            If it cannot be noted.
        """
        mine = (fetched.c.round == round_id) & (fetched.c.uid_index == self._index_of(study_uid))
        with self._rooms.database.writing() as transaction:
            transaction.execute(update(fetched).where(mine).values(completed=True))

    def end(self, round_id: str, outcome: str) -> None:
        """Note what came of a round's lookup; the second time nothing happens, or its report might say otherwise.

        Parameters
        ----------
        round_id
            Of the round.
        outcome
            Of `LookupOutcome`, or the code of an error.

        Raises
        ------
        UnknownRoundError
            If there is no such round.
        StoreError
            If it cannot be noted.
        """
        if self.outcome(round_id) is not None:
            return
        try:
            with self._rooms.database.writing() as transaction:
                transaction.execute(insert(lookups).values({"round": round_id, "outcome": outcome}))
        except IntegrityError:
            if self.outcome(round_id) is None:  # else another process was faster
                raise _unknown(round_id) from None

    def outcome(self, round_id: str) -> str | None:
        """Return what came of a round's lookup; None if there was none, or it has not ended."""
        with self._rooms.database.reading() as transaction:
            found: str | None = transaction.execute(
                select(lookups.c.outcome).where(lookups.c.round == round_id)
            ).scalar_one_or_none()
        return found

    def is_partial(self, study_uid: str) -> bool:
        """Tell whether of a study that was fetched not all has come, or not yet."""
        mine = fetched.c.uid_index == self._index_of(study_uid)
        partial = exists().where(mine) & ~exists().where(mine, fetched.c.completed)
        with self._rooms.database.reading() as transaction:
            return bool(transaction.execute(select(partial)).scalar_one())

    def was_fetched(self, token: str) -> bool:
        """Tell whether a study is here, or is coming, because it was fetched for another one, and for nothing else.

        It is so no longer once somebody asks for it or sends it (`release`).
        """
        found = exists().where(studies.c.token == token, WAS_FETCHED)
        with self._rooms.database.reading() as transaction:
            return bool(transaction.execute(select(found)).scalar_one())

    def _is_begun(self, round_id: str, study_uid: str) -> bool:
        found = exists().where(fetched.c.round == round_id, fetched.c.uid_index == self._index_of(study_uid))
        with self._rooms.database.reading() as transaction:
            return bool(transaction.execute(select(found)).scalar_one())

    def _index_of(self, study_uid: str) -> bytes:
        return self._rooms.index.of(Indexed.STUDY, study_uid)


def release(transaction: Transaction, tokens: Collection[str]) -> bool:
    """Let studies that were fetched for others be as any others, and tell whether one of them was fetched."""
    indices = select(studies.c.uid_index).where(studies.c.token.in_(tokens))
    return transaction.execute(delete(fetched).where(fetched.c.uid_index.in_(indices))).rowcount > 0


def _unknown(round_id: str) -> UnknownRoundError:
    return UnknownRoundError(f"no round {round_id} is kept; its study may have been shredded")
