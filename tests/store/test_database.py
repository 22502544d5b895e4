"""Tables are made by migrations alone, and SQLite is set to keep what it has acknowledged."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData
from sqlalchemy.exc import IntegrityError

from zweitblick.errors import StoreUnavailableError
from zweitblick.store import schema
from zweitblick.store.database import Database

TABLES = {"data": schema.data, "keys": schema.keys}


@pytest.mark.parametrize(("tables", "metadata"), TABLES.items(), ids=TABLES)
def test_an_empty_database_is_brought_to_the_tables_that_the_code_reads(
    tmp_path: Path, tables: str, metadata: MetaData
) -> None:
    database = Database(f"sqlite:///{tmp_path}/new", tables=tables)
    with database.reading() as transaction:
        assert compare_metadata(MigrationContext.configure(transaction), metadata) == []
        found = {
            name: transaction.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        }
    database.close()
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}


def test_several_that_start_at_once_bring_it_there_once(tmp_path: Path) -> None:
    program = "import sys; from zweitblick.store.database import Database; Database(sys.argv[1], tables='data').close()"
    command = [sys.executable, "-c", program, f"sqlite:///{tmp_path}/new"]
    starting = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
    assert [(process.communicate()[1], process.returncode) for process in starting] == [(b"", 0)] * 3


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/new", tables="data")
    insert = schema.identities.insert().values(index_key_id="0" * 32)

    def insert_twice() -> None:
        with database.writing() as transaction:
            transaction.execute(insert)
            transaction.execute(insert)

    with pytest.raises(IntegrityError):
        insert_twice()
    with database.reading() as transaction:
        assert transaction.execute(schema.identities.select()).all() == []
    database.close()


def test_who_waits_too_long_for_another_process_is_refused_and_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(f"sqlite:///{tmp_path}/new", tables="data")
    monkeypatch.setattr("zweitblick.store.database._BUSY_S", 0.05)
    insert = schema.identities.insert().values(index_key_id="0" * 32)
    with closing(sqlite3.connect(tmp_path / "new", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError), database.writing():
            pytest.fail("two write at once")
        with database.reading() as transaction:
            assert transaction.execute(schema.identities.select()).all() == []
        other.execute("ROLLBACK")
    with database.writing() as transaction:
        transaction.execute(insert)
    database.close()


@pytest.mark.parametrize("content", [None, b"no database, but long enough to be taken for one" * 40])
def test_a_database_that_cannot_be_used_is_a_typed_error(tmp_path: Path, content: bytes | None) -> None:
    place = tmp_path / "folder" / "file"
    if content is not None:
        place.parent.mkdir()
        place.write_bytes(content)
    with pytest.raises(StoreUnavailableError):
        Database(f"sqlite:///{place}", tables="data")
