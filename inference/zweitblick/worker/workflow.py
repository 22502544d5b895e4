"""The workflow of a round's turn: its steps in their order, each tried until store and key holder are there."""

import logging
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from dbos import DBOS, WorkflowSerializationFormat
from structlog.contextvars import bound_contextvars

from zweitblick.delivery.deliverer import Deliverer
from zweitblick.errors import NetworkClosedError, UnknownRoundError, ZweitblickError
from zweitblick.model.batcher import Batcher, Share
from zweitblick.queue_place import QueuePlaces
from zweitblick.store.absence import HandedBack, until_there
from zweitblick.store.life import Event
from zweitblick.store.store import Store
from zweitblick.worker.faults import Fault, failed
from zweitblick.worker.reading_step import ReadingStep
from zweitblick.worker.turn import Turn, happened

log = logging.getLogger(__name__)

SHREDDED = "shredded"

Life = Callable[[str, str, int], str]
"""The workflow: of a study's token, a round's id and the number of its turn; returns the state at its end."""


@dataclass(eq=False)
class _Go:
    """A turn that is under way here."""

    turn: Turn
    share: Share


class Workflow:
    """Takes rounds from complete to awaiting review; for several threads at once.

    Parameters
    ----------
    store
        Where rounds are.
    reading
        Reads them.
    deliverer
        Delivers them.
    batcher
        Through which they share the networks.
    clock
        Tells the time, aware.
    """

    def __init__(
        self,
        store: Store,
        reading: ReadingStep,
        deliverer: Deliverer,
        batcher: Batcher,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._reading = reading
        self._deliverer = deliverer
        self._batcher = batcher
        self._clock = clock
        self._closing = threading.Event()
        self._changed = threading.Condition()
        self._under_way: list[_Go] = []

    def registered(self, places: QueuePlaces) -> Life:
        """Make the workflow known to DBOS, which takes functions and no methods; return it as DBOS enqueues it.

        Parameters
        ----------
        places
            Take note of what runs.
        """

        @DBOS.workflow(name="read", serialization_type=WorkflowSerializationFormat.PORTABLE)
        def life(study: str, round_id: str, number: int) -> str:
            turn = Turn(study, round_id, number)
            with places.running(turn.workflow):
                return self._life(turn)

        return life

    def turns(self) -> set[Turn]:
        """Return what is under way here."""
        with self._changed:
            return {go.turn for go in self._under_way}

    def cancel(self, turns: Collection[Turn]) -> None:
        """End turns that are over, as soon as they can."""
        with self._changed:
            shares = [go.share for go in self._under_way if go.turn in turns]
        for share in shares:
            self._batcher.cancel(share)

    def close(self) -> None:
        """Begin nothing new, and try nothing again."""
        self._closing.set()
        with self._changed:
            self._changed.notify_all()

    def wait(self, patience_s: float | None = None) -> None:
        """Wait until nothing is under way, or for so long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way, patience_s)

    def _life(self, turn: Turn) -> str:
        with bound_contextvars(study=turn.study, round=turn.round), self._alone(turn) as share:
            stamp = DBOS.run_step({"name": "stamp"}, lambda: self._clock().isoformat())
            self._step("read", turn, lambda: self._reading.read(turn, stamp, share))
            state = self._happens(turn, Event.SEALED)
            try:
                if not self._deliverer.begin(turn.study, turn.round):
                    state = self._happens(turn, Event.REVIEW_ASKED)
            except ZweitblickError as error:  # what says where it goes cannot be opened
                state = self._step("not delivered", turn, partial(failed, self._store, turn, Fault.of(error)))
            log.info("round %s of study %s is %s", turn.round, turn.study, state)
            return state

    def _happens(self, turn: Turn, event: Event) -> str:
        return self._step(event.value, turn, partial(happened, self._store, turn, event))

    @contextmanager
    def _alone(self, turn: Turn) -> Iterator[Share]:
        """Wait for whoever is at work on the round here to end; the worker waits for this one before it closes."""
        go = _Go(turn, self._batcher.share())
        with self._changed:
            self._under_way.append(go)
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._closing.is_set() or self._is_first(go))
            if self._closing.is_set():
                raise HandedBack
            yield go.share
        finally:
            with self._changed:
                self._under_way.remove(go)
                self._changed.notify_all()

    def _is_first(self, go: _Go) -> bool:
        return next(one for one in self._under_way if one.turn.round == go.turn.round) is go

    def _step(self, name: str, turn: Turn, step: Callable[[], str]) -> str:
        """Checkpoint a step, which is tried again for as long as store or key holder are away."""

        def trying() -> str:
            try:
                return until_there(step, self._closing, partial(log.warning, "round %s waits: %s", turn.round))
            except UnknownRoundError:
                return SHREDDED
            except NetworkClosedError as error:
                raise HandedBack from error

        return DBOS.run_step({"name": name}, trying)
