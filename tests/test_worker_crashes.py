"""A worker that ends at any moment leaves a round that the next one brings to its end, once."""

import threading
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import pytest

from kept_study import files_of
from reading_house import RESULTS, House, contents, ids, keep, last, reached
from zweitblick.model.bundle import Bundles
from zweitblick.sample import SampleTruth
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.store import Store


@pytest.fixture
def house(tmp_path: Path, bundles: Bundles) -> House:
    return House(tmp_path, bundles)


@pytest.fixture(scope="module")
def study(sample: SampleTruth) -> Path:
    return next(iter(sample.series.values())).folder.parent


class Crash(BaseException):
    """The process is gone: nothing that catches errors catches this."""


class Crashing(Store):
    """Crashes at an event, before or after it is durable; nothing happens to any round after that."""

    event: Event
    is_after: bool

    def advance(self, round_id: str, event: Event, *, by: Actor) -> State:
        if self.crashed.is_set():
            raise Crash
        if event is not self.event:
            return super().advance(round_id, event, by=by)
        if self.is_after:
            super().advance(round_id, event, by=by)
        self.crashed.set()
        raise Crash

    @cached_property
    def crashed(self) -> threading.Event:
        return threading.Event()


def crash(house: House, study: Path, event: Event, *, is_after: bool) -> tuple[str, dict[str, bytes]]:
    """Have a study read until a crash, and return its token and the results that were kept before."""
    with house.store(Crashing) as store:
        store.event, store.is_after = event, is_after
        token = keep(store, files_of(study, "T1c"))
        with house.worker(store) as worker:
            with suppress(Crash):
                worker.submit(last(store, token))
            assert store.crashed.wait(60)
        return token, contents(store, last(store, token).id)


def test_a_repeated_step_gives_the_same_results(house: House, study: Path) -> None:
    token, before = crash(house, study, Event.READ, is_after=False)
    assert set(before) == RESULTS
    house.clock.move(3600)
    with house.store() as store:
        crashed = last(store, token)
        kept = ids(store, crashed.id)
        assert crashed.state is State.READING
        with house.worker(store):
            again = reached(store, token, State.AWAITING_REVIEW)
        assert again.id == crashed.id
        assert (ids(store, again.id), contents(store, again.id)) == (kept, before)
        events = [entry.event for entry in store.history(token)]
        assert events[:4] == [Event.COMPLETED, Event.STARTED, Event.RELEASED, Event.STARTED]


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("event", [Event.COMPLETED, Event.STARTED, Event.READ, Event.SEALED, Event.REVIEW_ASKED])
def test_a_crash_at_any_event_is_resumed(house: House, study: Path, event: Event, is_after: bool) -> None:
    token, before = crash(house, study, event, is_after=is_after)
    with house.store() as store:
        with house.worker(store):
            done = reached(store, token, State.AWAITING_REVIEW)
        assert done.number == 1
        assert set(contents(store, done.id)) == RESULTS
        assert before in ({}, contents(store, done.id))
        events = [entry.event for entry in store.history(token)]
        for once in (Event.COMPLETED, Event.READ, Event.SEALED, Event.REVIEW_ASKED):
            assert events.count(once) == 1
