"""The store's contract on PostgreSQL (Debian package postgresql), without a network: through a socket in a folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, event

from interop.postgresql import Server, running_server
from store.contract import StoreContract, clock, holder, store
from store.keys_contract import KeysContract
from store.procedure_steps_contract import ProcedureStepsContract
from store.shredding_contract import ShreddingContract
from store.stores import Clock, Holder, instance, opened_store, study_uid
from store.work_contract import WorkContract, begun, files, results
from zweitblick.errors import StoreUnavailableError
from zweitblick.store import schema
from zweitblick.store.database import Database
from zweitblick.store.life import State
from zweitblick.store.places import StorePlaces

__all__ = ["clock", "holder", "store"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture
def places(server: Server, tmp_path: Path) -> StorePlaces:
    return StorePlaces(server.new_database(), server.new_database(), tmp_path / "objects")


class TestOnPostgreSQL(StoreContract, WorkContract, ProcedureStepsContract):
    """The class inherits its tests; the places are this module's."""


class TestKeysOnPostgreSQL(KeysContract, ShreddingContract):
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


def test_results_that_rows_may_name_stay_until_it_is_known(places: StorePlaces, holder: Holder) -> None:
    with opened_store(places, holder, Clock()) as store:
        one = begun(store)
        before = files(places)

        def lose(transaction: Connection) -> None:
            writes = transaction.exec_driver_sql("SELECT pg_current_xact_id_if_assigned()").scalar_one()
            if writes is not None:
                transaction.connection.driver_connection.close()

        event.listen(store._data._engine, "commit", lose)
        for _ in range(2):
            with pytest.raises(StoreUnavailableError):
                store.work.keep_reading(one.id, results(one), turn=1)
            assert len(files(places) - before) == len(results(one))
        event.remove(store._data._engine, "commit", lose)
        assert store.work.keep_reading(one.id, results(one), turn=1) is State.READ
        assert len(files(places) - before) == len(results(one))


def test_what_a_database_that_only_reads_refuses_leaves_nothing(places: StorePlaces, holder: Holder) -> None:
    """As after a failover to a standby."""
    with opened_store(places, holder, Clock()) as store:
        one = begun(store)
        before = {path: path.stat().st_size for path in files(places)}

        def only_read(transaction: Connection) -> None:
            transaction.exec_driver_sql("SET TRANSACTION READ ONLY")

        event.listen(store._data._engine, "begin", only_read)
        for attempt in (
            lambda: store.work.keep_reading(one.id, results(one), turn=1),
            lambda: store.work.give_up(one.id, "internal", "a defect", turn=1),
            lambda: store.keep(instance(number=2)),
        ):
            with pytest.raises(StoreUnavailableError):
                attempt()
            assert {path: path.stat().st_size for path in files(places)} == before
        event.remove(store._data._engine, "begin", only_read)
        assert store.work.keep_reading(one.id, results(one), turn=1) is State.READ
