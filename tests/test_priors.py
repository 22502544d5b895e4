"""The last earlier reading of a patient, out of a store that keeps several."""

import datetime as dt
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pydicom
import pytest

from kept_study import START, Clock, new_store, sent
from readings import STUDY_UID, Phantom, phantom_reading
from zweitblick.dicom.outline import read_outline
from zweitblick.dicom.seg import segmentation
from zweitblick.dicom.stack import stack
from zweitblick.errors import StoreUnavailableError
from zweitblick.prior import Prior
from zweitblick.priors import prior_of
from zweitblick.reading import Notice, Reading
from zweitblick.report.findings_json import findings_json
from zweitblick.store.life import Actor, Event
from zweitblick.store.results import ResultName
from zweitblick.store.store import Store
from zweitblick.study import Patient, Sequence, Study

LATER = START + dt.timedelta(days=1000)
PATIENT = Phantom().patient


@dataclass(frozen=True)
class Kept:
    """The phantom's study as it was sent and read."""

    files: tuple[Path, ...]
    reading: Reading
    seg: bytes
    json: bytes


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder = tmp_path_factory.mktemp("source")
    reading = phantom_reading(folder)
    return Kept(tuple(sorted(folder.iterdir())), reading, segmentation(reading), findings_json(reading))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    with new_store(tmp_path, clock) as opened:
        yield opened


def study(**changes: object) -> Study:
    """A study of the same patient, 87 days after the phantom's unless told otherwise."""
    started = dt.datetime.combine(dt.date(2027, 2, 14), dt.time(8, 0))
    return replace(Study("1.2.3.4", PATIENT, (), started_at=started), **changes)


def changed(content: bytes, uid: str, **attributes: str) -> bytes:
    """A DICOM file as of another study."""
    dataset = pydicom.dcmread(io.BytesIO(content))
    dataset.StudyInstanceUID = uid
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def keep(store: Store, kept: Kept, *, uid: str = STUDY_UID, seg: bytes = b"", **attributes: str) -> str:
    """Keep the phantom's study and its results as read; return its token."""
    for path in kept.files:
        content = changed(path.read_bytes(), uid, **attributes)
        with_uid = path.parent.parent / f"{uid}-{path.name}"
        with_uid.write_bytes(content)
        store.keep(sent(with_uid))
    token = store.token(uid)
    store.describe(token, patient_id=PATIENT.id, accession_number="")
    results(store, kept, token, uid=uid, seg=seg or changed(kept.seg, uid, **attributes))
    return token


def results(store: Store, kept: Kept, token: str, *, uid: str, seg: bytes) -> None:
    last = store.rounds(token)[-1]
    for event in (Event.COMPLETED, Event.STARTED):
        store.advance(last.id, event, by=Actor.WORKER)
    document = kept.json.replace(STUDY_UID.encode() + b'"', uid.encode() + b'"')
    seg_uid = pydicom.dcmread(io.BytesIO(kept.seg)).SOPInstanceUID + f".{len(store.rounds(token))}"
    store.keep_result(ResultName(last.id, "seg", "application/dicom", seg_uid), io.BytesIO(seg))
    store.keep_result(ResultName(last.id, "json", "application/json"), io.BytesIO(document))
    store.advance(last.id, Event.READ, by=Actor.WORKER)


def test_the_earlier_reading_is_found_with_its_outline_and_images(store: Store, kept: Kept) -> None:
    keep(store, kept)
    prior = prior_of(store, "another", study(), before=LATER)
    assert isinstance(prior, Prior)
    assert np.array_equal(prior.labels.voxels, read_outline(kept.seg).labels.voxels)
    assert prior.timepoint.findings == kept.reading.findings
    assert (study().started_at.date() - prior.timepoint.studied_on).days == 87
    assert set(prior.images) == {Sequence.FLAIR}
    volume = stack(prior.images[Sequence.FLAIR].part)
    assert np.array_equal(volume.voxels, kept.reading.reference_volume.voxels)


@pytest.mark.parametrize(
    "patient",
    [Patient(), replace(PATIENT, id="ZB-0816"), replace(PATIENT, id="zb-0815")],
    ids=["none", "other", "case"],
)
def test_another_patient_id_has_no_prior(store: Store, kept: Kept, patient: Patient) -> None:
    keep(store, kept)
    assert prior_of(store, "another", study(patient=patient), before=LATER) is None


@pytest.mark.parametrize(
    ("attributes", "differs"),
    [({"birth_date": dt.date(1961, 2, 4)}, "Birth Date (0010,0030)"), ({"sex": "M"}, "Sex (0010,0040)")],
)
def test_the_same_id_with_another_birth_date_or_sex_is_not_used_and_said(
    store: Store, kept: Kept, attributes: dict[str, object], differs: str
) -> None:
    keep(store, kept)
    found = prior_of(store, "another", study(patient=replace(PATIENT, **attributes)), before=LATER)
    assert isinstance(found, Notice)
    assert found.code == "prior-other-patient"
    assert differs in found.text
    for secret in ("1961", "ZB-0815", "Anna", STUDY_UID):
        assert secret not in found.text


