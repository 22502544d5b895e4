"""What a document says of those that it supersedes."""

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pydicom
import pytest
from pydicom.dataset import Dataset

from readings import STAMP, phantom_reading
from zweitblick.dicom.pdf import encapsulated_pdf
from zweitblick.dicom.predecessor import predecessor
from zweitblick.dicom.seg import segmentation
from zweitblick.dicom.sr import structured_report
from zweitblick.errors import DamagedInstanceError
from zweitblick.reading import Reading


def report(reading: Reading) -> bytes:
    return structured_report(reading, segmentation(reading))


def page(reading: Reading) -> bytes:
    return encapsulated_pdf(reading, b"%PDF-1.7")


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> list[Reading]:
    """Three readings of one study, an hour after one another."""
    first = phantom_reading(tmp_path_factory.mktemp("source"))
    return [replace(first, stamp=replace(STAMP, time=STAMP.time + timedelta(hours=hours))) for hours in range(3)]


def told(document: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(document))


def uids(dataset: Dataset) -> tuple[str, str, str]:
    return dataset.SeriesInstanceUID, dataset.SOPClassUID, dataset.SOPInstanceUID


@pytest.mark.parametrize("write", [report, page])
def test_the_first_document_of_a_study_names_none(readings: list[Reading], write: Callable[[Reading], bytes]) -> None:
    assert "PredecessorDocumentsSequence" not in told(write(readings[0]))


def test_each_document_names_those_of_its_kind_the_newest_first(readings: list[Reading]) -> None:
    first, second, third = readings
    kept = [write(one) for one in (second, first) for write in (report, page)]
    third = replace(third, predecessors=tuple(map(predecessor, kept)))
    for write, expected in ((report, kept[::2]), (page, kept[1::2])):
        dataset = told(write(third))
        (study,) = dataset.PredecessorDocumentsSequence
        assert study.StudyInstanceUID == dataset.StudyInstanceUID
        named = [
            (series.SeriesInstanceUID, instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID)
            for series in study.ReferencedSeriesSequence
            for instance in series.ReferencedSOPSequence
        ]
        assert named == [uids(told(one)) for one in expected]
        assert uids(dataset) not in named


def test_a_document_was_written_when_its_study_was_read(readings: list[Reading]) -> None:
    for write in (report, page):
        assert predecessor(write(readings[1])).written_at == (STAMP.time + timedelta(hours=1)).replace(tzinfo=None)


@pytest.mark.parametrize("missing", ["SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID", "ContentDate"])
def test_what_lacks_a_name_or_a_date_cannot_be_named(readings: list[Reading], missing: str) -> None:
    dataset = told(page(readings[0]))
    dataset[missing].value = ""
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset)
    with pytest.raises(DamagedInstanceError, match="lacks"):
        predecessor(buffer.getvalue())


def test_what_is_no_document_cannot_be_named() -> None:
    with pytest.raises(DamagedInstanceError):
        predecessor(b"no document")
