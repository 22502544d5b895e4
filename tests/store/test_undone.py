"""What was written for a transaction that failed goes at once, unless rows may name it after all."""

import io
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, select

from store.stores import Clock, encoded, file_holder, instance, opened_store, plain_file, study_uid
from store.work_contract import begun, files, results
from zweitblick.errors import EventError, StoreFullError, StoreUnavailableError
from zweitblick.store.folder import ObjectFolder
from zweitblick.store.life import State
from zweitblick.store.objects import Kind
from zweitblick.store.places import StorePlaces
from zweitblick.store.results import ResultName
from zweitblick.store.schema import objects
from zweitblick.store.store import Store

TRIES = 3


@pytest.fixture
def places(tmp_path: Path) -> StorePlaces:
    return StorePlaces.within(tmp_path / "store")


@pytest.fixture
def store(places: StorePlaces, tmp_path: Path) -> Iterator[Store]:
    with opened_store(places, file_holder(tmp_path), Clock()) as store:
        yield store


@pytest.fixture
def only_reads(places: StorePlaces, monkeypatch: pytest.MonkeyPatch) -> Callable[[], sqlite3.Connection]:
    """Have the database read and not write, until what is returned is closed: another has its lock."""
    monkeypatch.setattr("zweitblick.store.database._BUSY_S", 0.01)

    def locked() -> sqlite3.Connection:
        other = sqlite3.connect(places.data.removeprefix("sqlite:///"))
        other.execute("BEGIN IMMEDIATE")
        return other

    return locked


@contextmanager
def lost_at_commit(store: Store, *, durable: bool) -> Iterator[None]:
    """Lose the database at the end of each transaction that writes, before or after it is durable."""

    def note(transaction: Connection, _cursor: object, statement: str, *_: object) -> None:
        transaction.info["writes"] = transaction.info.get("writes") or not statement.startswith("SELECT")

    def lose(transaction: Connection) -> None:
        if transaction.info.pop("writes", False):
            if durable:
                transaction.connection.commit()
            raise sqlite3.OperationalError("disk I/O error")

    listeners = {"before_cursor_execute": note, "commit": lose}
    for name, listener in listeners.items():
        event.listen(store._data._engine, name, listener)
    try:
        yield
    finally:
        for name, listener in listeners.items():
            event.remove(store._data._engine, name, listener)


def sizes(places: StorePlaces) -> list[int]:
    return sorted(path.stat().st_size for path in files(places))


def test_results_that_the_database_does_not_take_leave_no_file(
    store: Store, places: StorePlaces, only_reads: Callable[[], sqlite3.Connection]
) -> None:
    one = begun(store)
    before = files(places)
    other = only_reads()
    for _ in range(TRIES):
        with pytest.raises(StoreUnavailableError):
            store.work.keep_reading(one.id, results(one), turn=1)
        with pytest.raises(StoreUnavailableError):
            store.work.give_up(one.id, "internal", "a defect", turn=1)
        with pytest.raises(StoreUnavailableError):
            store.keep_result(*results(one)[0])
        assert files(places) == before
    other.close()
    assert store.work.keep_reading(one.id, results(one), turn=1) is State.READ
    assert len(files(places)) == len(before) + len(results(one))


def test_of_results_for_one_of_which_there_is_no_room_none_stays(store: Store, places: StorePlaces) -> None:
    one = begun(store)
    before = files(places)
    large = (ResultName(one.id, "pdf", "application/pdf"), io.BytesIO(bytes(2_000_000)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(StoreFullError):
            store.work.keep_reading(one.id, [*results(one), large], turn=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(places) == before


@pytest.mark.parametrize("durable", [False, True])
def test_results_that_rows_may_name_stay(store: Store, durable: bool) -> None:
    one = begun(store)
    with lost_at_commit(store, durable=durable), pytest.raises(StoreUnavailableError):
        store.work.keep_reading(one.id, results(one), turn=1)
    assert bool(store.results(one.id)) is durable
    if not durable:
        store.work.keep_reading(one.id, results(one), turn=1)
    kept = {each.name: plain_file(store, each.id) for each in store.results(one.id)}
    assert kept == {"seg": b"outline", "json": b"{}"}


def test_of_results_that_rows_may_name_one_set_stays_until_it_is_known(store: Store, places: StorePlaces) -> None:
    one = begun(store)
    before = files(places)
    with lost_at_commit(store, durable=False):
        for _ in range(TRIES):
            with pytest.raises(StoreUnavailableError):
                store.work.keep_reading(one.id, results(one), turn=1)
            assert len(files(places) - before) == len(results(one))
    store.work.keep_reading(one.id, results(one), turn=1)
    kept = {path.name for path in files(places) - before}
    with store._data.reading() as transaction:
        rows = select(objects.c.file).where(objects.c.kind == Kind.RESULT)
        assert kept == set(transaction.execute(rows).scalars())


def test_a_reading_that_was_durable_after_all_keeps_its_files(store: Store, places: StorePlaces) -> None:
    one = begun(store)
    with lost_at_commit(store, durable=True), pytest.raises(StoreUnavailableError):
        store.work.keep_reading(one.id, results(one), turn=1)
    before = {path.with_suffix("") for path in files(places)}
    with pytest.raises(EventError):
        store.work.keep_reading(one.id, results(one), turn=1)
    assert {path.with_suffix("") for path in files(places)} == before
    assert {plain_file(store, each.id) for each in store.results(one.id)} == {b"outline", b"{}"}


def test_instances_that_the_database_does_not_take_leave_no_byte(
    store: Store, places: StorePlaces, only_reads: Callable[[], sqlite3.Connection]
) -> None:
    store.keep(instance(number=1))
    before = sizes(places)
    other = only_reads()
    for _ in range(TRIES):
        with pytest.raises(StoreUnavailableError):
            store.keep(instance(number=2))
        assert sizes(places) == before
    other.close()
    for number in (2, 3):
        store.keep(instance(number=number))
    kept = store.instances(store.token(study_uid(1)))
    assert {plain_file(store, each.id)[-64:] for each in kept} == {encoded(1, number)[-64:] for number in (1, 2, 3)}


@pytest.mark.parametrize("durable", [False, True])
def test_an_instance_that_a_row_may_name_stays(store: Store, durable: bool) -> None:
    store.keep(instance(number=1))
    with lost_at_commit(store, durable=durable), pytest.raises(StoreUnavailableError):
        store.keep(instance(number=2))
    store.keep(instance(number=2))
    kept = store.instances(store.token(study_uid(1)))
    assert {plain_file(store, each.id)[-64:] for each in kept} == {encoded(1, number)[-64:] for number in (1, 2)}
    assert len(store.receptions(store.token(study_uid(1)))) == 2 + durable


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.lists(st.tuples(st.sampled_from("ab"), st.binary(min_size=1)), min_size=1), st.booleans()),
        max_size=6,
    )
)
def test_packs_hold_what_was_not_taken_back(
    tmp_path_factory: pytest.TempPathFactory, groups: list[tuple[list[tuple[str, bytes]], bool]]
) -> None:
    root = tmp_path_factory.mktemp("folder")
    folder = ObjectFolder(root)
    kept = []
    for group, is_undone in groups:
        places = folder.append([(study, [data]) for study, data in group])
        if is_undone:
            folder.take_back(places)
        else:
            kept += zip(places, (data for _, data in group), strict=True)
    for place, data in kept:
        with folder.open(place) as file:
            assert file.read() == data
    assert sum(path.stat().st_size for path in root.rglob("*.part")) == sum(len(data) for _, data in kept)
    folder.close()
