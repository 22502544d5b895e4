"""The workflow of a round: its steps in their order, each tried until store and key holder are there."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from dbos import DBOS, WorkflowSerializationFormat

from zweitblick.errors import NetworkClosedError, UnknownRoundError
from zweitblick.store.life import Event
from zweitblick.store.store import Store
from zweitblick.worker.events import completed, happened
from zweitblick.worker.reading_step import AWAY, ReadingStep

log = logging.getLogger(__name__)

AWAY_S = 5.0
"""After so long a step is tried again, for as long as store or key holder are away."""

SHREDDED = "shredded"

Step = Callable[[str, str, str], str]
"""Of a study's token, a round's id and a detail; returns the state after it."""


class HandedBack(BaseException):
    """The worker is closing. No `Exception`: DBOS records no outcome, and resumes the workflow at its next start."""


class Workflow:
    """Takes rounds from complete to awaiting review; for several threads at once.

    Parameters
    ----------
    store
        Where rounds are.
    reading
        Reads them.
    clock
        Tells the time, aware.
    """

    def __init__(self, store: Store, reading: ReadingStep, *, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._reading = reading
        self._clock = clock
        self._closing = threading.Event()
        self._changed = threading.Condition()
        self._working: set[str] = set()

    def registered(self) -> Step:
        """Make the workflow known to DBOS, which takes functions and no methods; return it as DBOS enqueues it."""

        @DBOS.workflow(name="read", serialization_type=WorkflowSerializationFormat.PORTABLE)
        def life(study: str, round_id: str, arrived: str) -> str:
            return self._life(study, round_id, arrived)

        return life

    def close(self) -> None:
        """Begin nothing new, and try nothing again."""
        self._closing.set()

    def wait(self, patience_s: float | None = None) -> None:
        """Wait until nothing is under way, or for so long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._working, patience_s)

    def _life(self, study: str, round_id: str, arrived: str) -> str:
        with self._alone(round_id) as is_first:
            if not is_first:
                return "in work already"
            stamp = DBOS.run_step({"name": "stamp"}, lambda: self._clock().isoformat())
            DBOS.run_step({"name": "complete"}, self._kept_at(self._completed), study, round_id, arrived)
            DBOS.run_step({"name": "read"}, self._kept_at(self._reading.read), study, round_id, stamp)
            for event in (Event.SEALED, Event.REVIEW_ASKED):
                state = DBOS.run_step({"name": event.value}, self._kept_at(self._happened), study, round_id, event)
            log.info("round %s of study %s is %s", round_id, study, state)
            return state

    @contextmanager
    def _alone(self, round_id: str) -> Iterator[bool]:
        """Tell whether nobody else is at work on a round; the worker waits for the end before it closes."""
        with self._changed:
            if self._closing.is_set():
                raise HandedBack
            is_first = round_id not in self._working
            self._working.add(round_id)
        try:
            yield is_first
        finally:
            if is_first:
                with self._changed:
                    self._working.discard(round_id)
                    self._changed.notify_all()

    def _kept_at(self, step: Step) -> Step:
        """Try a step again for as long as store or key holder are away."""

        def trying(study: str, round_id: str, detail: str) -> str:
            while True:
                try:
                    return step(study, round_id, detail)
                except UnknownRoundError:
                    return SHREDDED
                except NetworkClosedError as error:
                    raise HandedBack from error
                except AWAY as error:
                    log.warning("round %s waits: %s", round_id, error.code)
                    if self._closing.wait(AWAY_S):
                        raise HandedBack from error

        return trying

    def _completed(self, study: str, round_id: str, arrived: str) -> str:
        return completed(self._store, study, round_id, arrived)

    def _happened(self, study: str, round_id: str, event: str) -> str:
        return happened(self._store, study, round_id, event)
