"""Rounds of a study as rows: each change of state and the event that caused it, in the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection as Transaction
from sqlalchemy import Row, insert, select, update

from zweitblick.errors import EventError, UnknownRoundError
from zweitblick.store.life import Actor, Event, State, after
from zweitblick.store.rows import fresh_id, microseconds, moment
from zweitblick.store.schema import events, rounds


@dataclass(frozen=True)
class Round:
    """The images that a study had at one time, and what became of them.

    Parameters
    ----------
    id
        Random; names it in queues.
    study
        Token of the study.
    number
        From 1.
    state
        See `zweitblick.store.life`.
    supersedes
        Id of the round before, None for the first.
    arrived_at
        When the last of its instances came.
    """

    id: str
    study: str
    number: int
    state: State
    supersedes: str | None
    arrived_at: datetime


@dataclass(frozen=True)
class LifeEvent:
    """What happened to a round, by whom, and when."""

    round: str
    event: Event
    before: State
    after: State
    actor: Actor
    at: datetime


def arrived(transaction: Transaction, study: str, *, at_us: int, quiet_us: int, new: bool) -> str:
    """Note that instances came, and return the id of the round that they belong to.

    Parameters
    ----------
    transaction
        That also keeps the instances.
    study
        Token.
    at_us, quiet_us
        When they came, and until when more may be on the way.
    new
        Whether one of them was not there before. If none was, the quiet time begins again and nothing else happens.
    """
    query = select(rounds).where(rounds.c.study == study).order_by(rounds.c.number.desc()).limit(1).with_for_update()
    row = transaction.execute(query).one_or_none()
    if row is None:
        return _begin(transaction, study, at_us=at_us, quiet_us=quiet_us)
    if new and _change(transaction, row, Event.ARRIVED, by=Actor.RECEIVER, at_us=at_us) is State.SUPERSEDED:
        return _begin(transaction, study, at_us=at_us, quiet_us=quiet_us, before=row)
    times = {"arrived_us": max(at_us, row.arrived_us), "quiet_us": max(quiet_us, row.quiet_us)}
    transaction.execute(update(rounds).where(rounds.c.id == row.id).values(times))
    return str(row.id)


def advance(transaction: Transaction, round_id: str, event: Event, *, by: Actor, at: datetime) -> State:
    """Let something happen to a round, and return its state after it.

    Raises
    ------
    UnknownRoundError
        If there is no such round.
    EventError, ActorError
        If it cannot happen; ``ARRIVED`` comes from keeping an instance alone.
    """
    if event is Event.ARRIVED:
        raise EventError(f"'{event}' comes from keeping an instance; keep one")
    row = transaction.execute(select(rounds).where(rounds.c.id == round_id).with_for_update()).one_or_none()
    if row is None:
        raise UnknownRoundError(f"no round {round_id} is kept; its study may have been shredded")
    return _change(transaction, row, event, by=by, at_us=microseconds(at))


def of_study(transaction: Transaction, study: str) -> list[Round]:
    """Return the rounds of a study, the first first."""
    return _rounds(transaction.execute(select(rounds).where(rounds.c.study == study).order_by(rounds.c.number)).all())


def quiet_at(transaction: Transaction, now: datetime) -> list[Round]:
    """Return the rounds whose quiet time is over, the longest ago first."""
    over = (rounds.c.state == State.RECEIVING) & (rounds.c.quiet_us <= microseconds(now))
    return _rounds(transaction.execute(select(rounds).where(over).order_by(rounds.c.quiet_us)).all())


def history(transaction: Transaction, study: str) -> list[LifeEvent]:
    """Return what happened to a study, in order."""
    rows = transaction.execute(select(events).where(events.c.study == study).order_by(events.c.number))
    return [
        LifeEvent(row.round, Event(row.event), State(row.before), State(row.after), Actor(row.actor), moment(row.at_us))
        for row in rows
    ]


def _rounds(rows: Sequence[Row[Any]]) -> list[Round]:
    return [
        Round(row.id, row.study, row.number, State(row.state), row.supersedes, moment(row.arrived_us)) for row in rows
    ]


def _begin(transaction: Transaction, study: str, *, at_us: int, quiet_us: int, before: Row[Any] | None = None) -> str:
    row = {
        "id": fresh_id(),
        "study": study,
        "number": 1 if before is None else before.number + 1,
        "state": State.RECEIVING,
        "supersedes": None if before is None else before.id,
        "arrived_us": at_us,
        "quiet_us": quiet_us,
    }
    transaction.execute(insert(rounds).values(row))
    return str(row["id"])


def _change(transaction: Transaction, row: Row[Any], event: Event, *, by: Actor, at_us: int) -> State:
    before = State(row.state)
    state = after(before, event, by=by)
    if event is Event.ARRIVED and state is before:
        return state
    transaction.execute(update(rounds).where(rounds.c.id == row.id).values(state=state))
    entry = {
        "study": row.study,
        "round": row.id,
        "event": event,
        "before": before,
        "after": state,
        "actor": by,
        "at_us": at_us,
    }
    transaction.execute(insert(events).values(entry))
    return state
