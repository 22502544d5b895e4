"""What is wrong with one study stops nothing else; one whose key is lost is read once that is back."""

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, delete, insert, select, update

from audit.book import study_of
from kept_study import Clock, files_of, wait_until
from reading_house import House, contents, fails_at_once, last, reached
from zweitblick.delivery.deliverer import Deliverer
from zweitblick.errors import StoreDamagedError
from zweitblick.model.bundle import Bundles
from zweitblick.retrieval.lookup import PriorLookup
from zweitblick.sample import SampleTruth
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.places import StorePlaces
from zweitblick.store.rounds import Round
from zweitblick.store.schema import wrapped_keys
from zweitblick.store.store import Store

CODES = ("store.key-missing", "vault.key-unwrap", "vault.kek-unknown")


@pytest.fixture
def house(tmp_path: Path, bundles: Bundles) -> House:
    return House(tmp_path, bundles)


@pytest.fixture(scope="module")
def image(sample: SampleTruth) -> Path:
    return files_of(next(iter(sample.series.values())).folder)[0]


def lose_keys(transaction: Connection, missing: str, changed: str, unknown: str) -> list[dict[str, Any]]:
    """Lose the keys of three studies in three ways; return what they were."""
    owner = wrapped_keys.c.owner
    query = select(wrapped_keys).where(owner.in_([missing, changed, unknown]))
    before = [row._asdict() for row in transaction.execute(query)]
    transaction.execute(delete(wrapped_keys).where(owner == missing))
    transaction.execute(update(wrapped_keys).where(owner == changed).values(ciphertext=bytes(60)))
    transaction.execute(update(wrapped_keys).where(owner == unknown).values(kek_id="removed"))
    return before


def give_back(transaction: Connection, before: list[dict[str, Any]]) -> None:
    transaction.execute(delete(wrapped_keys).where(wrapped_keys.c.owner.in_([row["owner"] for row in before])))
    transaction.execute(insert(wrapped_keys), before)


def code_of(store: Store, token: str) -> str:
    (code,) = [job.code for job in store.work.jobs_in([State.FAILED]) if job.round.study == token]
    return code


def test_a_study_whose_key_is_lost_fails_by_that_and_is_read_again_once_it_is_back(house: House, image: Path) -> None:
    with house.store() as store:
        *lost, other = (fails_at_once(store, image, name) for name in ("first", "second", "third", "other"))
    keys = create_engine(StorePlaces.within(house.folder / "data").keys)
    with keys.begin() as transaction:
        before = lose_keys(transaction, *lost)
    with house.store() as store, house.worker(store):
        house.clock.move(30)
        failed = [reached(store, token, State.FAILED) for token in (*lost, other)]
        assert tuple(code_of(store, token) for token in lost) == CODES
        assert [set(contents(store, one.id)) for one in failed] == [set(), set(), set(), {"error"}]
        told = [(study_of(event), event.outcome_description) for event in house.book.events]
        assert set(zip(lost, CODES, strict=True)) <= set(told)
        with keys.begin() as transaction:
            give_back(transaction, before)
        for one in failed[:-1]:
            store.advance(one.id, Event.REPLAYED, by=Actor.ADMINISTRATOR)
        for one in failed[:-1]:
            reached(store, one.study, State.FAILED)
            assert set(contents(store, one.id)) == {"error"}
            assert code_of(store, one.study) == code_of(store, other)
    keys.dispose()


class Faulty(PriorLookup):
    """Fails for one study."""

    study = ""

    def holds(self, one: Round) -> bool:
        if one.study == self.study:
            raise StoreDamagedError("a file is gone; restore it")
        return super().holds(one)


class Stuck(PriorLookup):
    """Does not answer until it may."""

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__(store, (), clock=clock)
        self.asked, self.goes_on = threading.Event(), threading.Event()

    def holds(self, one: Round) -> bool:
        self.asked.set()
        assert self.goes_on.wait(60)
        return super().holds(one)


class Noting(Deliverer):
    """Tells that it was asked to go on."""

    resumed = False

    def resume(self) -> None:
        super().resume()
        self.resumed = True


def test_what_is_wrong_with_one_round_keeps_no_other_waiting(house: House, image: Path) -> None:
    with house.store() as store:
        lookup, deliverer = Faulty(store, (), clock=house.clock), Noting(store, ())
        lookup.study = fails_at_once(store, image, "first")
        house.clock.move(1)
        other = fails_at_once(store, image, "other")
        with house.worker(store, lookup=lookup, deliverer=deliverer):
            house.clock.move(30)
            reached(store, other, State.FAILED)
            wait_until(lambda: deliverer.resumed)
        assert last(store, lookup.study).state is State.STABLE


def test_a_worker_says_that_it_is_alive_however_long_it_looks_for_work(
    house: House, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zweitblick.worker.fleet.BEAT", timedelta(milliseconds=10))
    with house.store() as store:
        lookup = Stuck(store, house.clock)
        token = fails_at_once(store, image, "first")
        with house.worker(store, lookup=lookup):
            house.clock.move(30)
            assert lookup.asked.wait(60)
            ((worker, before),) = store.work.beats().items()
            wait_until(lambda: store.work.beats()[worker] > before + 1)
            lookup.goes_on.set()
            reached(store, token, State.FAILED)
        assert store.work.beats() == {}
