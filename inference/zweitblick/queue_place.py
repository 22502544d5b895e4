"""QueuePlaces: where the workflows of one of DBOS's queues are, and how one that is stuck there begins anew."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from dbos import DBOS

SETTLE_S = 5.0
"""What this process took from the queue may be about to begin for so long."""


class QueuePlace(StrEnum):
    """Where a workflow is."""

    NOWHERE = "nowhere"
    """It was never put into the queue, or that was lost since."""
    QUEUED = "queued"
    BEGUN = "begun"
    """Here, or by another process."""
    STUCK = "stuck"
    """This process took it from the queue and never began it, as after a moment without the database."""
    ENDED = "ended"
    """Whatever came of it, DBOS does not begin it again."""


_BEGUN = "PENDING"
_PLACES = {"ENQUEUED": QueuePlace.QUEUED, "DELAYED": QueuePlace.QUEUED, _BEGUN: QueuePlace.BEGUN}
"""Of what DBOS calls the status of a workflow that has not ended."""


class QueuePlaces:
    """Where workflows are; for several threads at once, while DBOS runs.

    Parameters
    ----------
    queue
        Its name in DBOS.
    """

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._running: set[str] = set()
        self._idle_since: dict[str, float] = {}

    @contextmanager
    def running(self, workflow: str) -> Iterator[None]:
        """Take note that a workflow runs here while the block lasts."""
        self._running.add(workflow)
        try:
            yield
        finally:
            self._running.discard(workflow)

    def of(self, workflow: str) -> QueuePlace:
        """Tell where a workflow is; it is stuck once it was seen not to begin for `SETTLE_S`."""
        status = DBOS.get_workflow_status(workflow)
        if status is not None and status.status == _BEGUN and self._is_idle(workflow, status.executor_id):
            now = time.monotonic()
            idle_s = now - self._idle_since.setdefault(workflow, now)
            return QueuePlace.STUCK if idle_s > SETTLE_S else QueuePlace.BEGUN
        self._idle_since.pop(workflow, None)
        return QueuePlace.NOWHERE if status is None else _PLACES.get(status.status, QueuePlace.ENDED)

    def begin_anew(self, workflow: str) -> None:
        """Put a workflow back into the queue that is stuck."""
        self._idle_since.pop(workflow, None)
        DBOS.resume_workflow(workflow, queue_name=self._queue)

    def _is_idle(self, workflow: str, executor: str | None) -> bool:
        return executor == DBOS.executor_id and workflow not in self._running


def workflow_id(*parts: object) -> str:
    """Join parts to a workflow's id; with the steps' version, since DBOS runs no other version's."""
    return "-".join([*map(str, parts), DBOS.application_version])
