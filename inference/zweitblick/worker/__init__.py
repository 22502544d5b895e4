"""Worker: reads what was received. Durable: a crash at any point is resumed at the next start.

Each round of a study that is complete becomes one workflow of DBOS, whose steps are checkpointed in a database of its
own: ids, states and times, nothing of a patient. A step may be repeated, after a crash between what it did and its
checkpoint. So its effects are idempotent: an event that has happened to a round is passed over, and a result that is
there stays. The time of the reading is a checkpoint made before anything else, and of it come all UIDs of the results.

The study's instances are opened into memory and never written in clear.
"""

from zweitblick.worker.reading_step import AWAY, BREAKS, INTERNAL
from zweitblick.worker.worker import POLL_S, STUDIES_AT_ONCE, Worker
from zweitblick.worker.workflow import AWAY_S, SHREDDED

__all__ = ["AWAY", "AWAY_S", "BREAKS", "INTERNAL", "POLL_S", "SHREDDED", "STUDIES_AT_ONCE", "Worker"]
