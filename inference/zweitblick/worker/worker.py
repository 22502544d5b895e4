"""Worker: looks for rounds that are complete, and has them read, until it is closed."""

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Self

from dbos import DBOS

from zweitblick.errors import EventError, UnknownRoundError
from zweitblick.model.batcher import Batcher
from zweitblick.model.bundle import Bundles
from zweitblick.queue_place import QueuePlaces
from zweitblick.store.absence import AWAY, AWAY_S
from zweitblick.store.life import IN_WORK, Actor, Event, State
from zweitblick.store.rounds import Round
from zweitblick.store.store import Store
from zweitblick.study import Priority
from zweitblick.worker.backlog import RECHECK, Backlog
from zweitblick.worker.fleet import Fleet
from zweitblick.worker.launch import QUEUE, WorkPlace, launch, seated
from zweitblick.worker.partners import Partners
from zweitblick.worker.priority import priority
from zweitblick.worker.reading_step import ReadingStep
from zweitblick.worker.turn import Turn
from zweitblick.worker.workflow import Workflow

log = logging.getLogger(__name__)

POLL_S = 0.5
"""How often it is looked for rounds whose quiet time is over or that are cancelled, and for work in the queue."""

STUDIES_AT_ONCE = 2
"""One reads and writes while another is in the network."""

_EQUAL: Mapping[str, Priority] = MappingProxyType({})


class Worker:
    """Reads rounds of studies, from construction until `close`; one in a process.

    Parameters
    ----------
    store
        Where studies are, and results go.
    bundles
        The networks.
    place
        Where the queue is, and who this worker is.
    clock
        Tells the time, aware.
    priorities
        By calling AE title, where a sender's studies are more urgent than routine.
    partners
        Who delivers, counts and has it on record; nobody if not given.

    Raises
    ------
    WorkerRunningError
        If another process is at work there, and the place is for one.
    StoreUnavailableError
        If the place cannot be used.
    """

    def __init__(
        self,
        store: Store,
        bundles: Bundles,
        place: WorkPlace,
        *,
        clock: Callable[[], datetime],
        priorities: Mapping[str, Priority] = _EQUAL,
        partners: Partners | None = None,
    ) -> None:
        partners = partners or Partners.none(store, clock)
        self._deliverer = partners.deliverer
        self._store = store
        self._clock = clock
        self._resumed_at = datetime.min.replace(tzinfo=UTC)
        self._closing, self._woken = threading.Event(), threading.Event()
        with ExitStack() as opening:
            seat = seated(place)
            opening.callback(seat.lock.close)
            self._fleet = opening.enter_context(Fleet(store, seat.worker, clock=clock))  # before it owns anything
            self._batcher = opening.enter_context(Batcher(observer=partners.metrics.batch))
            reading = ReadingStep(store, bundles, partners, largest_study_bytes=place.largest_study_bytes)
            self._workflow = Workflow(store, reading, partners.deliverer, self._batcher, clock=clock)
            urgency = partial(priority, store, of_senders=priorities)
            places = QueuePlaces(QUEUE)
            life = self._workflow.registered(places)
            self._backlog = Backlog(store, life, places, urgency=urgency, holds=partners.lookup.holds, clock=clock)
            opening.callback(DBOS.destroy, destroy_registry=True)
            for one in (partners.deliverer, partners.lookup):
                one.register()
                opening.callback(one.close)
            launch(place, seat.worker, studies_at_once=STUDIES_AT_ONCE, poll_s=POLL_S)
            for one in (partners.deliverer, partners.lookup):
                one.launch()
            self._ending = opening.pop_all()
        self._poller = threading.Thread(target=self._poll, name="quiet studies")
        self._poller.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, complete: Round) -> None:
        """Have a round read whose instances are all there; nothing happens if it is, or was, in the queue.

        Raises
        ------
        StoreError
            If the store cannot be used, or the round is gone.
        """
        now = self._store.work.round(complete.id)
        if now.state is State.RECEIVING and now.arrived_at == complete.arrived_at:
            with suppress(EventError):  # another was faster
                self._store.advance(complete.id, Event.COMPLETED, by=Actor.WORKER)
        self._woken.set()

    @property
    def is_working(self) -> bool:
        """Whether rounds are looked for."""
        return self._poller.is_alive()

    def close(self, *, patience_s: float = 30.0) -> None:
        """Begin nothing new, finish what is being read, or hand it back; end all threads.

        Parameters
        ----------
        patience_s
            How long a reading may take to end; after that it ends at its next network call.
        """
        self._closing.set()
        self._woken.set()
        self._poller.join()
        self._workflow.close()
        self._workflow.wait(patience_s)
        self._batcher.close()
        self._workflow.wait()
        self._ending.close()

    def _poll(self) -> None:
        while not self._closing.is_set():
            self._woken.clear()
            try:
                self._look()
            except UnknownRoundError:
                continue  # shredded since
            except AWAY as error:
                log.warning("studies that may be complete cannot be looked for: %s", error.code)
                self._closing.wait(AWAY_S)
            except Exception as error:  # noqa: BLE001 -- the jobs' edge: looking for them must not end
                log.error("looking for studies failed by %s", type(error).__name__)  # noqa: TRY400 -- texts may quote data
                self._closing.wait(AWAY_S)
            self._woken.wait(POLL_S)

    def _look(self) -> None:
        self._fleet.look()
        running = self._workflow.turns()  # before the store is asked, which then knows of all of them
        for complete in self._store.stable_after(self._clock()):
            self.submit(complete)
        rounds = self._store.work.rounds_in(IN_WORK)
        self._workflow.cancel(running - {Turn.of(one) for one in rounds})
        self._backlog.fill(rounds)
        if self._clock() - self._resumed_at >= RECHECK:
            self._resumed_at = self._clock()
            self._deliverer.resume()
