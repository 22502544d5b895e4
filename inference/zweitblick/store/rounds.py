"""Rounds of a study as rows: each change of state and the event that caused it, in the caller's transaction."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection as Transaction
from sqlalchemy import Row, bindparam, exists, func, insert, select, update

from zweitblick.errors import EventError, UnknownRoundError
from zweitblick.store.life import TURNS, Actor, Event, State, after
from zweitblick.store.lookups import IS_COMING
from zweitblick.store.procedure_steps import ALL_LISTED_ARE_KEPT
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
        When the last of its instances came; of one that a person has asked for, when they did.
    turn
        Number of its turn in the queue, see `zweitblick.store.life.TURNS`; 0 before the first.
    """

    id: str
    study: str
    number: int
    state: State
    supersedes: str | None
    arrived_at: datetime
    turn: int


@dataclass(frozen=True)
class LifeEvent:
    """What happened to a round, by whom, when, and the code of the error that it was because of, or nothing."""

    round: str
    event: Event
    before: State
    after: State
    actor: Actor
    at: datetime
    code: str


@dataclass(frozen=True)
class Standing:
    """How many rounds are in a state, and when the last instance of the oldest of them came."""

    count: int
    oldest_at: datetime


class Cause(NamedTuple):
    """What happens to a round.

    Parameters
    ----------
    event, actor
        What, and who brings it about.
    turn
        Only if this is the round's turn; None whatever its turn is.
    code
        Of the error that it is because of, or nothing.
    """

    event: Event
    actor: Actor
    turn: int | None = None
    code: str = ""


