"""Fleet: the workers that share a store; each says that it is alive, and what a dead one had begun others begin."""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from dbos import DBOS

from zweitblick.errors import StoreError
from zweitblick.store.absence import AWAY
from zweitblick.store.store import Store

log = logging.getLogger(__name__)

BEAT = timedelta(seconds=5)
"""How often a worker says that it is alive, and looks for dead ones."""

DEAD = timedelta(seconds=30)
"""A worker that has not said so for so long is dead; if it is not after all, what it does from then on is refused."""

_NEVER = datetime.min.replace(tzinfo=UTC)


class Fleet:
    """One worker's view of all, who are told that it is alive for as long as it is entered; looks are for one thread.

    Beats are counted and times are one's own, so that the workers' clocks need not agree. They have a thread of their
    own: a look for work may take longer than `DEAD`.

    Parameters
    ----------
    store
        That they share.
    me
        Executor id of this worker.
    clock
        Tells the time, aware.

    Raises
    ------
    StoreError
        By entering, if the store cannot be used.
    """

    def __init__(self, store: Store, me: str, *, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._me = me
        self._clock = clock
        self._looked_at = _NEVER
        self._seen: dict[str, tuple[int, datetime]] = {}
        self._leaving = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="heartbeat")

    def __enter__(self) -> Self:
        self._store.work.beat(self._me)
        self._beating.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say that this worker is gone, so that nobody waits for it."""
        self._leaving.set()
        self._beating.join()
        with suppress(*AWAY):
            self._store.work.leave(self._me)

    def look(self) -> None:
        """Take over what dead workers had begun, if it is time to.

        Raises
        ------
        StoreError
            If the store cannot be used.
        """
        now = self._clock()
        if now - self._looked_at < BEAT:
            return
        if now - self._looked_at >= DEAD / 2:
            self._seen.clear()  # while this worker could not look, the others may have been as unable to say
        self._looked_at = now
        dead = self._dead(now)
        if dead:
            log.warning("workers %s are dead; what they had begun is begun anew", ", ".join(dead))
            DBOS._recover_pending_workflows(dead)  # noqa: SLF001 -- no public one moves only what the dead still own
            for worker in dead:
                self._store.work.leave(worker)

    def _beat(self) -> None:
        while not self._leaving.wait(BEAT.total_seconds()):
            try:
                self._store.work.beat(self._me)
            except StoreError as error:
                log.warning("that this worker is alive cannot be said: %s", error.code)
            except Exception as error:  # noqa: BLE001 -- the thread's edge: beating must not end
                log.error("a heartbeat failed by %s", type(error).__name__)  # noqa: TRY400 -- texts may quote data

    def _dead(self, now: datetime) -> list[str]:
        """Those who own something that this version of the steps can take over and are not alive."""
        beats = self._store.work.beats()
        self._seen = {
            worker: seen if (seen := self._seen.get(worker)) and seen[0] == beat else (beat, now)
            for worker, beat in beats.items()
        }
        begun = DBOS.list_workflows(
            status="PENDING", app_version=DBOS.application_version, load_input=False, load_output=False
        )
        owners = {workflow.executor_id for workflow in begun if workflow.executor_id} - {self._me}
        return sorted(one for one in owners if one not in self._seen or now - self._seen[one][1] >= DEAD)
