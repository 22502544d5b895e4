"""Worker: reads what was received. Durable: a crash at any point is resumed, here or by another worker.

The store is the truth about what is to be done. Each turn of a round that is complete becomes one workflow of DBOS,
whose steps are checkpointed in a database of its own: ids, states and times, nothing of a patient. That database may be
lost: what the store says is to be done is put into the queue again.

A step may be repeated, after a crash between what it did and its checkpoint, and two workers may be at one turn, if
one was thought to be dead. So all that is made of a round is kept together with the event that says so, or not at all;
an event that has happened is passed over, and one of a turn that is over is refused. The time of the reading is a
checkpoint made before anything else, and of it come all UIDs of the results.

The study's instances are opened into memory and never written in clear.
"""

from zweitblick.errors.root import INTERNAL
from zweitblick.store.absence import AWAY, AWAY_S
from zweitblick.worker.backlog import RECHECK
from zweitblick.worker.faults import RETRIES, delay
from zweitblick.worker.fleet import BEAT, DEAD
from zweitblick.worker.launch import WorkPlace
from zweitblick.worker.partners import Notary, Partners
from zweitblick.worker.reading_step import BREAKS
from zweitblick.worker.worker import POLL_S, STUDIES_AT_ONCE, Worker
from zweitblick.worker.workflow import SHREDDED

__all__ = [
    "AWAY",
    "AWAY_S",
    "BEAT",
    "BREAKS",
    "DEAD",
    "INTERNAL",
    "POLL_S",
    "RECHECK",
    "RETRIES",
    "SHREDDED",
    "STUDIES_AT_ONCE",
    "Notary",
    "Partners",
    "WorkPlace",
    "Worker",
    "delay",
]