_ARRIVED = Cause(Event.ARRIVED, Actor.RECEIVER)
_PRIORS_ASKED = Cause(Event.PRIORS_ASKED, Actor.RADIOLOGIST)
_BEGIN_THE_NEXT = {
    Event.ARRIVED: "comes from keeping an instance; keep one",
    Event.PRIORS_ASKED: "begins the study's next round; have it read again",
}
"""Nobody brings these about alone."""

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
    new_image
        Whether one of them may be MR and was not there before, or its study only because it was fetched for another.
        If none is, the quiet time begins again and nothing else happens: a report or an outline that another made of
        what we read must not have it read again.
    """

    study: str
    at_us: int
    quiet_us: int
    new_image: bool


def arrived(transaction: Transaction, arrivals: Sequence[Arrival]) -> dict[str, str]:
    """Note that instances came, and return by study the id of the round that they belong to.

    Parameters
    ----------
    transaction
        That also keeps the instances.
    arrivals
        One of each study.
    """
    last = _last(transaction, [each.study for each in arrivals])
    rounds_of, times = {}, []
    for each in arrivals:
        row = last.get(each.study)
        if row is None or (
            each.new_image and _change(transaction, row, _ARRIVED, at_us=each.at_us) is State.SUPERSEDED
        ):
            rounds_of[each.study] = _begin(transaction, each, before=row)
        else:
            rounds_of[each.study] = row.id
            at_us, quiet_us = max(each.at_us, row.arrived_us), max(each.quiet_us, row.quiet_us)
            times.append({"round": row.id, "at_us": at_us, "quiet_us": quiet_us})
    if times:
        transaction.execute(_TIMES, times)
    return rounds_of


def read_again(transaction: Transaction, study: str, *, at: datetime) -> Round:
    """Begin the next round of a study that was read: with the same images, and complete; return it.

    Raises
    ------
    UnknownRoundError
        If the study has no round.
    EventError
        If its last round was not read, or not yet.
    """
    last = _last(transaction, [study]).get(study)
    if last is None:
        raise UnknownRoundError("no round of this study is kept; it may have been shredded")
    at_us = microseconds(at)
    _change(transaction, last, _PRIORS_ASKED, at_us=at_us)
    begun = _begin(transaction, Arrival(study, at_us, quiet_us=at_us, new_image=False), before=last)
    advance(transaction, begun, Cause(Event.COMPLETED, Actor.WORKER), at=at)
    return one(transaction, begun)


def advance(transaction: Transaction, round_id: str, cause: Cause, *, at: datetime) -> State:
    """Let something happen to a round, and return its state after it.

    Raises
    ------
    UnknownRoundError
        If there is no such round.
    EventError, ActorError
        If it cannot happen, or not any more in this turn; what begins the next round does not happen alone.
    """
    if cause.event in _BEGIN_THE_NEXT:
        raise EventError(f"'{cause.event}' {_BEGIN_THE_NEXT[cause.event]}")
    row = transaction.execute(select(rounds).where(rounds.c.id == round_id).with_for_update()).one_or_none()
    if row is None:
        raise UnknownRoundError(f"no round {round_id} is kept; its study may have been shredded")
    if cause.turn not in (None, row.turn):
        raise EventError(f"'{cause.event}' is of turn {cause.turn} of a round whose turn is {row.turn}; it is too late")
    return _change(transaction, row, cause, at_us=microseconds(at))


def one(transaction: Transaction, round_id: str) -> Round:
    """Return a round.

    Raises
    ------
    UnknownRoundError
        If there is none of this id.
    """
    found = _rounds(transaction.execute(select(rounds).where(rounds.c.id == round_id)).all())
    if not found:
        raise UnknownRoundError(f"no round {round_id} is kept; its study may have been shredded")
    return found[0]


def in_states(transaction: Transaction, states: Collection[State]) -> list[Round]:
    """Return the rounds in some states, those whose instances came first first."""
    found = select(rounds).where(rounds.c.state.in_(states)).order_by(rounds.c.arrived_us, rounds.c.id)
    return _rounds(transaction.execute(found).all())


def of_study(transaction: Transaction, study: str) -> list[Round]:
    """Return the rounds of a study, the first first."""
    return _rounds(transaction.execute(select(rounds).where(rounds.c.study == study).order_by(rounds.c.number)).all())


def complete_at(transaction: Transaction, now: datetime) -> list[Round]:
    """Return the rounds being received whose quiet time is over, or whose images modalities list and are all there.

    None is of a study that is being fetched: an archive may be silent for long between two series.
    """
    complete = (rounds.c.quiet_us <= microseconds(now)) | ALL_LISTED_ARE_KEPT
    is_coming = exists().where(studies.c.token == rounds.c.study, IS_COMING)
    found = select(rounds).where(rounds.c.state == State.RECEIVING, complete, ~is_coming).order_by(rounds.c.quiet_us)
    return _rounds(transaction.execute(found).all())


def standing(transaction: Transaction) -> dict[State, Standing]:
    """Return how many rounds are in each state; a state that no round is in is left out."""
    query = select(rounds.c.state, func.count(), func.min(rounds.c.arrived_us)).group_by(rounds.c.state)
    return {
        State(state): Standing(count, moment(oldest_us)) for state, count, oldest_us in transaction.execute(query).all()
    }


def history(transaction: Transaction, study: str) -> list[LifeEvent]:
    """Return what happened to a study, in order."""
    rows = transaction.execute(select(events).where(events.c.study == study).order_by(events.c.number))
    return [life_event(row) for row in rows]


def life_event(row: Row[Any]) -> LifeEvent:
    """Return what a row of `schema.events` tells."""
    return LifeEvent(
        round=row.round,
        event=Event(row.event),
        before=State(row.before),
        after=State(row.after),
        actor=Actor(row.actor),
        at=moment(row.at_us),
        code=row.code,
    )


def _rounds(rows: Sequence[Row[Any]]) -> list[Round]:
    return [
        Round(row.id, row.study, row.number, State(row.state), row.supersedes, moment(row.arrived_us), row.turn)
        for row in rows
    ]


def _last(transaction: Transaction, tokens: Sequence[str]) -> dict[str, Row[Any]]:
    """Return the last round of each study that has one, while nobody else begins the next."""
    of = {"studies": tokens}
    if transaction.dialect.name != "sqlite":  # there whoever writes is alone
        transaction.execute(_LOCK, of)
    return {row.study: row for row in transaction.execute(_LAST, of)}


def _begin(transaction: Transaction, arrival: Arrival, *, before: Row[Any] | None) -> str:
    row = {
        "id": fresh_id(),
        "study": arrival.study,
        "number": 1 if before is None else before.number + 1,
        "state": State.RECEIVING,
        "turn": 0,
        "supersedes": None if before is None else before.id,
        "arrived_us": arrival.at_us,
        "quiet_us": arrival.quiet_us,
    }
    transaction.execute(insert(rounds).values(row))
    return str(row["id"])


def _change(transaction: Transaction, row: Row[Any], cause: Cause, *, at_us: int) -> State:
    before = State(row.state)
    state = after(before, cause.event, by=cause.actor)
    if cause == _ARRIVED and state is before:
        return state
    turn = row.turn + (cause.event in TURNS)
    transaction.execute(update(rounds).where(rounds.c.id == row.id).values(state=state, turn=turn))
    entry = {
        "study": row.study,
        "round": row.id,
        "event": cause.event,
        "before": before,
        "after": state,
        "actor": cause.actor,
        "at_us": at_us,
        "code": cause.code,
    }
    transaction.execute(insert(events).values(entry))
    return state
