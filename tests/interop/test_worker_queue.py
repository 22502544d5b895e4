"""What is to be done is in the store: however the queue was lost, and whatever failed, it is done once or given up."""

import io
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from dbos import DBOS
from sqlalchemy import select, update

from kept_study import wait_until
from quick_reading import Box, quick
from reading_house import RESULTS, House, contents, fails_at_once, ids, keep, keep_renamed, last, reached
from zweitblick.errors import NetworkMemoryError
from zweitblick.model.bundle import Bundles
from zweitblick.model.runtime import Tensor
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.results import ResultName
from zweitblick.store.schema import events, rounds
from zweitblick.store.store import Store
from zweitblick.study import Priority
from zweitblick.worker import DEAD, RETRIES, Worker, WorkPlace, delay
from zweitblick.worker.backlog import RECHECK
from zweitblick.worker.launch import WORKFLOWS

TO_SEALED = [Event.COMPLETED, Event.STARTED, Event.READ, Event.SEALED]
LOST = {State.STABLE: 1, State.READING: 2, State.READ: 3, State.SEALED: 4}
"""How many of these events lead to a state."""


@pytest.fixture
def house(tmp_path: Path, bundles: Bundles) -> House:
    return House(tmp_path, quick(bundles))


class Gate:
    """Waits to be let through; ``reached`` tells that it waits."""

    def __init__(self) -> None:
        self.reached, self.opened, self.calls = threading.Event(), threading.Event(), 0

    def __call__(self) -> None:
        self.calls += 1
        self.reached.set()
        assert self.opened.wait(60)


class Failing:
    """Raises something the first times."""

    def __init__(self, error: Exception, times: float) -> None:
        self.error, self.times = error, times

    def __call__(self) -> None:
        self.times -= 1
        if self.times >= 0:
            raise self.error


def masked(house: House, first: Callable[[], None]) -> Bundles:
    """Do something as soon as a reading comes to its first network."""
    network = house.bundles.brain_mask.network

    def after(x: Tensor) -> Tensor:
        first()
        return network(x)

    after.runtime = network.runtime
    return replace(house.bundles, brain_mask=replace(house.bundles.brain_mask, network=after))


def happen(store: Store, token: str, *happened: Event, by: Actor = Actor.WORKER) -> None:
    for event in happened:
        store.advance(last(store, token).id, event, by=by)


def events_of(store: Store, token: str) -> list[Event]:
    return [entry.event for entry in store.history(token)]


def test_a_round_that_is_in_no_queue_is_found_by_its_state(house: House, quick_files: list[Path]) -> None:
    with house.store() as store:
        tokens = {state: fails_at_once(store, quick_files[0], str(state)) for state in LOST}
        for state, token in tokens.items():
            happen(store, token, *TO_SEALED[: LOST[state]])
            assert last(store, token).state is state
        with house.worker(store):
            for state, token in tokens.items():
                end = State.FAILED if state in (State.STABLE, State.READING) else State.AWAITING_REVIEW
                reached(store, token, end)


def test_a_queue_that_was_deleted_is_filled_again(house: House, quick_files: list[Path]) -> None:
    gate = Gate()
    with house.store() as store:
        token = keep(store, quick_files)
        worker = house.worker(store, masked(house, gate))
        worker.submit(last(store, token))
        assert gate.reached.wait(60)
        opening = threading.Timer(0.5, gate.opened.set)
        opening.start()
        worker.close(patience_s=0)
        opening.join()
        assert last(store, token).state is State.READING
        shutil.rmtree(house.folder / "work")
        with house.worker(store):
            done = reached(store, token, State.AWAITING_REVIEW)
        assert set(contents(store, done.id)) == RESULTS


