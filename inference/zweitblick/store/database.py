"""Database: transactions on SQLite or PostgreSQL that are durable when they end, and errors that say what is wrong."""

import errno
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from sqlite3 import SQLITE_BUSY, SQLITE_FULL, Connection
from sqlite3 import Error as SQLiteError
from sqlite3 import OperationalError as SQLiteOperationalError
from typing import cast

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection as Transaction
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from zweitblick.errors import StoreError, StoreFullError, StoreUnavailableError, StoreVersionError, ZweitblickError

FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The device, the quota or the largest allowed file is full."""

_MIGRATIONS = Path(__file__).with_name("migrations")
_BUSY_S = 30.0
"""How long SQLite waits for another process' transaction."""
_AGAIN_S = 0.001
_POSTGRESQL_DISK_FULL = "53100"
_MIGRATION_LOCK = 7311930524661873264
"""Any number that no other program uses for PostgreSQL's advisory locks."""


def _nothing() -> None:
    """Leave it at that."""


def _begun_already(_: Transaction) -> None:
    """Leave it to PostgreSQL's driver, which begins a transaction with its first statement."""


class Database:
    """One database, brought to the newest version of its tables.

    On SQLite: write-ahead log with synchronous=FULL, so that a transaction that ended survives a loss of power; foreign
    keys checked; what is deleted is overwritten. A transaction that writes takes the lock at its start, so that none
    that has read must give up. On PostgreSQL: synchronous_commit=on, whatever the server's default.

    Parameters
    ----------
    url
        As SQLAlchemy reads it: ``sqlite:////folder/file`` or ``postgresql+psycopg://...``.
    tables
        Which of the folders of `migrations` makes its tables: ``data`` or ``keys``.

    Raises
    ------
    StoreVersionError
        If a newer release has changed the tables.
    StoreUnavailableError
        If it cannot be reached.
    StoreFullError
        If there is no room for the tables.
    """

    def __init__(self, url: str, *, tables: str) -> None:
        self._turn: AbstractContextManager[object] = nullcontext()
        self._begin_to_read: Callable[[Transaction], None] = _begun_already
        self._begin_to_write: Callable[[Transaction], None] = _begun_already
        if make_url(url).get_backend_name() == "sqlite":
            self._turn = threading.Lock()  # not left to SQLite, for which threads are as processes are
            self._engine = _sqlite_engine(url)
            self._begin_to_read, self._begin_to_write = _begin_to_read, _begin_to_write
        else:
            self._engine = create_engine(
                url,
                pool_pre_ping=True,
                hide_parameters=True,
                connect_args={"options": "-c synchronous_commit=on"},
            )
        try:
            self._bring_up(tables)
        except StoreError:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """Give a transaction that only reads.

        Raises
        ------
        StoreUnavailableError
            If the database cannot be reached.
        """
        with _typed_errors(), self._engine.begin() as transaction:
            self._begin_to_read(transaction)
            yield transaction

    @contextmanager
    def writing(
        self, *, undone: Callable[[], None] = _nothing, unsure: Callable[[], None] = _nothing
    ) -> Iterator[Transaction]:
        """Give a transaction that is durable once the block has ended, and undone if it raises.

        Parameters
        ----------
        undone
            Called if it failed, and nothing of it is durable.
        unsure
            Called if the database was lost as it ended, so that nobody knows.

        Raises
        ------
        StoreFullError
            If there is no room.
        StoreUnavailableError
            If the database cannot be reached. It is then not known whether the transaction is durable.
        sqlalchemy.exc.IntegrityError
            If another transaction was faster; read again.
        """
        is_ending = False
        try:
            with _typed_errors(), self._turn, self._engine.begin() as transaction:
                self._begin_to_write(transaction)
                yield transaction
                is_ending = True
        except (ZweitblickError, IntegrityError) as error:
            is_lost = is_ending and isinstance(error, StoreUnavailableError)
            (unsure if is_lost else undone)()
            raise

    def truncate_log(self) -> None:
        """Empty SQLite's write-ahead log, which still holds what was deleted.

        Raises
        ------
        StoreUnavailableError
            If another's transaction has not ended after half a minute.
        """
        if self._engine.dialect.name != "sqlite":
            return
        with _typed_errors(), self._engine.connect() as connection:
            cursor = connection.connection.cursor()
            # SQLite waits for who reads or writes, and not for another that empties the log
            for _ in _tries():
                if not cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                    return
        raise StoreUnavailableError("others keep the log from being emptied of what was deleted; try again")

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _bring_up(self, tables: str) -> None:
        config = _migrations(tables)
        with self.writing() as transaction:
            if transaction.dialect.name == "postgresql":
                transaction.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
            _known_version(transaction, tables)
            config.attributes["connection"] = transaction
            command.upgrade(config, "head")


