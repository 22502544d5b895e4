"""The lock that whoever makes or restores key-encryption keys (KEKs) holds, so that nobody else does at the same time.

It lies with the wrapped keys and is the same for all key holders, not all of which see to it themselves: an HSM takes
two keys of one label, after which neither is used. On PostgreSQL it is an advisory lock of the server's, so that it
holds across machines; on SQLite, one of the file system's on a file beside the database's. It is free again once its
process has ended, however it has.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zweitblick.errors import RotationRunningError, StoreUnavailableError
from zweitblick.store.database import Database

_LOCK = 7311930524661873266
"""Any number that no other program uses for PostgreSQL's advisory locks."""
_OWNER_ONLY = 0o600


@contextmanager
def rotation_lock(database: Database) -> Iterator[None]:
    """Hold the lock for as long as the block runs; does not wait for another who has it.

    Parameters
    ----------
    database
        Of wrapped keys.

    Raises
    ------
    RotationRunningError
        If another has it, in this process too.
    StoreUnavailableError
        If it cannot be taken, or the connection that held it was lost.
    """
    with database.reading() as transaction:
        url = transaction.engine.url
    with _of_server(database) if url.get_backend_name() == "postgresql" else _of_file(Path(url.database or "")):
        yield


@contextmanager
def _of_server(database: Database) -> Iterator[None]:
    with database.reading() as transaction:
        # it does nothing for as long as keys are wrapped anew in others
        transaction.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        if not transaction.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({_LOCK})").scalar_one():
            raise _running()
        yield


@contextmanager
def _of_file(database: Path) -> Iterator[None]:
    # not of the database's own file: once that is closed anywhere in a process, SQLite's locks on it are gone
    path = database.with_name(f"{database.name}.lock")
    try:
        lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, _OWNER_ONLY)
    except OSError as error:
        raise StoreUnavailableError(f"{path} cannot be written ({error.strerror}); see to its owner") from error
    try:
        _take(lock)
        yield
    finally:
        os.close(lock)


def _take(lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _running() from error


def _running() -> RotationRunningError:
    return RotationRunningError(
        "another rotation, or a restore, of these keys is under way; wait until it has ended, and see zweitblick keys "
        "status"
    )
