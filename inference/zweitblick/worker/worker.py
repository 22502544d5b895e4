"""Worker: looks for rounds that are complete, and has them read, until it is closed."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from dbos import DBOS, SetWorkflowID

from zweitblick.errors import UnknownRoundError
from zweitblick.model.batcher import Batcher
from zweitblick.model.bundle import Bundles
from zweitblick.store.rounds import Round
from zweitblick.store.store import Store
from zweitblick.worker.events import completed
from zweitblick.worker.launch import QUEUE, launch, locked
from zweitblick.worker.reading_step import AWAY, ReadingStep
from zweitblick.worker.workflow import AWAY_S, Workflow

log = logging.getLogger(__name__)

POLL_S = 0.5
"""How often it is looked for rounds whose quiet time is over, and for work in the queue."""

STUDIES_AT_ONCE = 2
"""One reads and writes while another is in the network."""


class Worker:
    """Reads rounds of studies, from construction until `close`; one in a process.

    Parameters
    ----------
    store
        Where studies are, and results go.
    bundles
        The networks.
    folder
        Of DBOS's database; made if absent.
    clock
        Tells the time, aware.

    Raises
    ------
    WorkerRunningError
        If another process is at work with this folder; it would take over what that one has begun.
    """

    def __init__(self, store: Store, bundles: Bundles, folder: Path, *, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._closing = threading.Event()
        self._lock = locked(folder)
        self._batcher = Batcher()
        self._workflow = Workflow(store, ReadingStep(store, bundles, self._batcher), clock=clock)
        self._life = self._workflow.registered()
        launch(folder, studies_at_once=STUDIES_AT_ONCE, poll_s=POLL_S)
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
            If the store cannot be used.
        """
        arrived = complete.arrived_at.isoformat()
        with SetWorkflowID(f"{complete.id}-{arrived}"):
            DBOS.enqueue_workflow(QUEUE, self._life, complete.study, complete.id, arrived)
        completed(self._store, complete.study, complete.id, arrived)

    @property
    def is_working(self) -> bool:
        """Whether rounds are looked for."""
        return self._poller.is_alive()

    def close(self, *, patience_s: float = 30.0) -> None:
        """Begin nothing new, finish what is being read, or hand it back for the next start; end all threads.

        Parameters
        ----------
        patience_s
            How long a reading may take to end; after that it ends at its next network call.
        """
        self._closing.set()
        self._poller.join()
        self._workflow.close()
        self._workflow.wait(patience_s)
        self._batcher.close()
        self._workflow.wait()
        DBOS.destroy(destroy_registry=True)
        self._lock.close()

    def _poll(self) -> None:
        while not self._closing.wait(POLL_S):
            try:
                for quiet in self._store.stable_after(self._clock()):
                    self.submit(quiet)
            except UnknownRoundError:
                continue  # shredded since
            except AWAY as error:
                log.warning("studies that may be complete cannot be looked for: %s", error.code)
                self._closing.wait(AWAY_S)
            except Exception as error:  # noqa: BLE001 -- the jobs' edge: looking for them must not end
                log.error("looking for studies failed by %s", type(error).__name__)  # noqa: TRY400 -- texts may quote data
                self._closing.wait(AWAY_S)
