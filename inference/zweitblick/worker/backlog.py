"""Backlog: what the store says is to be done is in the queue, however its place there was lost."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from dbos import DBOS, SetEnqueueOptions, SetWorkflowID

from zweitblick.errors import LostTurnError, UnknownRoundError, ZweitblickError
from zweitblick.queue_place import QueuePlace, QueuePlaces
from zweitblick.store.absence import AWAY
from zweitblick.store.rounds import Round
from zweitblick.store.store import Store
from zweitblick.store.work import failures
from zweitblick.study import Priority
from zweitblick.worker.faults import Fault, delay, failed
from zweitblick.worker.launch import QUEUE
from zweitblick.worker.priority import rank
from zweitblick.worker.turn import Turn
from zweitblick.worker.workflow import Life

log = logging.getLogger(__name__)

RECHECK = timedelta(seconds=30)
"""How often it is asked whether what was put into the queue is still there."""

_LOST = Fault(LostTurnError.code, "its place in the queue was lost again and again; see to the database", may_pass=True)


class Backlog:
    """Puts rounds into the queue that are not there; for one thread.

    Parameters
    ----------
    store
        Where rounds are.
    life
        Their workflow.
    places
        Where it is, of each.
    urgency
        Tells how urgent a round is.
    holds
        Tells whether a round is to wait for something that is not here yet.
    clock
        Tells the time, aware.
    """

    def __init__(
        self,
        store: Store,
        life: Life,
        places: QueuePlaces,
        *,
        urgency: Callable[[Round], Priority],
        holds: Callable[[Round], bool],
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._life = life
        self._urgency = urgency
        self._holds = holds
        self._clock = clock
        self._checked_at = clock()
        self._queued: set[Turn] = set()
        self._due: dict[Turn, datetime] = {}
        self._places = places

    def fill(self, rounds: Sequence[Round]) -> None:
        """Put into the queue what is due and not there; a turn that has ended there without its end here failed.

        What is wrong with one round keeps no other from being seen to; it is tried again after `RECHECK`.

        Parameters
        ----------
        rounds
            In the states `zweitblick.store.life.IN_WORK`.

        Raises
        ------
        StoreUnavailableError, StoreFullError, KeyHolderError
            If store or key holder are away.
        """
        now = self._clock()
        turns = {Turn.of(one): one for one in rounds}
        if now - self._checked_at >= RECHECK:
            self._checked_at = now
            self._queued.clear()
        self._queued &= turns.keys()
        self._due = {turn: due for turn, due in self._due.items() if turn in turns}
        for turn, one in turns.items():
            if turn not in self._queued and self._is_seen_to(turn, one):
                self._queued.add(turn)

    def _is_seen_to(self, turn: Turn, one: Round) -> bool:
        """See to a round if it is due; say so too of one that cannot be, so that those behind it come first."""
        now = self._clock()
        try:
            if self._due_at(turn, now) > now or self._holds(one):
                return False
            self._see_to(turn, one)
        except AWAY:
            raise
        except UnknownRoundError:  # shredded since
            return False
        except ZweitblickError as error:
            log.warning("round %s of study %s cannot be seen to: %s", turn.round, turn.study, error.code)
        return True

    def _due_at(self, turn: Turn, now: datetime) -> datetime:
        if turn not in self._due:
            before = failures(self._store.work.history(turn.round))
            self._due[turn] = before[-1].at + delay(len(before)) if before else now
        return self._due[turn]

    def _see_to(self, turn: Turn, one: Round) -> None:
        place = self._places.of(turn.workflow)
        if place is QueuePlace.NOWHERE:
            with SetWorkflowID(turn.workflow), SetEnqueueOptions(priority=rank(self._urgency(one))):
                DBOS.enqueue_workflow(QUEUE, self._life, turn.study, turn.round, turn.number)
        elif place is QueuePlace.STUCK:
            self._places.begin_anew(turn.workflow)
        elif place is QueuePlace.ENDED:
            log.warning("round %s of study %s lost its place in the queue", turn.round, turn.study)
            failed(self._store, turn, _LOST)
