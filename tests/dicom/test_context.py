"""Headers as scanners and archives really write them: each still gets its objects."""

from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from readings import Phantom, phantom_reading
from zweitblick.dicom.context import header
from zweitblick.dicom.seg import segmentation
from zweitblick.dicom.sr import structured_report
from zweitblick.errors import DamagedInstanceError
from zweitblick.reading import Reading

DIRTY = {
    "day zero": ("PatientBirthDate", b"00000000", ""),
    "no such day": ("PatientBirthDate", b"19990231", ""),
    "old format": ("PatientBirthDate", b"1961.04.02", "19610402"),
    "study day zero": ("StudyDate", b"00000000", ""),
    "no such hour": ("StudyTime", b"256199", ""),
    "two names": ("PatientName", b"Doe^Jane\\Roe^Jane", "Doe^Jane"),
    "two ids": ("PatientID", b"A1\\B2", "A1"),
    "long id": ("PatientID", b"9" * 80, "9" * 80),
    "long accession": ("AccessionNumber", b"ACCESSION-2026-000-111", "ACCESSION-2026-000-111"),
    "long study id": ("StudyID", b"STUDY-2026-000-111-222", "STUDY-2026-000-111-222"),
    "two physicians": ("ReferringPhysicianName", b"One^A\\Two^B", "One^A"),
}
"""Keyword, bytes written, value expected in the objects."""


def dirtied(folder: Path, keyword: str, content: bytes) -> None:
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        _put(dataset, keyword, content)
        dataset.save_as(path)


def _put(dataset: Dataset, keyword: str, content: bytes) -> None:
    """Put bytes that pydicom would not let pass as a value."""
    tag = Tag(tag_for_keyword(keyword) or 0)
    content += b" " * (len(content) % 2)
    dataset[tag] = RawDataElement(tag, dictionary_VR(tag), len(content), content, 0, False, True)


def objects(reading: Reading) -> list[Dataset]:
    """SEG and SR; a warning on the way would be an error."""
    seg = segmentation(reading)
    return [pydicom.dcmread(BytesIO(one)) for one in (seg, structured_report(reading, seg))]


@pytest.mark.filterwarnings("ignore:The value length")  # an identifier too long is kept: it names the patient
@pytest.mark.parametrize("case", DIRTY)
def test_dirty_patient_and_study_values_are_settled(tmp_path: Path, case: str) -> None:
    keyword, content, expected = DIRTY[case]
    reading = phantom_reading(tmp_path)
    dirtied(tmp_path, keyword, content)
    written = objects(reading)
    with pydicom.config.disable_value_validation():
        assert [str(dataset[keyword].value) for dataset in written] == [expected] * 2


@pytest.mark.parametrize("term", [b"ISO_IR 999", b"utf8", b"ISO_IR 100\\nonsense", b"\\ISO 2022 IR 999"])
def test_an_unknown_character_set_still_gives_objects_in_utf_8(tmp_path: Path, term: bytes) -> None:
    reading = phantom_reading(tmp_path)
    for path in tmp_path.iterdir():
        whole = path.read_bytes()
        at = whole.index(b"\x08\x00\x05\x00CS")
        value = term + b" " * (len(term) % 2)
        path.write_bytes(whole[: at + 6] + len(value).to_bytes(2, "little") + value + whole[at + 18 :])
    for dataset in objects(reading):
        assert dataset.SpecificCharacterSet == "ISO_IR 192"
        assert str(dataset.PatientName).startswith("Gr")
        assert dataset.PatientID == "ZB-0815"


@pytest.mark.parametrize("content", [b"thin", b"0", b"-5", b"", b"nan", b"5\\6"])
def test_slice_thickness_is_a_number(tmp_path: Path, content: bytes) -> None:
    reading = phantom_reading(tmp_path)
    dirtied(tmp_path, "SliceThickness", content)
    seg = objects(reading)[0]
    (measures,) = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    assert float(measures.SliceThickness) == 5.0  # that of the phantom


def test_slice_thickness_of_an_enhanced_image_is_a_number(tmp_path: Path) -> None:
    reading = phantom_reading(tmp_path, Phantom(enhanced=True))
    (path,) = tmp_path.iterdir()
    dataset = pydicom.dcmread(path)
    for group in (*dataset.SharedFunctionalGroupsSequence, *dataset.PerFrameFunctionalGroupsSequence):
        for measures in group.get("PixelMeasuresSequence", []):
            _put(measures, "SliceThickness", b"thin")
    dataset.save_as(path)
    (measures,) = objects(reading)[0].SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    assert float(measures.SliceThickness) == 5.0


def test_a_source_that_is_gone_is_named_without_its_path(tmp_path: Path) -> None:
    reading = phantom_reading(tmp_path)
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(DamagedInstanceError) as caught:
        header(reading.study.series[0].instances[0])
    assert str(tmp_path) not in str(caught.value)
