"""A round is read once, whatever happens meanwhile, and its results are those of a reading without any service."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

import pydicom
import pytest

from kept_study import Clock, files_of, new_store, sent, wait_until
from zweitblick import pipeline
from zweitblick.dicom.read import read_study
from zweitblick.documents import documents
from zweitblick.errors import WorkerRunningError
from zweitblick.model.bundle import Bundles
from zweitblick.model.runtime import Network, Tensor
from zweitblick.reading import Stamp
from zweitblick.sample import SampleTruth
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.rounds import Round
from zweitblick.store.store import Store
from zweitblick.worker import BREAKS, Worker

RESULTS = {"seg", "sr", "pdf", "encapsulated-pdf", "json"}


class House:
    """A store, and workers that come and go."""

    def __init__(self, folder: Path, bundles: Bundles) -> None:
        self.folder, self.bundles, self.clock = folder, bundles, Clock()

    @contextmanager
    def store(self, kind: type[Store] = Store) -> Iterator[Store]:
        with new_store(self.folder, self.clock, kind=kind) as store:
            yield store

    def worker(self, store: Store, bundles: Bundles | None = None) -> Worker:
        return Worker(store, bundles or self.bundles, self.folder / "work", clock=self.clock)


@pytest.fixture
def house(tmp_path: Path, bundles: Bundles) -> House:
    return House(tmp_path, bundles)


@pytest.fixture(scope="module")
def study(sample: SampleTruth) -> Path:
    return next(iter(sample.series.values())).folder.parent


def keep(store: Store, files: list[Path]) -> str:
    for path in files:
        store.keep(sent(path))
    return store.token(sent(files[0]).study_instance_uid)


def last(store: Store, token: str) -> Round:
    return store.rounds(token)[-1]


def reached(store: Store, token: str, state: State) -> Round:
    wait_until(lambda: last(store, token).state is state)
    return last(store, token)


def contents(store: Store, round_id: str) -> dict[str, bytes]:
    found = {}
    for result in store.results(round_id):
        with store.open(result.id) as file:
            found[result.name] = file.read()
    return found


def ids(store: Store, round_id: str) -> dict[str, str]:
    return {result.name: result.id for result in store.results(round_id)}


class Gate:
    """A network that waits to be let through; ``reached`` tells that it waits."""

    def __init__(self, network: Network) -> None:
        self.runtime = network.runtime
        self.reached, self.opened = threading.Event(), threading.Event()
        self._network = network

    def __call__(self, x: Tensor) -> Tensor:
        self.reached.set()
        assert self.opened.wait(60)
        return self._network(x)


def test_results_are_those_of_a_reading_from_files(house: House, study: Path) -> None:
    files = files_of(study)
    with house.store() as store:
        token = keep(store, files)
        house.clock.move(30)
        with house.worker(store):
            done = reached(store, token, State.AWAITING_REVIEW)
        made = contents(store, done.id)
        events = [entry.event for entry in store.history(token)]
        kept = {result.name: result.sop_instance_uid for result in store.results(done.id)}
        patient = pydicom.dcmread(files[0], stop_before_pixels=True).PatientID
        assert store.studies_of_patient(patient) == [token]
    stamp = Stamp(datetime.fromisoformat(json.loads(made["json"])["read_at"]))
    expected = documents(pipeline.read(read_study(files), house.bundles, stamp=stamp))
    assert made == {
        "json": expected.json,
        "seg": expected.seg,
        "sr": expected.sr,
        "pdf": expected.pdf,
        "encapsulated-pdf": expected.encapsulated_pdf,
    }
    assert kept["seg"] == pydicom.dcmread(pydicom.filebase.DicomBytesIO(expected.seg)).SOPInstanceUID
    assert kept["pdf"] == ""
    assert events == [Event.COMPLETED, Event.STARTED, Event.READ, Event.SEALED, Event.REVIEW_ASKED]
    secret = pydicom.dcmread(files[0], stop_before_pixels=True)
    for path in house.folder.rglob("*"):
        if path.is_file():
            clear = path.read_bytes()
            assert str(secret.PatientName).encode() not in clear
            assert secret.PatientID.encode() not in clear
            assert secret.StudyInstanceUID.encode() not in clear


def test_a_study_that_cannot_be_read_fails_with_its_code(house: House, study: Path) -> None:
    with house.store() as store:
        token = keep(store, files_of(study, "T1"))
        with house.worker(store) as worker:
            worker.submit(last(store, token))
            failed = reached(store, token, State.FAILED)
        assert json.loads(contents(store, failed.id)["error"])["code"] == "study.missing-sequence"
        assert set(contents(store, failed.id)) == {"error"}


def test_a_late_image_supersedes_and_both_readings_are_kept(house: House, study: Path) -> None:
    late, *_ = files_of(study, "T2")
    with house.store() as store:
        token = keep(store, files_of(study, "T1c"))
        with house.worker(store) as worker:
            worker.submit(last(store, token))
            first = reached(store, token, State.AWAITING_REVIEW)
            before = contents(store, first.id)
            house.clock.move(1)
            keep(store, [late])
            assert [one.state for one in store.rounds(token)] == [State.SUPERSEDED, State.RECEIVING]
            house.clock.move(30)
            second = reached(store, token, State.AWAITING_REVIEW)
        assert second.supersedes == first.id
        assert set(before) == set(contents(store, second.id)) == RESULTS
        assert contents(store, first.id) == before
        uids = [result.sop_instance_uid for one in (first, second) for result in store.results(one.id)]
        assert len({uid for uid in uids if uid}) == 6


def test_an_image_that_comes_while_its_study_is_read_begins_the_next_round(house: House, study: Path) -> None:
    late, *_ = files_of(study, "T2")
    gate = Gate(house.bundles.tumour.network)
    gated = replace(house.bundles, tumour=replace(house.bundles.tumour, network=gate))
    with house.store() as store:
        token = keep(store, files_of(study, "T1c"))
        with house.worker(store, gated) as worker:
            worker.submit(last(store, token))
            assert gate.reached.wait(60)
            house.clock.move(1)
            keep(store, [late])
            gate.opened.set()
            house.clock.move(30)
            second = reached(store, token, State.AWAITING_REVIEW)
        assert [one.state for one in store.rounds(token)] == [State.SUPERSEDED, State.AWAITING_REVIEW]
        assert set(contents(store, second.id)) == RESULTS


def test_images_that_came_since_keep_a_round_open(house: House, study: Path) -> None:
    first, second, *_ = files_of(study, "T1")
    with house.store() as store:
        token = keep(store, [first])
        believed = last(store, token)
        house.clock.move(1)
        keep(store, [second])
        with house.worker(store) as worker:
            worker.submit(believed)
            house.clock.move(30)
            reached(store, token, State.FAILED)
        complete = [entry.at for entry in store.history(token) if entry.event is Event.COMPLETED]
        assert complete == [house.clock.now]


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


def test_a_reading_that_outlasts_the_patience_is_handed_back(house: House, study: Path) -> None:
    gate = Gate(house.bundles.brain_mask.network)
    gated = replace(house.bundles, brain_mask=replace(house.bundles.brain_mask, network=gate))
    with house.store() as store:
        token = keep(store, files_of(study, "T1c"))
        worker = house.worker(store, gated)
        worker.submit(last(store, token))
        assert gate.reached.wait(60)
        opening = threading.Timer(0.5, gate.opened.set)
        opening.start()
        worker.close(patience_s=0)
        opening.join()
        assert last(store, token).state is State.READING
        with house.worker(store):
            done = reached(store, token, State.AWAITING_REVIEW)
        assert set(contents(store, done.id)) == RESULTS


def test_a_study_that_stops_the_service_again_and_again_is_given_up(house: House, study: Path) -> None:
    with house.store() as store:
        token = keep(store, files_of(study, "T1c"))
        store.advance(last(store, token).id, Event.COMPLETED, by=Actor.WORKER)
        for event in [Event.STARTED, Event.RELEASED] * BREAKS:
            store.advance(last(store, token).id, event, by=Actor.WORKER)
        with house.worker(store) as worker:
            worker.submit(last(store, token))
            failed = reached(store, token, State.FAILED)
        assert json.loads(contents(store, failed.id)["error"])["code"] == "worker.broken-off"


def test_a_study_that_is_shredded_while_it_is_read_is_gone(house: House, study: Path) -> None:
    gate = Gate(house.bundles.tumour.network)
    gated = replace(house.bundles, tumour=replace(house.bundles.tumour, network=gate))
    with house.store() as store:
        token = keep(store, files_of(study, "T1c"))
        with house.worker(store, gated) as worker:
            worker.submit(last(store, token))
            assert gate.reached.wait(60)
            store.shred(token)
            gate.opened.set()
            # the next study is read all the same
            other = keep(store, files_of(study, "T1"))
            house.clock.move(30)
            reached(store, other, State.FAILED)
            assert worker.is_working
        assert store.rounds(token) == []


def test_one_worker_at_a_time_uses_a_folder(house: House) -> None:
    with house.store() as store:
        with house.worker(store), pytest.raises(WorkerRunningError):
            house.worker(store)
        house.worker(store).close()