def test_a_missing_birth_date_or_sex_does_not_part_a_patient_from_himself(store: Store, kept: Kept) -> None:
    keep(store, kept)
    assert isinstance(prior_of(store, "another", study(patient=Patient(id=PATIENT.id)), before=LATER), Prior)


def test_the_study_itself_and_later_ones_are_no_priors(store: Store, kept: Kept) -> None:
    token = keep(store, kept)
    assert prior_of(store, token, study(), before=LATER) is None
    earlier = dt.datetime.combine(dt.date(2026, 11, 18), dt.time(8, 0))
    assert prior_of(store, "another", study(started_at=earlier), before=LATER) is None


def test_the_last_of_several_by_date_is_taken_whatever_was_read_last(store: Store, kept: Kept, clock: Clock) -> None:
    for uid, date in (("1.2.1", "20261201"), ("1.2.2", "20270101"), ("1.2.3", "20250101")):
        keep(store, kept, uid=uid, StudyDate=date)
        clock.move(60)
    prior = prior_of(store, "another", study(), before=LATER)
    assert prior.timepoint.study_uid == "1.2.2"


def test_another_patients_newer_study_is_passed_over_and_told(store: Store, kept: Kept) -> None:
    keep(store, kept, uid="1.2.1", StudyDate="20261201")
    keep(store, kept, uid="1.2.2", StudyDate="20270101", PatientSex="M")
    prior = prior_of(store, "another", study(), before=LATER)
    assert prior.timepoint.study_uid == "1.2.1"
    assert [notice.code for notice in prior.notices] == ["prior-other-patient"]


def test_what_is_read_later_does_not_change_what_was_found(store: Store, kept: Kept, clock: Clock) -> None:
    """So that a step which is repeated after a crash makes the same results."""
    keep(store, kept, uid="1.2.1", StudyDate="20261201")
    clock.move(60)
    began = clock()
    clock.move(60)
    keep(store, kept, uid="1.2.2", StudyDate="20270101")
    assert prior_of(store, "another", study(), before=began).timepoint.study_uid == "1.2.1"
    assert prior_of(store, "another", study(), before=START) is None


def test_the_last_round_that_was_read_counts_with_the_images_it_had(store: Store, kept: Kept, clock: Clock) -> None:
    missing = kept.files[10]
    token = keep(store, replace(kept, files=tuple(path for path in kept.files if path != missing)))
    assert not prior_of(store, "another", study(), before=LATER).images
    clock.move(60)
    store.keep(sent(missing))
    assert len(store.rounds(token)) == 2
    assert not prior_of(store, "another", study(), before=LATER).images
    clock.move(60)
    results(store, kept, token, uid=STUDY_UID, seg=kept.seg)
    assert prior_of(store, "another", study(), before=LATER).images


def test_a_shredded_study_is_no_prior(store: Store, kept: Kept) -> None:
    store.shred(keep(store, kept))
    assert prior_of(store, "another", study(), before=LATER) is None


def test_a_damaged_result_is_passed_over_and_told(store: Store, kept: Kept) -> None:
    keep(store, kept, seg=b"no segmentation")
    found = prior_of(store, "another", study(), before=LATER)
    assert isinstance(found, Notice)
    assert (found.code, "prior.damaged" in found.text) == ("prior-unusable", True)


def test_a_study_of_which_a_part_was_fetched_is_not_compared_and_told(store: Store, kept: Kept) -> None:
    present = store.rounds(keep(store, kept, uid="1.2.9", StudyDate="20270601"))[-1]
    keep(store, kept)
    store.lookups.begin(present.id, STUDY_UID)
    found = prior_of(store, "another", study(), before=LATER)
    assert isinstance(found, Notice)
    assert (found.code, "prior.partial" in found.text) == ("prior-unusable", True)
    store.lookups.complete(present.id, STUDY_UID)
    assert isinstance(prior_of(store, "another", study(), before=LATER), Prior)


def test_a_study_without_date_has_no_last_prior_and_says_so(store: Store, kept: Kept) -> None:
    keep(store, kept)
    found = prior_of(store, "another", study(started_at=None), before=LATER)
    assert isinstance(found, Notice)
    assert found.code == "prior-undated"


class Away(Store):
    """Its folder of objects is on a disk that does not answer."""

    def open(self, object_id: str) -> BinaryIO:
        raise StoreUnavailableError(f"object {object_id} cannot be read; see to the disk")


def test_a_store_that_is_away_is_no_reason_to_read_without_a_prior(tmp_path: Path, kept: Kept) -> None:
    with new_store(tmp_path, Clock(), kind=Away) as store:
        keep(store, kept)
        with pytest.raises(StoreUnavailableError):
            prior_of(store, "another", study(), before=LATER)
