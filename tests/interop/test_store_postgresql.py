"""The store's contract on PostgreSQL (Debian package postgresql), without a network: through a socket in a folder."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

from store.contract import StoreContract, clock, holder, store
from store.keys_contract import KeysContract
from store.stores import Clock, Holder, instance, opened_store, study_uid
from zweitblick.errors import StoreUnavailableError
from zweitblick.store import schema
from zweitblick.store.database import Database
from zweitblick.store.store import StorePlaces

__all__ = ["clock", "holder", "store"]

ACCOUNT = "postgres"
"""PostgreSQL does not run as root; Debian's package makes this account."""


def programs() -> Path:
    """Debian keeps them off the path."""
    on_path = shutil.which("pg_ctl")
    found = [Path(on_path)] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if not found:
        pytest.fail("pg_ctl is not installed (Debian package postgresql): make system")
    return found[-1].parent


class Server:
    """One cluster in a folder of its own, with a socket beside it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._account = {"user": ACCOUNT} if os.getuid() == 0 else {}
        if self._account:
            shutil.chown(folder, ACCOUNT)
        self._run("initdb", "--pgdata", folder / "cluster", "--username", ACCOUNT, "--auth", "trust", "--no-sync")

    def start(self) -> None:
        # whether PostgreSQL survives a loss of power is not what is tested here
        options = f"-c fsync=off -c listen_addresses='' -c unix_socket_directories={self._folder}"
        self._control("start", "--options", options, "--log", self._folder / "log")

    def stop(self) -> None:
        self._control("stop", "--mode", "immediate")

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://{ACCOUNT}@/{name}?host={self._folder}"

    def new_database(self) -> str:
        name = f"store_{token_hex(4)}"
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return self.url(name)

    def _control(self, action: str, *arguments: str | Path) -> None:
        self._run("pg_ctl", action, "--wait", "--silent", "--pgdata", self._folder / "cluster", *arguments)

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [programs() / program, *map(str, arguments)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120, cwd=self._folder, **self._account)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="pg") as room:
        server = Server(Path(room))
        server.start()
        yield server
        server.stop()


@pytest.fixture
def places(server: Server, tmp_path: Path) -> StorePlaces:
    return StorePlaces(server.new_database(), server.new_database(), tmp_path / "objects")


class TestOnPostgreSQL(StoreContract):
    """The class inherits its tests; the places are this module's."""


class TestKeysOnPostgreSQL(KeysContract):
    """As above."""


@pytest.mark.parametrize(("tables", "metadata"), [("data", schema.data), ("keys", schema.keys)])
def test_its_tables_are_those_that_the_code_reads(server: Server, tables: str, metadata: object) -> None:
    database = Database(server.new_database(), tables=tables)
    with database.reading() as transaction:
        assert compare_metadata(MigrationContext.configure(transaction), metadata) == []
    database.close()


def test_a_commit_is_waited_for_whatever_the_server_s_default(server: Server) -> None:
    url = server.new_database()
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {engine.url.database} SET synchronous_commit = off")
    engine.dispose()
    database = Database(url, tables="data")
    with database.writing() as transaction:
        assert transaction.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"
    database.close()


def test_it_goes_on_after_the_database_was_restarted(server: Server, places: StorePlaces, holder: Holder) -> None:
    with opened_store(places, holder, Clock()) as store:
        store.keep(instance(number=1))
        server.stop()
        with pytest.raises(StoreUnavailableError):
            store.keep(instance(number=2))
        server.start()
        store.keep(instance(number=2))
        assert len(store.instances(store.token(study_uid(1)))) == 2
