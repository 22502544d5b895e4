"""Fleet: the workers that share a store; each says that it is alive, and what a dead one had begun others begin."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from dbos import DBOS

from zweitblick.store.store import Store

log = logging.getLogger(__name__)

BEAT = timedelta(seconds=5)
"""How often a worker says that it is alive, and looks for dead ones."""

DEAD = timedelta(seconds=30)
"""A worker that has not said so for so long is dead; if it is not after all, what it does from then on is refused."""

_NEVER = datetime.min.replace(tzinfo=UTC)


class Fleet:
    """One worker's view of all; for one thread.

    Beats are counted and times are one's own, so that the workers' clocks need not agree.

    Parameters
    ----------
    store
        That they share.
    me
        Executor id of this worker.
    clock
        Tells the time, aware.
    """

    def __init__(self, store: Store, me: str, *, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._me = me
        self._clock = clock
        self._looked_at = _NEVER
        self._seen: dict[str, tuple[int, datetime]] = {}

    def look(self) -> None:
        """Say that this worker is alive and take over what dead ones had begun, if it is time to.

        Raises
        ------
        StoreError
            If the store cannot be used.
        """
        now = self._clock()
        if now - self._looked_at < BEAT:
            return
        self._store.work.beat(self._me)
        if now - self._looked_at >= DEAD / 2:
            self._seen.clear()  # while this worker could not look, the others may have been as unable to say
        self._looked_at = now
        dead = self._dead(now)
        if dead:
            log.warning("workers %s are dead; what they had begun is begun anew", ", ".join(dead))
            DBOS._recover_pending_workflows(dead)  # noqa: SLF001 -- no public one moves only what the dead still own
            for worker in dead:
                self._store.work.leave(worker)

    def leave(self) -> None:
        """Say that this worker is gone, so that nobody waits for it.

        Raises
        ------
        StoreError
            If the store cannot be used.
        """
        self._store.work.leave(self._me)

    def _dead(self, now: datetime) -> list[str]:
        """Those who own something and are not alive."""
        beats = self._store.work.beats()
        self._seen = {
            worker: seen if (seen := self._seen.get(worker)) and seen[0] == beat else (beat, now)
            for worker, beat in beats.items()
        }
        begun = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
        owners = {workflow.executor_id for workflow in begun if workflow.executor_id} - {self._me}
        return sorted(one for one in owners if one not in self._seen or now - self._seen[one][1] >= DEAD)
