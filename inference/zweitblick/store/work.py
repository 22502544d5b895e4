"""Work: what workers, and the people who look after them, ask of a store; nobody else does.

The store is the truth about what is to be done. A queue that was lost is filled again from it, and what is done by a
worker that is late, since another one has taken over or a person has cancelled, is refused here.
"""

import io
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from sqlalchemy import delete, func, insert, select, update

from zweitblick.errors import UnknownRoundError
from zweitblick.store import rounds
from zweitblick.store.life import WAS_READ, Actor, Event, State
from zweitblick.store.lookups import release
from zweitblick.store.results import ERROR, ResultName, keep_fault, keep_reading, replace_fault
from zweitblick.store.rooms import Rooms
from zweitblick.store.rounds import Cause, LifeEvent, Round, life_event
from zweitblick.store.rows import moment
from zweitblick.store.schema import events, objects, receptions, workers
from zweitblick.store.schema import rounds as rows

_JSON = "application/json"
_BEGUN_ANEW = (Event.COMPLETED, Event.REPLAYED)


@dataclass(frozen=True)
class Job:
    """A round, as those see it who look after the service.

    Parameters
    ----------
    round
        The round.
    since
        When it came to its state.
    attempts
        How often it was begun to be read, or its delivery failed.
    code
        Of the last error since it was last complete or replayed; empty if there was none.
    """

    round: Round
    since: datetime
    attempts: int
    code: str


class Work:
    """What is to be done, what was done, and who is at it; for several threads at once, and several processes.

    Parameters
    ----------
    rooms
        Of the store.
    clock
        Tells the time, aware.
    """

    def __init__(self, rooms: Rooms, clock: Callable[[], datetime]) -> None:
        self._rooms = rooms
        self._database = rooms.database
        self._clock = clock

    def round(self, round_id: str) -> Round:
        """Return a round.

        Raises
        ------
        UnknownRoundError
            If there is none of this id.
        """
        with self._database.reading() as transaction:
            return rounds.one(transaction, round_id)

    def first_arrival(self, round_id: str) -> datetime:
        """Return when the first instance of a round came; if none came with it, when it was asked for.

        Raises
        ------
        UnknownRoundError
            If there is no such round.
        """
        with self._database.reading() as transaction:
            this = rounds.one(transaction, round_id)
            query = select(func.min(receptions.c.at_us)).join(objects, receptions.c.object == objects.c.id)
            query = query.where(receptions.c.study == this.study, objects.c.round == round_id)
            first_us = transaction.execute(query).scalar_one()
            return this.arrived_at if first_us is None else moment(first_us)

    def rounds_in(self, states: Collection[State]) -> list[Round]:
        """Return the rounds in some states, those whose instances came first first."""
        with self._database.reading() as transaction:
            return rounds.in_states(transaction, states)

    def jobs_in(self, states: Collection[State]) -> list[Job]:
        """Return the rounds in some states with what those ask who look after them, in the order of `rounds_in`."""
        query = (
            select(events)
            .join(rows, events.c.round == rows.c.id)
            .where(rows.c.state.in_(states))
            .order_by(events.c.number)
        )
        with self._database.reading() as transaction:
            found = rounds.in_states(transaction, states)
            history = [life_event(row) for row in transaction.execute(query)]
        of_round: defaultdict[str, list[LifeEvent]] = defaultdict(list)
        for entry in history:
            of_round[entry.round].append(entry)
        return [_job(one, of_round[one.id]) for one in found]

    def history(self, round_id: str) -> list[LifeEvent]:
        """Return what happened to a round, in order."""
        query = select(events).where(events.c.round == round_id).order_by(events.c.number)
        # by the study too, since that is what has an index
        query = query.where(events.c.study == select(rows.c.study).where(rows.c.id == round_id).scalar_subquery())
        with self._database.reading() as transaction:
            return [life_event(row) for row in transaction.execute(query)]

    def was_read(self, one: Round) -> bool:
        """Tell whether all results of a round are there.

        Of a reading that is under way or broken off there may be some. A round may fail, and be superseded, before it
        was read or after.
        """
        if one.state in (State.FAILED, State.SUPERSEDED):
            return any(entry.event is Event.READ for entry in self.history(one.id))
        return one.state in WAS_READ

    def advance(self, round_id: str, event: Event, *, turn: int, code: str = "") -> State:
        """Let a worker bring something about in one turn of a round, and return the round's state after it.

        Parameters
        ----------
        round_id
            Of the round.
        event
            What happens.
        turn
            That the worker is at.
        code
            Of the error that it is because of.

        Raises
        ------
        UnknownRoundError
            If there is no such round.
        EventError, ActorError
            If it cannot happen, or the turn is over.
        """
        with self._database.writing() as transaction:
            return rounds.advance(transaction, round_id, _cause(event, turn, code), at=self._clock())

    def read_again(self, study: str) -> Round:
        """Have a study that was read be read again, as a radiologist asks, and return the round that begins.

        It has the images that the study had, is complete, and supersedes the one before, which is kept. If the study
        was fetched for another one, it is from now on as any other.

        Parameters
        ----------
        study
            Token.

        Raises
        ------
        UnknownRoundError
            If no image of the study is kept.
        EventError
            If its last round was not read, or not yet.
        """
        with self._database.writing() as transaction:
            release(transaction, [study])
            return rounds.read_again(transaction, study, at=self._clock())

    def ask_for(self, study: str) -> Round:
        """Let a study that was fetched for another one be as any other, and return its last round.

        If it was read already, that is a new one, as of `read_again`: what was made before is not delivered. Of a study
        that was not fetched so nothing changes.

        Parameters
        ----------
        study
            Token.

        Raises
        ------
        UnknownRoundError
            If no image of the study is kept.
        """
        with self._database.writing() as transaction:
            was_fetched = release(transaction, [study])
            of_study = rounds.of_study(transaction, study)
            if was_fetched and of_study and of_study[-1].state in WAS_READ:
                return rounds.read_again(transaction, study, at=self._clock())
        if not of_study:
            raise UnknownRoundError("no round of this study is kept; it may have been shredded")
        return of_study[-1]

    def keep_reading(self, round_id: str, results: Sequence[tuple[ResultName, BinaryIO]], *, turn: int) -> State:
        """Seal all that was made of a round, let it be ``READ``, and return its state: all of this, or nothing.

        What the round had before, of a reading that an older release did not end or of why it had failed, is replaced.

        Raises
        ------
        UnknownRoundError, EventError
            If the round is gone, is not being read, or the turn is over; nothing is kept.
        ResultChangedError
            If an instance of the UID of a result was received before.
        StoreFullError, StoreUnavailableError, VaultError, StoreKeyError
            As from `zweitblick.store.store.Store.keep`.
        """
        return keep_reading(self._rooms, round_id, results, _cause(Event.READ, turn), at=self._clock())

    def give_up(self, round_id: str, code: str, message: str, *, turn: int) -> State:
        """Keep why a round cannot be read or delivered, let it fail, and return its state: both, or nothing.

        Where the study's key cannot be had the message is not kept; the code is, with the event.

        Parameters
        ----------
        round_id
            Of the round.
        code, message
            Of the error; nothing of the patient. They are the round's result `ERROR`.
        turn
            That the worker is at.

        Raises
        ------
        StoreError, VaultError
            As from `keep_reading`.
        """
        cause = _cause(Event.GAVE_UP, turn, code)
        return keep_fault(self._rooms, *_fault(round_id, code, message), cause, at=self._clock())

    def explain(self, round_id: str, code: str, message: str) -> None:
        """Keep why a destination does not take a round, in place of any such fault before; its state stays as it is.

        Parameters
        ----------
        round_id
            Of the round.
        code, message
            As of `give_up`.

        Raises
        ------
        ResultChangedError
            If another fault of the round is being kept; that one counts.
        StoreError, VaultError
            As from `keep_reading`.
        """
        replace_fault(self._rooms, *_fault(round_id, code, message))

    def beat(self, worker: str) -> None:
        """Note that a worker is alive."""
        mine = workers.c.id == worker
        with self._database.writing() as transaction:
            counted = transaction.execute(update(workers).where(mine).values(beat=workers.c.beat + 1))
            if not counted.rowcount:
                transaction.execute(insert(workers).values(id=worker, beat=0))

    def beats(self) -> dict[str, int]:
        """Return how often each worker has said that it is alive."""
        with self._database.reading() as transaction:
            return {row.id: row.beat for row in transaction.execute(select(workers))}

    def leave(self, worker: str) -> None:
        """Note that a worker is gone for good, or until it says again that it is alive."""
        with self._database.writing() as transaction:
            transaction.execute(delete(workers).where(workers.c.id == worker))


