import io
from pathlib import Path

import highdicom as hd
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from readings import Phantom, phantom_reading
from zweitblick.dicom.report_content import ReportContent, report_content
from zweitblick.dicom.seg import segmentation
from zweitblick.dicom.sr import structured_report
from zweitblick.errors import DamagedInstanceError
from zweitblick.reading import RESEARCH_USE


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    reading = phantom_reading(tmp_path_factory.mktemp("source"), Phantom(lesions=2))
    return structured_report(reading, segmentation(reading))


@pytest.fixture(scope="module")
def content(report: bytes) -> ReportContent:
    return report_content(report)


def test_groups_are_those_that_highdicom_finds(report: bytes, content: ReportContent) -> None:
    found = hd.sr.srread(io.BytesIO(report)).content
    groups = [*found.get_volumetric_roi_measurement_groups(), *found.get_image_measurement_groups()]
    assert {group.name for group in content.groups} == {group.tracking_identifier for group in groups}
    numbers = {
        (group.tracking_identifier, one.name.meaning, float(one.value), one.unit.value)
        for group in groups
        for one in group.get_measurements()
    }
    assert numbers == {
        (group.name, one.name, float(one.value), one.unit) for group in content.groups for one in group.measurements
    }


def test_sides_are_the_lesions(content: ReportContent) -> None:
    sides = {group.name: group.side for group in content.groups}
    assert {side for name, side in sides.items() if name.startswith("Lesion ")} == {"Left"}
    assert sides["All lesions, whole tumour"] == ""


def test_texts_and_identity_are_the_reports(report: bytes, content: ReportContent) -> None:
    dataset = pydicom.dcmread(io.BytesIO(report))
    assert len(content.findings) == 1
    assert content.comments[-1] == RESEARCH_USE
    assert (content.patient_name, content.patient_id, content.birth_date) == ("Grün^Anna", "ZB-0815", "19610402")
    assert (content.sop_instance_uid, content.study_uid) == (dataset.SOPInstanceUID, dataset.StudyInstanceUID)
    assert "Anna" not in repr(content)


def test_what_is_no_report_is_refused(tmp_path: Path) -> None:
    for data in (b"", b"no DICOM", segmentation(phantom_reading(tmp_path))):
        with pytest.raises(DamagedInstanceError):
            report_content(data)


@settings(max_examples=50)
@given(places=st.lists(st.tuples(st.integers(132, 20_000), st.integers(1, 255)), min_size=1, max_size=5))
def test_damage_is_read_or_refused(report: bytes, places: list[tuple[int, int]]) -> None:
    damaged = bytearray(report)
    for place, change in places:
        damaged[place] ^= change
    try:
        report_content(bytes(damaged))
    except DamagedInstanceError:
        return
