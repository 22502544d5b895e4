"""Turn: one go at a round, from its place in the queue to the end of its workflow."""

from dataclasses import dataclass
from typing import Self

from zweitblick.errors import EventError
from zweitblick.queue_place import workflow_id
from zweitblick.store.life import Event, State
from zweitblick.store.rounds import Round
from zweitblick.store.store import Store


@dataclass(frozen=True)
class Turn:
    """One go at a round.

    Parameters
    ----------
    study
        Token.
    round
        Id.
    number
        See `zweitblick.store.life.TURNS`.
    """

    study: str
    round: str
    number: int

    @classmethod
    def of(cls, one: Round) -> Self:
        """Return the turn that a round is at."""
        return cls(one.study, one.id, one.turn)

    @property
    def workflow(self) -> str:
        """Id of its workflow."""
        return workflow_id(self.round, self.number)


def happened(store: Store, turn: Turn, event: Event, *, code: str = "") -> State:
    """Let an event happen in a turn, if it has not happened before and the turn is not over; return the round's state.

    Parameters
    ----------
    store
        Where the round is.
    turn
        In which it happens.
    event
        What happens.
    code
        Of the error that it is because of.

    Raises
    ------
    StoreError
        If the store cannot be used, or the round is gone.
    """
    try:
        return store.work.advance(turn.round, event, turn=turn.number, code=code)
    except EventError:
        return store.work.round(turn.round).state
