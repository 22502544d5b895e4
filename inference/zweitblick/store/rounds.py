"""Rounds of a study as rows: each change of state and the event that caused it, in the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection as Transaction
from sqlalchemy import Row, bindparam, exists, func, insert, select, update

from zweitblick.errors import EventError, UnknownRoundError
from zweitblick.store.life import Actor, Event, State, after
from zweitblick.store.rows import fresh_id, microseconds, moment
from zweitblick.store.schema import events, rounds, studies


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


@dataclass(frozen=True)
class Standing:
    """How many rounds are in a state, and when the last instance of the oldest of them came."""

    count: int
    oldest_at: datetime


class _Cause(NamedTuple):
    event: Event
    actor: Actor


_ARRIVED = _Cause(Event.ARRIVED, Actor.RECEIVER)

_LOCK = (
    select(studies.c.token)
    .where(studies.c.token.in_(bindparam("studies", expanding=True)))
    .order_by(studies.c.token)
    .with_for_update(key_share=True)
)
"""In one order by everybody, so that two that begin the next round do so one after the other."""
_later = rounds.alias()
_LAST = (
    select(rounds)
    .where(
        rounds.c.study.in_(bindparam("studies", expanding=True)),
        ~exists().where(_later.c.study == rounds.c.study, _later.c.number > rounds.c.number),
    )
    .with_for_update()
)
"""The last round of each study."""
_TIMES = (
    update(rounds)
    .where(rounds.c.id == bindparam("round"))
    .values(arrived_us=bindparam("at_us"), quiet_us=bindparam("quiet_us"))
)


@dataclass(frozen=True)
class Arrival:
    """That instances of a study came.

    Parameters
    ----------
    study
        Token.
    at_us, quiet_us
        When the last of them came, and until when more may be on the way.
    new
        Whether one of them was not there before. If none was, the quiet time begins again and nothing else happens.
    """

    study: str
    at_us: int
    quiet_us: int
    new: bool


def arrived(transaction: Transaction, arrivals: Sequence[Arrival]) -> dict[str, str]:
    """Note that instances came, and return by study the id of the round that they belong to.

    Parameters
    ----------
    transaction
        That also keeps the instances.
    arrivals
        One of each study.
    """
    tokens = {"studies": [each.study for each in arrivals]}
    transaction.execute(_LOCK, tokens)
    last = {row.study: row for row in transaction.execute(_LAST, tokens)}
    rounds_of, times = {}, []
    for each in arrivals:
        row = last.get(each.study)
        if row is None or (each.new and _change(transaction, row, _ARRIVED, at_us=each.at_us) is State.SUPERSEDED):
            rounds_of[each.study] = _begin(transaction, each, before=row)
        else:
            rounds_of[each.study] = row.id
            at_us, quiet_us = max(each.at_us, row.arrived_us), max(each.quiet_us, row.quiet_us)
            times.append({"round": row.id, "at_us": at_us, "quiet_us": quiet_us})
    if times:
        transaction.execute(_TIMES, times)
    return rounds_of


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
    return _change(transaction, row, _Cause(event, by), at_us=microseconds(at))


def of_study(transaction: Transaction, study: str) -> list[Round]:
    """Return the rounds of a study, the first first."""
    return _rounds(transaction.execute(select(rounds).where(rounds.c.study == study).order_by(rounds.c.number)).all())


def quiet_at(transaction: Transaction, now: datetime) -> list[Round]:
    """Return the rounds whose quiet time is over, the longest ago first."""
    over = (rounds.c.state == State.RECEIVING) & (rounds.c.quiet_us <= microseconds(now))
    return _rounds(transaction.execute(select(rounds).where(over).order_by(rounds.c.quiet_us)).all())


def standing(transaction: Transaction) -> dict[State, Standing]:
    """Return how many rounds are in each state; a state that no round is in is left out."""
    query = select(rounds.c.state, func.count(), func.min(rounds.c.arrived_us)).group_by(rounds.c.state)
    return {
        State(state): Standing(count, moment(oldest_us)) for state, count, oldest_us in transaction.execute(query).all()
    }


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


def _begin(transaction: Transaction, arrival: Arrival, *, before: Row[Any] | None) -> str:
    row = {
        "id": fresh_id(),
        "study": arrival.study,
        "number": 1 if before is None else before.number + 1,
        "state": State.RECEIVING,
        "supersedes": None if before is None else before.id,
        "arrived_us": arrival.at_us,
        "quiet_us": arrival.quiet_us,
    }
    transaction.execute(insert(rounds).values(row))
    return str(row["id"])


def _change(transaction: Transaction, row: Row[Any], cause: _Cause, *, at_us: int) -> State:
    before = State(row.state)
    state = after(before, cause.event, by=cause.actor)
    if cause == _ARRIVED and state is before:
        return state
    transaction.execute(update(rounds).where(rounds.c.id == row.id).values(state=state))
    entry = {
        "study": row.study,
        "round": row.id,
        "event": cause.event,
        "before": before,
        "after": state,
        "actor": cause.actor,
        "at_us": at_us,
    }
    transaction.execute(insert(events).values(entry))
    return state
