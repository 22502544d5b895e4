"""A round is read once, whatever happens meanwhile, and its results are those of a reading without any service."""

import io
import json
import re
import threading
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import pydicom
import pytest
from pydicom.uid import CTImageStorage

from audit.book import patient_of, study_of
from kept_study import files_of, sent, wait_until
from quick_reading import Box, quick
from reading_house import RESULTS, House, contents, keep, last, reached
from zweitblick import pipeline
from zweitblick.dicom.read import read_study
from zweitblick.documents import documents
from zweitblick.errors import WorkerRunningError
from zweitblick.model.runtime import Network, Tensor
from zweitblick.reading import Stamp
from zweitblick.settings import Settings
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.store import Store
from zweitblick.worker import BREAKS, WorkPlace


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
        "fhir": expected.fhir,
        "seg": expected.seg,
        "sr": expected.sr,
        "pdf": expected.pdf,
        "encapsulated-pdf": expected.encapsulated_pdf,
    }
    assert house.book.told() == [("DICOM Instances Accessed", "R", 0), ("DICOM Instances Accessed", "C", 0)]
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
    assert house.book.told() == [("DICOM Instances Accessed", "R", 0), ("DICOM Instances Accessed", "C", 8)]
    assert house.book.events[1].outcome_description == "study.missing-sequence"
    header = pydicom.dcmread(files_of(study)[0], stop_before_pixels=True)
    for event in house.book.events:
        assert (study_of(event), patient_of(event)) == (header.StudyInstanceUID, header.PatientID)


class Watched(Store):
    """Remembers which objects are opened."""

    opened: list[str]

    def open(self, object_id: str) -> BinaryIO:
        self.opened.append(object_id)
        return super().open(object_id)


@pytest.mark.parametrize(("spare", "code"), [(0, "study.missing-sequence"), (-1, "study.too-large")])
def test_a_study_that_does_not_fit_in_memory_fails_at_once_and_is_not_opened(
    house: House, quick_files: list[Path], spare: int, code: str
) -> None:
    few = quick_files[:3]
    with house.store(Watched) as store:
        token = keep(store, few)
        images = {one.id: one.series_instance_uid for one in store.instances(token)}
        store.opened = []
        size = sum(len(store.open(one).read()) for one in images)
        store.keep(replace(sent(few[0]), sop_class_uid=CTImageStorage, sop_instance_uid="1.2.3"))
        house.place = WorkPlace(house.folder / "work", largest_study_bytes=size + spare)
        store.opened.clear()
        with house.worker(store) as worker:
            worker.submit(last(store, token))
            failed = reached(store, token, State.FAILED)
        opened = sum(one in images for one in store.opened)
        error = json.loads(contents(store, failed.id)["error"])
        events = [entry.event for entry in store.history(token)]
    heads = len(set(images.values()))  # of an image of each series, for the study's priority
    assert opened == heads + (len(few) if code == "study.missing-sequence" else 0)
    assert error["code"] == code
    assert events == [Event.COMPLETED, Event.STARTED, Event.GAVE_UP]
    if code == "study.too-large":
        assert {str(size), str(size - 1), "largest_study_bytes"} <= set(re.split("[ ;]", error["message"]))


def test_as_large_a_study_is_read_if_nothing_is_set() -> None:
    assert WorkPlace(Path()).largest_study_bytes == Settings.largest_study_bytes


def test_a_reading_that_cannot_be_put_on_record_waits(
    house: House, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zweitblick.store.absence.AWAY_S", 0.05)
    house.book.is_away = True
    with house.store() as store:
        token = keep(store, files_of(study, "T1"))
        with house.worker(store) as worker:
            worker.submit(last(store, token))
            wait_until(lambda: house.book.refusals > BREAKS)
            assert last(store, token).state is State.READING
            house.book.is_away = False
            failed = reached(store, token, State.FAILED)
        assert json.loads(contents(store, failed.id)["error"])["code"] == "study.missing-sequence"


def test_a_late_image_supersedes_and_both_readings_are_kept(house: House, quick_files: list[Path]) -> None:
    late, *_ = files_of(quick_files[0].parents[1], "T2")
    with house.store() as store:
        token = keep(store, quick_files)
        with house.worker(store, quick(house.bundles)) as worker:
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
        after = contents(store, second.id)
    for name in ("sr", "encapsulated-pdf"):
        earlier, later = (pydicom.dcmread(io.BytesIO(made[name])) for made in (before, after))
        assert "PredecessorDocumentsSequence" not in earlier
        (named,) = later.PredecessorDocumentsSequence
        (series,) = named.ReferencedSeriesSequence
        (document,) = series.ReferencedSOPSequence
        assert named.StudyInstanceUID == earlier.StudyInstanceUID
        assert series.SeriesInstanceUID == earlier.SeriesInstanceUID
        assert document.ReferencedSOPClassUID == earlier.SOPClassUID
        assert document.ReferencedSOPInstanceUID == earlier.SOPInstanceUID
    notices = [[one["code"] for one in json.loads(made["json"])["notices"]] for made in (before, after)]
    assert ["supersedes" in codes for codes in notices] == [False, True]


def test_an_image_that_comes_while_its_study_is_read_begins_the_next_round(
    house: House, quick_files: list[Path]
) -> None:
    late, *_ = files_of(quick_files[0].parents[1], "T2")
    gate = Gate(Box())
    gated = replace(house.bundles, tumour=replace(house.bundles.tumour, network=gate))
    with house.store() as store:
        token = keep(store, quick_files)
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


def test_a_reading_that_outlasts_the_patience_is_handed_back(house: House, quick_files: list[Path]) -> None:
    gate = Gate(house.bundles.brain_mask.network)
    gated = replace(quick(house.bundles), brain_mask=replace(house.bundles.brain_mask, network=gate))
    with house.store() as store:
        token = keep(store, quick_files)
        worker = house.worker(store, gated)
        worker.submit(last(store, token))
        assert gate.reached.wait(60)
        opening = threading.Timer(0.5, gate.opened.set)
        opening.start()
        worker.close(patience_s=0)
        opening.join()
        assert last(store, token).state is State.READING
        with house.worker(store, quick(house.bundles)):
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


def test_a_study_that_is_shredded_while_it_is_read_is_gone(house: House, quick_files: list[Path]) -> None:
    gate = Gate(Box())
    gated = replace(house.bundles, tumour=replace(house.bundles.tumour, network=gate))
    with house.store() as store:
        token = keep(store, quick_files)
        with house.worker(store, gated) as worker:
            worker.submit(last(store, token))
            assert gate.reached.wait(60)
            store.shred(token)
            gate.opened.set()
            # the next study is read all the same
            other = keep(store, files_of(quick_files[0].parents[1], "T1"))
            house.clock.move(30)
            reached(store, other, State.FAILED)
            assert worker.is_working
        assert store.rounds(token) == []


def test_one_worker_at_a_time_uses_a_folder(house: House) -> None:
    with house.store() as store:
        with house.worker(store), pytest.raises(WorkerRunningError):
            house.worker(store)
        house.worker(store).close()
