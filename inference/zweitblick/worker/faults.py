"""Faults: which of them may pass, when is it tried again, and when is a round given up."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from zweitblick.errors import (
    EventError,
    NetworkDeadlineError,
    NetworkMemoryError,
    SinkError,
    ZweitblickError,
)
from zweitblick.errors.root import INTERNAL
from zweitblick.store.life import Event, State
from zweitblick.store.store import Store
from zweitblick.store.work import failures
from zweitblick.worker.turn import Turn, happened

MAY_PASS = (NetworkMemoryError, NetworkDeadlineError, SinkError, MemoryError, OSError)
"""These tell of the machine at that time, and nothing of the study."""

FIRST, LONGEST = timedelta(seconds=10), timedelta(minutes=10)
RETRIES = 8
"""With these delays a round is given up half an hour after it failed first."""


@dataclass(frozen=True)
class Fault:
    """Why a step failed.

    Parameters
    ----------
    code
        As in `zweitblick.errors`, or `INTERNAL`.
    message
        For people; nothing of the patient.
    may_pass
        Whether trying again may help.
    """

    code: str
    message: str
    may_pass: bool

    @classmethod
    def of(cls, error: Exception) -> Self:
        """Return what an error tells; of one that is not ours only its type, since its text may quote a header."""
        may_pass = isinstance(error, MAY_PASS)
        if isinstance(error, ZweitblickError):
            return cls(error.code, str(error), may_pass)
        cause = "see to the machine" if may_pass else "a defect in zweitblick"
        return cls(INTERNAL, f"{type(error).__name__}; {cause}", may_pass)


def delay(failed: int) -> timedelta:
    """Return how long after a failed attempt the next one is due: twice as long each time.

    Parameters
    ----------
    failed
        How many have failed, from 1.
    """
    longer: int = 2 ** (failed - 1)
    return min(FIRST * longer, LONGEST)


def failed(store: Store, turn: Turn, fault: Fault) -> State:
    """End a turn that has failed: the round gets another one if that may help, or is given up; return its state.

    Raises
    ------
    StoreError
        If the store cannot be used, or the round is gone.
    """
    if fault.may_pass and len(failures(store.work.history(turn.round))) < RETRIES:
        return happened(store, turn, Event.ATTEMPT_FAILED, code=fault.code)
    try:
        return store.work.give_up(turn.round, fault.code, fault.message, turn=turn.number)
    except EventError:
        return store.work.round(turn.round).state
