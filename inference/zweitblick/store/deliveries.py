"""Deliveries: which results of a round were acknowledged by whom, as rows that tell nothing of a patient.

What happened to a delivery and what that means for its round are one transaction, so that of two destinations that end
at once exactly one ends the round.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection as Transaction
from sqlalchemy import Row, insert, select, update

from zweitblick.errors import UnknownRoundError
from zweitblick.store import rounds as lives
from zweitblick.store.database import Database
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.rows import fresh_id, microseconds, moment
from zweitblick.store.schema import deliveries, rounds


class DeliveryState(StrEnum):
    """Where the delivery of a round to one destination is."""

    WAITING = "waiting"
    """To be sent, or to be sent again."""
    COMMITTING = "committing"
    """Everything was taken; the destination has not yet committed itself to keep it."""
    DELIVERED = "delivered"
    REFUSED = "refused"
    """The destination does not take it, and is not asked again until a person says so."""
    WITHDRAWN = "withdrawn"
    """The round was superseded before, or is not meant for the destination any more."""


UNDER_WAY = frozenset({DeliveryState.WAITING, DeliveryState.COMMITTING})


@dataclass(frozen=True)
class Delivery:
    """The delivery of a round's results to one destination.

    Parameters
    ----------
    id
        Random; names it in queues.
    study, round
        Token and id.
    destination
        Name in the settings.
    state
        Where it is.
    attempts
        How many have ended.
    error_code
        Of the last attempt, as in `zweitblick.errors`; None if it succeeded.
    acknowledged_at
        When the last instance was acknowledged, None before.
    asked_at
        When the destination was asked to commit itself, None if it was not.
    transaction_uid
        Names that request (PS3.4 section J.3.2), None if there is none.
    """

    id: str
    study: str
    round: str
    destination: str
    state: DeliveryState
    attempts: int = 0
    error_code: str | None = None
    acknowledged_at: datetime | None = None
    asked_at: datetime | None = None
    transaction_uid: str | None = None


@dataclass(frozen=True)
class Attempt:
    """What came of an attempt.

    Parameters
    ----------
    number
        From 1; what came of an attempt is noted once.
    state
        Where the delivery is after it. ``WAITING``: it failed and will be tried again.
    error_code
        If it failed.
    transaction_uid
        If the destination was asked to commit itself.
    """

    number: int
    state: DeliveryState
    error_code: str | None = None
    transaction_uid: str | None = field(default=None, repr=False)


class Deliveries:
    """The deliveries of a store; for several threads and processes at once.

    Parameters
    ----------
    database
        Of the data.
    clock
        Tells the time, aware.
    """

    def __init__(self, database: Database, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def begin(self, round_id: str, destinations: Sequence[str]) -> list[Delivery]:
        """Begin to deliver a round that is sealed, and return what is under way; the second time nothing else happens.

        A round that is superseded is not delivered. What was refused before is tried again, if a person has replayed
        the round; what was acknowledged is not sent again.

        Parameters
        ----------
        round_id
            Id.
        destinations
            Their names; if there are none, nothing happens.

        Raises
        ------
        UnknownRoundError
            If there is no such round.
        """
        with self._database.writing() as transaction:
            one = _round(transaction, round_id)
            if one.state == State.SEALED and destinations:
                self._plan(transaction, one, destinations)
                self._advance(transaction, round_id, Event.DELIVERY_STARTED)
                self._end_round(transaction, round_id)
            return [each for each in _of_round(transaction, round_id) if each.state in UNDER_WAY]

    def note(self, delivery_id: str, attempt: Attempt) -> Delivery:
        """Note what came of an attempt, and return the delivery after it; nothing happens if it was noted before.

        Raises
        ------
        UnknownRoundError
            If there is no such delivery.
        """
        with self._database.writing() as transaction:
            before = _locked(transaction, deliveries.c.id == delivery_id)
            if before.attempts < attempt.number and before.state in UNDER_WAY:
                self._change(transaction, before, attempt)
            return _one(transaction, delivery_id)

    def answered(self, transaction_uid: str, state: DeliveryState, *, error_code: str | None = None) -> Delivery:
        """Note what came of a request for storage commitment, and return the delivery after it.

        Parameters
        ----------
        transaction_uid
            Of the request.
        state
            ``DELIVERED`` if the destination has committed itself, ``WAITING`` if it is to be sent and asked again,
            ``REFUSED`` if that would be in vain.
        error_code
            If it has not committed itself.

        Raises
        ------
        UnknownRoundError
            If no delivery is under way that has asked so.
        """
        with self._database.writing() as transaction:
            before = _locked(transaction, deliveries.c.transaction_uid == transaction_uid)
            if before.state == DeliveryState.COMMITTING:
                self._change(transaction, before, Attempt(before.attempts, state, error_code, transaction_uid))
            return _one(transaction, before.id)

    def asked(self, transaction_uid: str) -> Delivery:
        """Return the delivery whose destination was asked so to commit itself.

        Raises
        ------
        UnknownRoundError
            If there is none, or it has asked again since.
        """
        query = select(deliveries).where(deliveries.c.transaction_uid == transaction_uid)
        with self._database.reading() as transaction:
            row = transaction.execute(query).one_or_none()
        if row is None:
            raise UnknownRoundError("no delivery is kept that has asked so; its study may have been shredded")
        return _delivery(row)

    def of_round(self, round_id: str) -> list[Delivery]:
        """Return the deliveries of a round, by the names of their destinations."""
        with self._database.reading() as transaction:
            return _of_round(transaction, round_id)

    def under_way(self) -> list[Delivery]:
        """Return the deliveries that have not ended."""
        query = select(deliveries).where(deliveries.c.state.in_(UNDER_WAY)).order_by(deliveries.c.id)
        with self._database.reading() as transaction:
            return [_delivery(row) for row in transaction.execute(query)]

    def get(self, delivery_id: str) -> Delivery:
        """Return a delivery.

        Raises
        ------
        UnknownRoundError
            If there is no such delivery.
        """
        with self._database.reading() as transaction:
            return _one(transaction, delivery_id)

    def _plan(self, transaction: Transaction, one: Row[Any], destinations: Sequence[str]) -> None:
        """Make a row of each destination; of those that are there, set the refused ones back to waiting."""
        there = {each.destination: each for each in _of_round(transaction, one.id)}
        fresh = [name for name in dict.fromkeys(destinations) if name not in there]
        for name in fresh:
            row = {"id": fresh_id(), "study": one.study, "round": one.id, "destination": name}
            values = {"state": DeliveryState.WAITING, "attempts": 0}
            transaction.execute(insert(deliveries).values(row | values))
        for name, each in there.items():
            if each.state != DeliveryState.DELIVERED:
                state = DeliveryState.WAITING if name in destinations else DeliveryState.WITHDRAWN
                _update(transaction, each.id, state=state)

    def _change(self, transaction: Transaction, before: Row[Any], attempt: Attempt) -> None:
        now_us = microseconds(self._clock())
        _update(
            transaction,
            before.id,
            state=attempt.state,
            attempts=attempt.number,
            error_code=attempt.error_code,
            acknowledged_us=now_us if attempt.state == DeliveryState.DELIVERED else None,
            asked_us=now_us if attempt.transaction_uid else before.asked_us,
            transaction_uid=attempt.transaction_uid or before.transaction_uid,
        )
        if _round(transaction, before.round).state != State.DELIVERING:
            return  # superseded, and what was sent stays
        if attempt.error_code and attempt.state in UNDER_WAY:
            self._advance(transaction, before.round, Event.ATTEMPT_FAILED, attempt.error_code)
        self._end_round(transaction, before.round)

    def _end_round(self, transaction: Transaction, round_id: str) -> None:
        """Let the round go on once no destination is under way any more; why it fails is what the first one refused."""
        ended = _of_round(transaction, round_id)
        if any(each.state in UNDER_WAY for each in ended):
            return
        refused = [each.error_code or "" for each in ended if each.state is DeliveryState.REFUSED]
        if refused:
            self._advance(transaction, round_id, Event.GAVE_UP, refused[0])
        else:
            self._advance(transaction, round_id, Event.DELIVERED)
            self._advance(transaction, round_id, Event.REVIEW_ASKED)

    def _advance(self, transaction: Transaction, round_id: str, event: Event, code: str = "") -> None:
        lives.advance(transaction, round_id, lives.Cause(event, Actor.WORKER, code=code), at=self._clock())


def _round(transaction: Transaction, round_id: str) -> Row[Any]:
    row = transaction.execute(select(rounds).where(rounds.c.id == round_id).with_for_update()).one_or_none()
    if row is None:
        raise UnknownRoundError(f"no round {round_id} is kept; its study may have been shredded")
    return row


def _locked(transaction: Transaction, which: Any) -> Row[Any]:
    """Return a delivery's row once its round is locked, so that nothing of the round changes meanwhile."""
    round_id = transaction.execute(select(deliveries.c.round).where(which)).scalar_one_or_none()
    if round_id is None:
        raise UnknownRoundError("no such delivery is kept; its study may have been shredded")
    _round(transaction, round_id)
    return transaction.execute(select(deliveries).where(which)).one()


def _update(transaction: Transaction, delivery_id: str, **values: Any) -> None:
    transaction.execute(update(deliveries).where(deliveries.c.id == delivery_id).values(values))


def _one(transaction: Transaction, delivery_id: str) -> Delivery:
    row = transaction.execute(select(deliveries).where(deliveries.c.id == delivery_id)).one_or_none()
    if row is None:
        raise UnknownRoundError(f"no delivery {delivery_id} is kept; its study may have been shredded")
    return _delivery(row)


def _of_round(transaction: Transaction, round_id: str) -> list[Delivery]:
    query = select(deliveries).where(deliveries.c.round == round_id).order_by(deliveries.c.destination)
    return [_delivery(row) for row in transaction.execute(query)]


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        study=row.study,
        round=row.round,
        destination=row.destination,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        error_code=row.error_code,
        acknowledged_at=None if row.acknowledged_us is None else moment(row.acknowledged_us),
        asked_at=None if row.asked_us is None else moment(row.asked_us),
        transaction_uid=row.transaction_uid,
    )
