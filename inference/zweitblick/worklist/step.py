"""The life of a procedure step as one table (PS3.4 Table CC.1.1-2)."""

from enum import StrEnum

from zweitblick.errors import TransactionError, WorkitemContentError, WorkitemStateError


class StepState(StrEnum):
    """Procedure Step State (0074,1000)."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"


class Answer(StrEnum):
    """What a request to change the state leads to."""

    CHANGED = "changed"
    ALREADY_THERE = "already there"
    """PS3.4 warnings B304 and B306."""
    NOT_MODIFIABLE = "it is final and may no longer be modified"
    """C300."""
    CLAIMED = "it is already in progress"
    """C302."""
    NOT_CLAIMED = "it has not yet been claimed; set IN PROGRESS first"
    """C310."""


TABLE: dict[StepState, dict[StepState, Answer]] = {
    StepState.SCHEDULED: {
        StepState.IN_PROGRESS: Answer.CHANGED,
        StepState.COMPLETED: Answer.NOT_CLAIMED,
        StepState.CANCELED: Answer.NOT_CLAIMED,
    },
    StepState.IN_PROGRESS: {
        StepState.IN_PROGRESS: Answer.CLAIMED,
        StepState.COMPLETED: Answer.CHANGED,
        StepState.CANCELED: Answer.CHANGED,
    },
    StepState.COMPLETED: {
        StepState.IN_PROGRESS: Answer.NOT_MODIFIABLE,
        StepState.COMPLETED: Answer.ALREADY_THERE,
        StepState.CANCELED: Answer.NOT_MODIFIABLE,
    },
    StepState.CANCELED: {
        StepState.IN_PROGRESS: Answer.NOT_MODIFIABLE,
        StepState.COMPLETED: Answer.NOT_MODIFIABLE,
        StepState.CANCELED: Answer.ALREADY_THERE,
    },
}
"""Of the state that a step is in, by the state that is asked for; SCHEDULED is asked for by creating a step alone."""


def changed(state: StepState, asked: str, *, claimed_by: str, given: str) -> bool:
    """Tell whether a step changes to the state that is asked for; False if it is there already.

    Parameters
    ----------
    state
        That it is in.
    asked
        Procedure Step State of the request.
    claimed_by
        Transaction UID of whoever has claimed it; empty while it is scheduled.
    given
        Transaction UID of the request.

    Raises
    ------
    WorkitemContentError
        If no such state can be asked for (C303).
    TransactionError
        If the Transaction UID is missing or wrong (C301).
    WorkitemStateError
        If it cannot change (C300, C302, C310).
    """
    if asked not in TABLE[state]:
        raise WorkitemContentError(f"Procedure Step State {asked[:16]!r} cannot be asked for; give one of {_names()}")
    if not given or (claimed_by and asked != StepState.IN_PROGRESS and given != claimed_by):
        raise TransactionError(
            "the Transaction UID is missing or not that of the claim; give the one it was claimed with"
        )
    answer = TABLE[state][StepState(asked)]
    if answer in (Answer.CHANGED, Answer.ALREADY_THERE):
        return answer is Answer.CHANGED
    raise WorkitemStateError(f"the work item cannot become {asked}: {answer}")


def check_modifiable(state: StepState, *, claimed_by: str, given: str) -> None:
    """Refuse a change of attributes by anybody but whoever may make it.

    Raises
    ------
    WorkitemStateError
        If the step is final (C300), or a Transaction UID comes with one that nobody has claimed.
    TransactionError
        If it was claimed with another Transaction UID (C301).
    """
    if state in (StepState.COMPLETED, StepState.CANCELED):
        raise WorkitemStateError(f"the work item is {state} and may no longer be modified; create another")
    if given != claimed_by:
        raise TransactionError(
            "the Transaction UID is missing or not that of the claim; give the one it was claimed with"
        )


def _names() -> str:
    return ", ".join(TABLE[StepState.SCHEDULED])
