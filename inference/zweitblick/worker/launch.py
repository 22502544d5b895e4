"""Launch: a worker's seat, which it keeps from start to start, and DBOS on its database."""

import fcntl
import itertools
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dbos import DBOS, DBOSPortableJSONSerializer
from sqlalchemy.exc import SQLAlchemyError

from zweitblick.errors import StoreUnavailableError, WorkerRunningError

QUEUE = "read"
WORKFLOWS = "3"
"""Version of the workflows' steps; a change of their order or meaning needs another. Turns and deliveries that are in
the queue in an older version are put there anew."""

LARGEST_STUDY_BYTES = 2**31
"""Of two studies that are read at once both fit in 8 GB, with the 2.8 GiB that the work takes (docs/performance.md)."""


@dataclass(frozen=True)
class WorkPlace:
    """Where workers lie, and what there is room for.

    Parameters
    ----------
    folder
        Of their seats; made if absent.
    queue
        URL of DBOS's PostgreSQL database, in which it makes a schema of its own: any number of workers share it. None
        for one in SQLite in the folder, which one worker has for itself.
    largest_study_bytes
        So many bytes the MR instances of a study may have to be read, since they are held in memory as a whole.
    """

    folder: Path
    queue: str | None = None
    largest_study_bytes: int = LARGEST_STUDY_BYTES

    @property
    def url(self) -> str:
        """As SQLAlchemy reads it."""
        return self.queue or f"sqlite:///{self.folder.resolve()}/work.sqlite"


@dataclass(frozen=True)
class Seat:
    """What a worker is known by, as long as it holds the lock.

    Parameters
    ----------
    worker
        Executor id; random, and the same at each start.
    lock
        Open file.
    """

    worker: str
    lock: BinaryIO


def seated(place: WorkPlace) -> Seat:
    """Take the first free seat; it is free again once its file is closed or the process ends.

    Raises
    ------
    WorkerRunningError
        If another process has the only one.
    StoreUnavailableError
        If the folder cannot be written.
    """
    for number in itertools.count(1):
        folder = place.folder / str(number)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (folder / "lock").open("ab+")
        except OSError as error:
            raise StoreUnavailableError(f"{folder} cannot be written ({error.strerror}); choose another") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            if place.queue is None:
                raise WorkerRunningError(
                    f"another process reads the studies of {place.folder}; stop it, set another data folder, or set "
                    "database to share one"
                ) from error
            continue
        return Seat(_worker(lock), lock)
    raise AssertionError("counting does not end")


def launch(place: WorkPlace, worker: str, *, studies_at_once: int, poll_s: float) -> None:
    """Start DBOS, which resumes what this worker had begun before, and make the queue.

    Parameters
    ----------
    place
        Where its database is.
    worker
        Executor id.
    studies_at_once
        How many workflows run at a time in this process.
    poll_s
        How often it is looked for work in the queue.

    Raises
    ------
    StoreUnavailableError
        If the database cannot be used.
    """
    DBOS(
        config={
            "name": "zweitblick",
            "system_database_url": place.url,
            "application_version": WORKFLOWS,
            "executor_id": worker,
            "serializer": DBOSPortableJSONSerializer(),
            "enable_otlp": False,
            "log_level": "CRITICAL",
        }
    )
    try:
        DBOS.launch()
        DBOS.register_queue(QUEUE, worker_concurrency=studies_at_once, polling_interval_sec=poll_s)
    except SQLAlchemyError as error:
        raise StoreUnavailableError(
            f"the database of the queue cannot be used ({type(error).__name__}); see to it and start again"
        ) from error


def _worker(lock: BinaryIO) -> str:
    """Return the id in a file; written at the seat's first use."""
    lock.seek(0)
    if not (worker := lock.read().decode("ascii")):
        worker = f"worker-{secrets.token_hex(16)}"
        lock.write(worker.encode("ascii"))
        lock.flush()
    return worker
