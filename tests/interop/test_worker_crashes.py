"""A worker that ends at any moment leaves a round that the next one brings to its end, once."""

import json
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import pytest

from kept_study import files_of
from reading_house import RESULTS, House, contents, ids, keep, last, reached
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.results import ResultName
from zweitblick.store.store import Store
from zweitblick.store.work import Work


class Crash(BaseException):
    """The process is gone: nothing that catches errors catches this."""


class Crashes:
    """When the crash is: at an event, before or after it is durable; nothing happens to any round after that."""

    def __init__(self, event: Event, *, is_after: bool) -> None:
        self.event, self.is_after = event, is_after
        self.happened = threading.Event()

    def at(self, event: Event, act: Callable[[], State]) -> State:
        if self.happened.is_set():
            raise Crash
        if event is not self.event:
            return act()
        if self.is_after:
            act()
        self.happened.set()
        raise Crash


class CrashingWork(Work):
    crashes: Crashes

    def advance(self, round_id: str, event: Event, *, turn: int, code: str = "") -> State:
        return self.crashes.at(event, lambda: super(CrashingWork, self).advance(round_id, event, turn=turn, code=code))

    def keep_reading(self, round_id: str, results: Sequence[tuple[ResultName, BinaryIO]], *, turn: int) -> State:
        return self.crashes.at(Event.READ, lambda: super(CrashingWork, self).keep_reading(round_id, results, turn=turn))


class Crashing(Store):
    def crash_at(self, crashes: Crashes) -> None:
        self.crashes = crashes
        self.work = CrashingWork(self._rooms, self.clock)
        self.work.crashes = crashes

    def advance(self, round_id: str, event: Event, *, by: Actor) -> State:
        return self.crashes.at(event, lambda: super(Crashing, self).advance(round_id, event, by=by))


def crash(house: House, study: Path, event: Event, *, is_after: bool) -> tuple[str, dict[str, bytes]]:
    """Have a study read until a crash, and return its token and the results that were kept before."""
    with house.store(Crashing) as store:
        store.crash_at(Crashes(event, is_after=is_after))
        token = keep(store, files_of(study, "T1c"))
        with house.worker(store) as worker:
            with suppress(Crash):
                worker.submit(last(store, token))
            assert store.crashes.happened.wait(60)
        return token, contents(store, last(store, token).id)


def test_a_reading_that_was_not_kept_whole_is_not_kept_and_is_repeated_with_its_time(house: House, study: Path) -> None:
    token, before = crash(house, study, Event.READ, is_after=False)
    assert before == {}
    began = house.clock.now
    house.clock.move(3600)
    with house.store() as store:
        crashed = last(store, token)
        assert crashed.state is State.READING
        with house.worker(store):
            again = reached(store, token, State.AWAITING_REVIEW)
        assert again.id == crashed.id
        assert datetime.fromisoformat(json.loads(contents(store, again.id)["json"])["read_at"]) == began
        events = [entry.event for entry in store.history(token)]
        assert events[:4] == [Event.COMPLETED, Event.STARTED, Event.RELEASED, Event.STARTED]


def test_a_reading_that_was_kept_is_not_repeated(house: House, study: Path) -> None:
    token, before = crash(house, study, Event.READ, is_after=True)
    assert set(before) == RESULTS
    with house.store() as store:
        kept = ids(store, last(store, token).id)
        with house.worker(store):
            again = reached(store, token, State.AWAITING_REVIEW)
        assert (ids(store, again.id), contents(store, again.id)) == (kept, before)
        assert [entry.event for entry in store.history(token)].count(Event.STARTED) == 1


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("event", [Event.COMPLETED, Event.STARTED, Event.READ, Event.SEALED, Event.REVIEW_ASKED])
def test_a_crash_at_any_event_is_resumed(house: House, study: Path, event: Event, is_after: bool) -> None:
    token, before = crash(house, study, event, is_after=is_after)
    house.clock.move(30)  # of a round that nobody has said to be complete
    with house.store() as store:
        with house.worker(store):
            done = reached(store, token, State.AWAITING_REVIEW)
        assert done.number == 1
        assert set(contents(store, done.id)) == RESULTS
        assert before in ({}, contents(store, done.id))
        events = [entry.event for entry in store.history(token)]
        for once in (Event.COMPLETED, Event.READ, Event.SEALED, Event.REVIEW_ASKED):
            assert events.count(once) == 1
