"""A study's life as one table: states, events, and who may bring them about.

What lives is a *round*: the images that a study had at one time, and what was made of them. A study begins with its
first round. Images that come after the reading has begun start the next one, which supersedes it; so does a person who
asks for another reading of the same images. Both are kept and linked. Only what may be MR counts as an image here:
other objects that come are kept with the round that there is.
"""

from enum import StrEnum

from zweitblick.errors import ActorError, EventError


class State(StrEnum):
    """Where a round of a study is."""

    RECEIVING = "receiving"
    STABLE = "stable"
    READING = "reading"
    READ = "read"
    SEALED = "sealed"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    AWAITING_REVIEW = "awaiting review"
    REVIEWED = "reviewed"
    SUPERSEDED = "superseded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Event(StrEnum):
    """What can happen to a round."""

    ARRIVED = "arrived"
    """An instance that may be MR became durable that was not there before, or only because it had been fetched."""
    COMPLETED = "completed"
    """Evidence, or the quiet time, says that all instances are there."""
    STARTED = "started"
    RELEASED = "released"
    """A worker that shuts down or died gives the round back."""
    READ = "read"
    SEALED = "sealed"
    DELIVERY_STARTED = "delivery started"
    DELIVERED = "delivered"
    """Every destination has acknowledged."""
    REVIEW_ASKED = "review asked"
    REVIEWED = "reviewed"
    PRIORS_ASKED = "priors asked"
    """Somebody asks that what was read be read again: with an earlier study that is there by now, or because it was
    fetched only to compare another one with it."""
    ATTEMPT_FAILED = "attempt failed"
    """A step failed, or its place in the queue was lost, and will be tried again."""
    GAVE_UP = "gave up"
    """A step failed and will not be tried again until a person says so."""
    REPLAYED = "replayed"
    CANCELLED = "cancelled"


class Actor(StrEnum):
    """Who brings an event about: a part of the service, or a person's role."""

    RECEIVER = "receiver"
    WORKER = "worker"
    RADIOLOGIST = "radiologist"
    ADMINISTRATOR = "administrator"


IN_WORK = frozenset({State.STABLE, State.READING, State.READ, State.SEALED, State.DELIVERED})
"""States from which readers lead on; a round that is in one of them is in the queue, or must be put there. One that is
being delivered is in that of its deliveries."""

WAS_READ = frozenset(
    {State.READ, State.SEALED, State.DELIVERING, State.DELIVERED, State.AWAITING_REVIEW, State.REVIEWED}
)
"""States of a round whose results are all there."""

TURNS = frozenset({Event.COMPLETED, Event.REPLAYED, Event.ATTEMPT_FAILED})
"""Each of these begins a round's next turn in the queue. Whoever is at work on an earlier turn changes nothing more."""

_RECEIVER = frozenset({Actor.RECEIVER})
_WORKER = frozenset({Actor.WORKER})
_SERVICE = _RECEIVER | _WORKER
_RADIOLOGIST = frozenset({Actor.RADIOLOGIST})
_ADMINISTRATOR = frozenset({Actor.ADMINISTRATOR})
_PERSON = _RADIOLOGIST | _ADMINISTRATOR

Transition = tuple[State, frozenset[Actor]]

_LATE: Transition = (State.SUPERSEDED, _RECEIVER)
_SUPERSEDED: dict[Event, Transition] = {
    Event.ARRIVED: _LATE,
    Event.PRIORS_ASKED: (State.SUPERSEDED, _RADIOLOGIST),
}
_STOPPED: dict[Event, Transition] = {
    Event.GAVE_UP: (State.FAILED, _WORKER),
    Event.CANCELLED: (State.CANCELLED, _PERSON),
}

TABLE: dict[State, dict[Event, Transition]] = {
    State.RECEIVING: {
        Event.ARRIVED: (State.RECEIVING, _RECEIVER),
        Event.COMPLETED: (State.STABLE, _SERVICE),
        Event.CANCELLED: (State.CANCELLED, _PERSON),
    },
    State.STABLE: {
        Event.ARRIVED: (State.RECEIVING, _RECEIVER),
        Event.STARTED: (State.READING, _WORKER),
        Event.ATTEMPT_FAILED: (State.STABLE, _WORKER),
        **_STOPPED,
    },
    State.READING: {
        Event.ARRIVED: _LATE,
        Event.READ: (State.READ, _WORKER),
        Event.RELEASED: (State.STABLE, _WORKER),
        Event.ATTEMPT_FAILED: (State.READING, _WORKER),
        **_STOPPED,
    },
    State.READ: {
        **_SUPERSEDED,
        Event.SEALED: (State.SEALED, _WORKER),
        Event.ATTEMPT_FAILED: (State.READ, _WORKER),
        **_STOPPED,
    },
    State.SEALED: {
        **_SUPERSEDED,
        Event.DELIVERY_STARTED: (State.DELIVERING, _WORKER),
        Event.REVIEW_ASKED: (State.AWAITING_REVIEW, _WORKER),
        Event.ATTEMPT_FAILED: (State.SEALED, _WORKER),
        **_STOPPED,
    },
    State.DELIVERING: {
        **_SUPERSEDED,
        Event.DELIVERED: (State.DELIVERED, _WORKER),
        Event.ATTEMPT_FAILED: (State.DELIVERING, _WORKER),
        **_STOPPED,
    },
    State.DELIVERED: {
        **_SUPERSEDED,
        Event.REVIEW_ASKED: (State.AWAITING_REVIEW, _WORKER),
        Event.ATTEMPT_FAILED: (State.DELIVERED, _WORKER),
        Event.GAVE_UP: (State.FAILED, _WORKER),
    },
    State.AWAITING_REVIEW: {
        **_SUPERSEDED,
        Event.REVIEWED: (State.REVIEWED, _RADIOLOGIST),
    },
    State.REVIEWED: {
        **_SUPERSEDED,
    },
    State.SUPERSEDED: {},
    State.FAILED: {
        Event.ARRIVED: _LATE,
        Event.REPLAYED: (State.STABLE, _ADMINISTRATOR),
        Event.CANCELLED: (State.CANCELLED, _PERSON),
    },
    State.CANCELLED: {
        Event.ARRIVED: (State.CANCELLED, _RECEIVER),
        Event.REPLAYED: (State.STABLE, _ADMINISTRATOR),
    },
}
"""Where each event leads, and who may bring it about; what is not here cannot happen.

Delivery from SEALED is left out where no destination is configured. REPLAYED leads to STABLE: the workflow's steps that
were checkpointed are not done again. Whoever cancels a study does not want it read, so late images change nothing.
"""


def after(state: State, event: Event, *, by: Actor) -> State:
    """Return the state that an event leads to.

    Parameters
    ----------
    state
        Where the round is.
    event
        What happens.
    by
        Who brings it about.

    Raises
    ------
    EventError
        If it cannot happen in this state.
    ActorError
        If it can, but this actor may not bring it about.
    """
    if event not in TABLE[state]:
        possible = ", ".join(TABLE[state]) or "nothing"
        raise EventError(f"'{event}' cannot happen to a round that is {state}; possible: {possible}")
    next_state, actors = TABLE[state][event]
    if by not in actors:
        raise ActorError(f"'{event}' is not for a {by} to bring about; it is for: {', '.join(sorted(actors))}")
    return next_state
