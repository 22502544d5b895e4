"""Events that a worker lets happen to rounds; one that has happened is passed over."""

from zweitblick.errors import EventError, UnknownRoundError
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.rounds import Round
from zweitblick.store.store import Store


def completed(store: Store, study: str, round_id: str, arrived: str) -> State:
    """Note that a round is complete, unless instances have come since it was thought to be; return its state.

    Parameters
    ----------
    store
        Where the round is.
    study, round_id
        Its token and id.
    arrived
        When the last instance had come, ISO 8601, when it was thought to be complete.
    """
    now = round_of(store, study, round_id)
    if now.state is State.RECEIVING and now.arrived_at.isoformat() == arrived:
        return happened(store, study, round_id, Event.COMPLETED)
    return now.state


def happened(store: Store, study: str, round_id: str, event: str) -> State:
    """Let an event happen to a round, if it has not happened before; return its state."""
    try:
        return store.advance(round_id, Event(event), by=Actor.WORKER)
    except EventError:
        return round_of(store, study, round_id).state


def round_of(store: Store, study: str, round_id: str) -> Round:
    """Return a round of a study.

    Raises
    ------
    UnknownRoundError
        If there is none of this id.
    """
    for one in store.rounds(study):
        if one.id == round_id:
            return one
    raise UnknownRoundError(f"no round {round_id} is kept; its study may have been shredded")