def test_a_round_that_was_taken_from_the_queue_and_never_begun_is_begun(
    house: House, quick_files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a moment without the queue's database."""
    monkeypatch.setattr("zweitblick.queue_place.SETTLE_S", 0)
    with house.store() as store:
        token = fails_at_once(store, quick_files[0], "1")
        with house.worker(store) as worker:
            one = last(store, token)
            house.take_from_queue("read", f"{one.id}-{one.turn}-{WORKFLOWS}", one.study, one.id, one.turn)
            worker.submit(one)
            wait_until(lambda: any(turn.study == token for turn in worker._backlog._queued))
            house.clock.move(RECHECK.total_seconds())
            reached(store, token, State.FAILED)
        assert Event.ATTEMPT_FAILED not in events_of(store, token)


def test_a_queue_that_believes_a_round_to_be_done_is_not_believed(house: House, quick_files: list[Path]) -> None:
    """As after yesterday's store was restored, and today's queue was not."""
    with house.store() as store:
        token = fails_at_once(store, quick_files[0], "1")
        with house.worker(store) as worker:
            worker.submit(last(store, token))
            reached(store, token, State.FAILED)
        with store._data.writing() as transaction:
            transaction.execute(update(rounds).values(state=State.STABLE))
        with house.worker(store):
            wait_until(lambda: Event.ATTEMPT_FAILED in events_of(store, token))
            assert last(store, token).state is State.STABLE
            house.clock.move(delay(1).total_seconds())
            reached(store, token, State.FAILED)
        [attempt] = [entry for entry in store.history(token) if entry.event is Event.ATTEMPT_FAILED]
        assert attempt.code == "worker.lost"


def test_what_may_pass_is_tried_again_after_a_while(house: House, quick_files: list[Path]) -> None:
    full = Failing(NetworkMemoryError("too little memory; free some"), times=2)
    with house.store() as store:
        token = keep(store, quick_files)
        gated = replace(house.bundles, tumour=replace(house.bundles.tumour, network=Box(full)))
        with house.worker(store, gated) as worker:
            worker.submit(last(store, token))
            for failed in (1, 2):
                wait_until(lambda count=failed: events_of(store, token).count(Event.ATTEMPT_FAILED) == count)
                house.clock.move(delay(failed).total_seconds())
            done = reached(store, token, State.AWAITING_REVIEW)
        assert set(contents(store, done.id)) == RESULTS
        history = store.history(token)
        started = [entry.at for entry in history if entry.event is Event.STARTED]
        assert [after - before for before, after in pairwise(started)] == [delay(1), delay(2)]
        assert {entry.code for entry in history if entry.event is Event.ATTEMPT_FAILED} == {"network.memory"}
        [job] = store.work.jobs_in([State.AWAITING_REVIEW])
        assert (job.attempts, job.code, job.since) == (3, "network.memory", house.clock.now)


def test_what_does_not_pass_is_given_up(house: House, quick_files: list[Path]) -> None:
    with house.store() as store:
        token = keep(store, quick_files)
        with house.worker(store, masked(house, Failing(MemoryError(), times=99))) as worker:
            worker.submit(last(store, token))
            for failed in range(1, RETRIES + 1):
                wait_until(lambda count=failed: events_of(store, token).count(Event.ATTEMPT_FAILED) == count)
                house.clock.move(delay(failed).total_seconds())
            reached(store, token, State.FAILED)
        assert events_of(store, token).count(Event.STARTED) == RETRIES + 1


def test_delays_double_up_to_ten_minutes() -> None:
    assert [delay(failed).total_seconds() for failed in range(1, 10)] == [10, 20, 40, 80, 160, 320, 600, 600, 600]


def test_a_round_that_has_failed_is_read_again_where_a_person_says_so(house: House, quick_files: list[Path]) -> None:
    with house.store() as store:
        token = keep(store, quick_files)
        with house.worker(store, masked(house, Failing(ValueError("patients' names"), times=1))) as worker:
            worker.submit(last(store, token))
            failed = reached(store, token, State.FAILED)
            assert set(contents(store, failed.id)) == {"error"}
            assert b"patient" not in contents(store, failed.id)["error"]
            happen(store, token, Event.REPLAYED, by=Actor.ADMINISTRATOR)
            done = reached(store, token, State.AWAITING_REVIEW)
        assert (done.id, done.turn) == (failed.id, 2)
        assert set(contents(store, done.id)) == RESULTS


def test_what_failed_after_its_reading_is_not_read_again(house: House, quick_files: list[Path]) -> None:
    with house.store() as store:
        token = keep(store, quick_files)
        with house.worker(store):
            house.clock.move(30)
            done = reached(store, token, State.AWAITING_REVIEW)
        kept = ids(store, done.id)
        with store._data.writing() as transaction:
            transaction.execute(update(rounds).values(state=State.SEALED))
        store.work.give_up(done.id, "peers.away", "the archive does not answer", turn=done.turn)
        assert set(ids(store, done.id)) == {*RESULTS, "error"}
        happen(store, token, Event.REPLAYED, by=Actor.ADMINISTRATOR)
        with house.worker(store):
            reached(store, token, State.AWAITING_REVIEW)
        assert {name: one for name, one in ids(store, done.id).items() if name in RESULTS} == kept


def test_a_reading_that_is_cancelled_ends_and_keeps_nothing(house: House, quick_files: list[Path]) -> None:
    gate = Gate()
    with house.store() as store:
        token = keep(store, quick_files)
        with house.worker(store, masked(house, gate)) as worker:
            worker.submit(last(store, token))
            assert gate.reached.wait(60)
            happen(store, token, Event.CANCELLED, by=Actor.ADMINISTRATOR)
            wait_until(lambda: all(go.share.cancelled for go in worker._workflow._under_way))
            gate.opened.set()
            wait_until(lambda: not worker._workflow.turns())
            cancelled = last(store, token)
            assert (cancelled.state, contents(store, cancelled.id)) == (State.CANCELLED, {})
            assert not [path for path in house.folder.rglob("*.part") if path.stat().st_size]
            happen(store, token, Event.REPLAYED, by=Actor.ADMINISTRATOR)
            done = reached(store, token, State.AWAITING_REVIEW)
        assert set(contents(store, done.id)) == RESULTS


def test_what_an_older_release_had_begun_is_replaced(house: House, quick_files: list[Path]) -> None:
    with house.store() as store:
        token = keep(store, quick_files)
        happen(store, token, Event.COMPLETED, Event.STARTED)
        half = ResultName(last(store, token).id, "seg", "application/dicom", "1.2.3.4")
        store.keep_result(half, io.BytesIO(b"half an outline"))
        with house.worker(store):
            done = reached(store, token, State.AWAITING_REVIEW)
        assert sorted(one.name for one in store.results(done.id)) == sorted(RESULTS)


def test_the_urgent_are_read_first(house: House, quick_files: list[Path]) -> None:
    """Two are being read; of those behind them the urgent are taken before the one that came first."""
    gate = Gate()
    with house.store() as store, urgent_sender(house, store, masked(house, gate)) as worker:
        before = [keep(store, quick_files), keep_renamed(store, quick_files, "2")]
        for token in before:
            worker.submit(last(store, token))
        wait_until(lambda: {last(store, token).state for token in before} == {State.READING})
        behind = {
            "routine": fails_at_once(store, quick_files[0], "routine"),
            "sender": fails_at_once(store, quick_files[0], "sender", calling_ae_title="EMERGENCY"),
            "header": fails_at_once(store, quick_files[0], "header", RequestedProcedurePriority="STAT"),
        }
        for token in behind.values():
            worker.submit(last(store, token))
            wait_until(lambda one=token: any(turn.study == one for turn in worker._backlog._queued))
        gate.opened.set()
        for token in behind.values():
            reached(store, token, State.FAILED)
        taken = {one.workflow_id.split("-")[0]: one.dequeued_at for one in DBOS.list_workflows()}
        times = {name: taken[last(store, token).id] for name, token in behind.items()}
        started = started_in_order(store)
    # two may be taken at once, and the queue's times are of whole seconds before SQLite 3.42
    assert times["header"] <= times["sender"] <= times["routine"]
    assert started.index(behind["header"]) < started.index(behind["routine"])


def started_in_order(store: Store) -> list[str]:
    """Return studies in the order in which their reading began, by the numbers of what happened."""
    begun = select(events.c.study).where(events.c.event == Event.STARTED).order_by(events.c.number)
    with store._data.reading() as transaction:
        return list(transaction.execute(begun).scalars())


@contextmanager
def urgent_sender(house: House, store: Store, bundles: Bundles) -> Iterator[Worker]:
    urgent = {"EMERGENCY": Priority.HIGH}
    with Worker(store, bundles, WorkPlace(house.folder / "work"), clock=house.clock, priorities=urgent) as worker:
        yield worker


@pytest.mark.parametrize("crashed", [False, True], ids=["left", "crashed"])
def test_what_a_worker_had_begun_that_is_gone_is_begun_by_another(
    house: House, quick_files: list[Path], crashed: bool
) -> None:
    gate = Gate()
    with house.store() as store:
        token = keep(store, quick_files)
        worker = house.worker(store, masked(house, gate))
        gone = store.work.beats()
        worker.submit(last(store, token))
        assert gate.reached.wait(60)
        threading.Timer(0.5, gate.opened.set).start()
        worker.close(patience_s=0)
        if crashed:
            store.work.beat(*gone)
        (house.folder / "work" / "1" / "lock").unlink()  # the next worker is another one
        with house.worker(store) as other:
            if crashed:
                assert set(store.work.beats()) > set(gone)
                pass_by(house, store, other, DEAD - timedelta(seconds=5))
                assert last(store, token).state is State.READING
                pass_by(house, store, other, timedelta(seconds=5))
            reached(store, token, State.AWAITING_REVIEW)
            assert not set(gone) & set(store.work.beats())


def pass_by(house: House, store: Store, worker: Worker, time: timedelta) -> None:
    """Let a time pass during which a worker looks for the others every five seconds."""
    for _ in range(time // timedelta(seconds=5)):
        before = worker._fleet._looked_at
        house.clock.move(5)
        wait_until(lambda then=before: worker._fleet._looked_at > then)