class UnchangedDatabase(Database):
    """A database that is there, as it is.

    Parameters
    ----------
    url, tables
        See `Database`.

    Raises
    ------
    StoreVersionError
        If this release does not know its version.
    StoreUnavailableError
        If it cannot be reached, or is none of ours.
    """

    def _bring_up(self, tables: str) -> None:
        url = self._engine.url
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
            raise StoreUnavailableError(f"there is no {url.database}; restore it, or name another")
        with self.reading() as transaction:
            if _known_version(transaction, tables) is None:
                raise StoreUnavailableError(f"there is no database of {tables} of ours; restore it, or name another")


def _migrations(tables: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(_MIGRATIONS / tables))
    return config


def _known_version(transaction: Transaction, tables: str) -> str | None:
    """Return the version of a database, None if it has no tables of ours; refuse one that a newer release made."""
    known = {revision.revision for revision in ScriptDirectory.from_config(_migrations(tables)).walk_revisions()}
    found = MigrationContext.configure(transaction).get_current_revision()
    if found is not None and found not in known:
        raise StoreVersionError(
            f"the database of {tables} has version {found}, which this release does not know; install a newer"
        )
    return found


def _sqlite_engine(url: str) -> Engine:
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": _BUSY_S})

    @event.listens_for(engine, "connect")
    def settle(connection: Connection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # sqlite3 would begin by itself, and not before the first change
        _write_ahead(connection)
        for pragma in ("synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _write_ahead(connection: Connection) -> None:
    """Have SQLite write a log ahead; the first to open a database changes its file for that.

    Of those who want to change it at once SQLite refuses all but one without waiting, as two that wait while they read
    would wait for each other.
    """
    _execute_once_free(connection, "PRAGMA journal_mode=WAL")


def _begin_to_read(transaction: Transaction) -> None:
    """Begin a transaction of SQLite that only reads.

    Past SQLAlchemy, which takes longer for it than SQLite; and not on its event of a beginning, since an engine with
    a listener asks at every statement whether there are more.
    """
    _driver(transaction).execute("BEGIN")


def _begin_to_write(transaction: Transaction) -> None:
    """Begin a transaction of SQLite that writes, once no other process is at it.

    SQLite lets who waits sleep for up to a tenth of a second, while others come and go.
    """
    connection = _driver(transaction)
    connection.execute("PRAGMA busy_timeout=0")
    try:
        _execute_once_free(connection, "BEGIN IMMEDIATE")
    finally:
        connection.execute(f"PRAGMA busy_timeout={int(1000 * _BUSY_S)}")


def _driver(transaction: Transaction) -> Connection:
    return cast("Connection", transaction.connection.driver_connection)


def _execute_once_free(connection: Connection, statement: str) -> None:
    for _ in _tries():
        try:
            connection.execute(statement)
        except SQLiteOperationalError as error:
            if error.sqlite_errorcode & 0xFF != SQLITE_BUSY:  # the rest says why it is busy
                raise
            busy = error
        else:
            return
    raise busy


def _tries() -> Iterator[None]:
    """Come at once, and then again and again for as long as SQLite itself waits for others."""
    end = time.monotonic() + _BUSY_S
    yield
    while time.monotonic() <= end:
        time.sleep(_AGAIN_S)
        yield


@contextmanager
def _typed_errors() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except (SQLAlchemyError, SQLiteError) as error:
        raise _typed(error) from error


def _typed(error: SQLAlchemyError | SQLiteError) -> StoreError:
    cause = error.orig if isinstance(error, DBAPIError) else error
    full = (
        getattr(cause, "sqlite_errorcode", None) == SQLITE_FULL
        or getattr(cause, "sqlstate", None) == _POSTGRESQL_DISK_FULL
    )
    if full:
        return StoreFullError("the database has no room left; free some and send again")
    return StoreUnavailableError(f"the database cannot be used ({type(cause).__name__}); it is asked again next time")
