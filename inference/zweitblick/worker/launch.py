"""Launch: DBOS on the worker's folder, which one process uses at a time."""

import fcntl
from pathlib import Path
from typing import BinaryIO

from dbos import DBOS, DBOSPortableJSONSerializer

from zweitblick.errors import StoreUnavailableError, WorkerRunningError

QUEUE = "read"
WORKFLOWS = "1"
"""Version of the workflows' steps; a change of their order or meaning needs another, and the queue empty before."""


def locked(folder: Path) -> BinaryIO:
    """Make the folder, and hold its lock until the file is closed or the process ends.

    Raises
    ------
    WorkerRunningError
        If another process holds it.
    StoreUnavailableError
        If the folder cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / "lock").open("wb")
    except OSError as error:
        raise StoreUnavailableError(f"{folder} cannot be written ({error.strerror}); choose another") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise WorkerRunningError(
            f"another process reads the studies of {folder}; stop it, or choose another"
        ) from error
    return lock


def launch(folder: Path, *, studies_at_once: int, poll_s: float) -> None:
    """Start DBOS, which resumes what this folder's last worker had begun, and make the queue.

    Parameters
    ----------
    folder
        Of DBOS's database.
    studies_at_once
        How many workflows run at a time.
    poll_s
        How often it is looked for work in the queue.
    """
    DBOS(
        config={
            "name": "zweitblick",
            "system_database_url": f"sqlite:///{folder.resolve()}/work.sqlite",
            "application_version": WORKFLOWS,
            "executor_id": "worker",
            "serializer": DBOSPortableJSONSerializer(),
            "enable_otlp": False,
            "log_level": "CRITICAL",
        }
    )
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=studies_at_once, polling_interval_sec=poll_s)