def failures(history: Sequence[LifeEvent]) -> list[LifeEvent]:
    """Return the failed attempts of a round since it was last complete or replayed.

    Parameters
    ----------
    history
        Of the round.
    """
    return [entry for entry in _since_begun(history) if entry.event is Event.ATTEMPT_FAILED]


def _since_begun(history: Sequence[LifeEvent]) -> Sequence[LifeEvent]:
    begun = [place for place, entry in enumerate(history) if entry.event in _BEGUN_ANEW]
    return history[begun[-1] :] if begun else history


def _fault(round_id: str, code: str, message: str) -> tuple[ResultName, BinaryIO]:
    return ResultName(round_id, ERROR, _JSON), io.BytesIO(json.dumps({"code": code, "message": message}).encode())


def _cause(event: Event, turn: int, code: str = "") -> Cause:
    return Cause(event, Actor.WORKER, turn, code)


def _job(one: Round, history: Sequence[LifeEvent]) -> Job:
    changes = [entry.at for entry in history if entry.before is not entry.after]
    begun = [entry for entry in history if entry.event is Event.STARTED]
    undelivered = [entry for entry in failures(history) if entry.before is State.DELIVERING]
    codes = [entry.code for entry in _since_begun(history) if entry.code]
    return Job(
        round=one,
        since=changes[-1] if changes else one.arrived_at,
        attempts=len(begun) + len(undelivered),
        code=codes[-1] if codes else "",
    )
