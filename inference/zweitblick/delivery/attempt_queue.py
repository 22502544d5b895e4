"""AttemptQueue: attempts to deliver as workflows of DBOS, and what has become of them there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from dbos import DBOS, SetEnqueueOptions, SetWorkflowID, WorkflowSerializationFormat

AT_ONCE = 4
"""So many destinations are sent to at once."""

_QUEUE = "deliver"
_POLL_S = 0.5
_WAITING, _BEGUN = ("ENQUEUED", "DELAYED"), "PENDING"


class Place(StrEnum):
    """Where an attempt is."""

    NOWHERE = "nowhere"
    """It was never put into the queue, or that was lost since."""
    QUEUED = "queued"
    BEGUN = "begun"
    STUCK = "stuck"
    """This process took it from the queue and never began it, as after a moment without the database."""
    ENDED = "ended"
    """Whatever came of it, DBOS does not begin it again."""


class AttemptQueue:
    """The queue of attempts, between `launch` and the end of DBOS; one in a process.

    One attempt at a time goes to each destination.
    """

    def __init__(self) -> None:
        self._running: set[str] = set()
        self._suspects: set[str] = set()

    def register(self, deliver: Callable[[str, int], str]) -> None:
        """Make the workflow known to DBOS, before that is launched: of a delivery's id and the number of an attempt."""

        @DBOS.workflow(name="deliver", serialization_type=WorkflowSerializationFormat.PORTABLE)
        def workflow(delivery: str, number: int) -> str:
            with self._run(_workflow_id(delivery, number)):
                return deliver(delivery, number)

        self._workflow = workflow

    def launch(self) -> None:
        """Take attempts from the queue, once DBOS is launched."""
        DBOS.register_queue(
            _QUEUE, worker_concurrency=AT_ONCE, partition_worker_concurrency=1, polling_interval_sec=_POLL_S
        )

    def put(self, delivery: str, destination: str, number: int, *, delay_s: float | None = None) -> None:
        """Put an attempt into the queue, to be begun after so many seconds; nothing happens if it is, or was, there."""
        options = SetEnqueueOptions(delay_seconds=delay_s, queue_partition_key=destination)
        with SetWorkflowID(_workflow_id(delivery, number)), options:
            DBOS.enqueue_workflow(_QUEUE, self._workflow, delivery, number)

    def postpone(self, delivery: str, number: int, *, delay_s: float) -> None:
        """Let an attempt that is delayed begin after so many seconds from now; nothing happens to another."""
        DBOS.set_workflow_delay(_workflow_id(delivery, number), delay_seconds=delay_s)

    def begin_anew(self, delivery: str, number: int) -> None:
        """Put an attempt back into the queue that is stuck."""
        DBOS.resume_workflow(_workflow_id(delivery, number), queue_name=_QUEUE)

    def place(self, delivery: str, number: int) -> Place:
        """Tell where an attempt is; for one thread. It is stuck if it was found so, or about to begin, before."""
        name = _workflow_id(delivery, number)
        status = DBOS.get_workflow_status(name)
        if status is not None and status.status == _BEGUN:
            return self._place_of_begun(name, is_here=status.executor_id == DBOS.executor_id)
        self._suspects.discard(name)
        if status is None:
            return Place.NOWHERE
        return Place.QUEUED if status.status in _WAITING else Place.ENDED

    def _place_of_begun(self, name: str, *, is_here: bool) -> Place:
        if not is_here or name in self._running:
            self._suspects.discard(name)
            return Place.BEGUN
        if name not in self._suspects:
            self._suspects.add(name)
            return Place.BEGUN
        self._suspects.discard(name)
        return Place.STUCK

    @contextmanager
    def _run(self, name: str) -> Iterator[None]:
        self._running.add(name)
        try:
            yield
        finally:
            self._running.discard(name)


def _workflow_id(delivery: str, number: int) -> str:
    """Return the id of an attempt's workflow; with the steps' version, since DBOS runs no other version's."""
    return f"{delivery}-{number}-{DBOS.application_version}"
