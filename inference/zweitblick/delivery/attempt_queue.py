"""AttemptQueue: attempts to deliver as workflows of DBOS."""

from collections.abc import Callable

from dbos import DBOS, SetEnqueueOptions, SetWorkflowID, WorkflowSerializationFormat

from zweitblick.queue_place import QueuePlace, QueuePlaces, workflow_id

AT_ONCE = 4
"""So many destinations are sent to at once."""

_QUEUE = "deliver"
_POLL_S = 0.5


class AttemptQueue:
    """The queue of attempts, between `launch` and the end of DBOS; one in a process.

    One attempt at a time goes to each destination.
    """

    def __init__(self) -> None:
        self._places = QueuePlaces(_QUEUE)

    def register(self, deliver: Callable[[str, int], str]) -> None:
        """Make the workflow known to DBOS, before that is launched: of a delivery's id and the number of an attempt."""

        @DBOS.workflow(name="deliver", serialization_type=WorkflowSerializationFormat.PORTABLE)
        def workflow(delivery: str, number: int) -> str:
            with self._places.running(workflow_id(delivery, number)):
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
        with SetWorkflowID(workflow_id(delivery, number)), options:
            DBOS.enqueue_workflow(_QUEUE, self._workflow, delivery, number)

    def postpone(self, delivery: str, number: int, *, delay_s: float) -> None:
        """Let an attempt that is delayed begin after so many seconds from now; nothing happens to another."""
        DBOS.set_workflow_delay(workflow_id(delivery, number), delay_seconds=delay_s)

    def begin_anew(self, delivery: str, number: int) -> None:
        """Put an attempt back into the queue that is stuck."""
        self._places.begin_anew(workflow_id(delivery, number))

    def place(self, delivery: str, number: int) -> QueuePlace:
        """Tell where an attempt is."""
        return self._places.of(workflow_id(delivery, number))
