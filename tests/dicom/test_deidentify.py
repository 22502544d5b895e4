"""Nothing that tells of the patient is left, by our own search and a second tool's; what research needs stays."""

import io
import random
from datetime import UTC, datetime
from pathlib import Path

import dicognito.anonymizer
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from dicom_writer import StudyHeader, head, oblique, write_series
from zweitblick.cli import main
from zweitblick.dicom.deidentify import Action, Pseudonyms, deidentified
from zweitblick.dicom.header import quietly
from zweitblick.dicom.read import read_study
from zweitblick.dicom.stack import parts
from zweitblick.errors import DamagedInstanceError, NotDeidentifiableError
from zweitblick.volume import Volume

KEY = bytes(range(32))
SECRETS = ("Kowalczyk", "Wilhelmine", "PID-77120453", "ACC-90155512", "Klinikum Nord", "19610402", "Dr.Hausarzt")
DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")


def identify(data: Dataset, _k: int = 0) -> None:
    """Write the secrets wherever scanners and PACS do: headers, sequences, private elements, overlays."""
    data.PatientName, data.PatientID, data.AccessionNumber = "Kowalczyk^Wilhelmine", "PID-77120453", "ACC-90155512"
    data.PatientBirthDate, data.InstitutionName = "19610402", "Klinikum Nord"
    data.ReferringPhysicianName = "Dr.Hausarzt"
    data.PatientComments = data.ImageComments = data.SeriesDescription = "Kowalczyk 19610402"
    request = Dataset()
    request.RequestedProcedureDescription = "Wilhelmine"
    request.AccessionNumber = "ACC-90155512"
    data.RequestAttributesSequence = [request]
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99X", "MR"
    inner = Dataset()
    inner.ReferencedSOPClassUID, inner.ReferencedSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
    inner.PurposeOfReferenceCodeSequence = [code]
    data.ReferencedImageSequence = [inner]
    data.private_block(0x0029, "VENDOR CSA", create=True).add_new(0x10, "LO", "Kowalczyk")
    data.add_new(0x60003000, "OW", b"Kowalczyk!")
    data.add_new(0x60000022, "LO", "Kowalczyk")
    data.StudyDate = data.SeriesDate = data.AcquisitionDate = data.ContentDate = "20260301"
    data.AcquisitionDateTime = "20260301101500.25+0100"


def volume() -> Volume:
    return Volume(head(), oblique((8, 14, 12)))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("series")
    return write_series(folder, volume(), change=identify)[0].read_bytes()


@pytest.fixture(scope="module")
def before(file: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(file))


@pytest.fixture(scope="module")
def after(file: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(deidentified(file, Pseudonyms(KEY)).file))


def values(dataset: Dataset) -> dict[tuple[str, ...], object]:
    """Every value by its path."""
    found: dict[tuple[str, ...], object] = {}
    for element in dataset:
        if element.VR == "SQ":
            for number, nested in enumerate(element.value):
                found |= {(str(element.tag), str(number), *path): value for path, value in values(nested).items()}
        else:
            found[str(element.tag),] = element.value
    return found


def test_no_secret_is_left_anywhere(file: bytes) -> None:
    made = deidentified(file, Pseudonyms(KEY)).file
    for secret in SECRETS:
        assert secret.encode() in file
        assert secret.encode() not in made


def test_what_a_second_tool_changes_is_changed_here_too(file: bytes, before: Dataset, after: Dataset) -> None:
    other = pydicom.dcmread(io.BytesIO(file))
    dicognito.anonymizer.Anonymizer(seed="a").anonymize(other)
    was, theirs, ours = values(before), values(other), values(after)
    concerned = {path for path, value in was.items() if value and theirs.get(path) != value}
    assert len(concerned) > 10
    kept = {keyword_of(path[-1]) for path in concerned if ours.get(path) == was[path]}
    assert kept <= {"StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime"}


def keyword_of(tag: str) -> str:
    return pydicom.datadict.keyword_for_tag(int(tag.strip("()").replace(",", ""), 16))


def test_images_and_geometry_stay(before: Dataset, after: Dataset) -> None:
    np.testing.assert_array_equal(after.pixel_array, before.pixel_array)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "EchoTime", "RepetitionTime"):
        assert after[keyword].value == before[keyword].value
    assert after.SOPClassUID == before.SOPClassUID
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID != before.SOPInstanceUID


def test_it_says_what_was_done(after: Dataset) -> None:
    assert (after.PatientIdentityRemoved, after.LongitudinalTemporalInformationModified) == ("YES", "MODIFIED")
    assert after.RecognizableVisualFeatures == "YES"
    codes = {code.CodeValue for code in after.DeidentificationMethodCodeSequence}
    assert codes == {"113100", "113101", "113107"}


def test_dates_of_a_patient_move_together_and_times_stay(before: Dataset, after: Dataset) -> None:
    [shift] = {day(before[name].value) - day(after[name].value) for name in DATES}
    assert shift == Pseudonyms(KEY).shift("PID-77120453")
    assert 1 <= shift.days <= 3650
    assert after.AcquisitionDateTime[8:] == before.AcquisitionDateTime[8:]
    assert after.StudyTime == before.StudyTime


@pytest.mark.parametrize("patient_id", [None, "", "  "])
def test_patients_without_an_id_are_told_apart_by_study(file: bytes, patient_id: str | None) -> None:
    def made(study: str, series: str) -> Dataset:
        dataset = pydicom.dcmread(io.BytesIO(file))
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        if patient_id is None:
            del dataset.PatientID
        else:
            dataset.PatientID = patient_id
        buffer = io.BytesIO()
        dataset.save_as(buffer)
        return pydicom.dcmread(io.BytesIO(deidentified(buffer.getvalue(), Pseudonyms(KEY)).file))

    one, same, other = made("1.2.1", "1.2.1.1"), made("1.2.1", "1.2.1.2"), made("1.2.2", "1.2.2.1")
    assert one.PatientID == one.PatientName == same.PatientID
    assert one.PatientID.startswith("ZB-")
    assert one.StudyDate == same.StudyDate
    assert other.PatientID != one.PatientID
    assert other.StudyDate != one.StudyDate


def day(written: str) -> datetime:
    return datetime.strptime(written, "%Y%m%d").replace(tzinfo=UTC)


def test_a_reference_still_names_what_it_named(after: Dataset) -> None:
    assert after.ReferencedImageSequence[0].ReferencedSOPInstanceUID == after.SOPInstanceUID


def test_a_series_is_still_a_volume(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "series", volume(), change=identify)
    made = [deidentified(path.read_bytes(), Pseudonyms(KEY)).file for path in paths]
    [series] = read_study(made).series
    [part] = parts(series)
    assert part is not None
    assert len(series.frames) == len(paths)


@given(st.binary(min_size=32, max_size=32), st.text(max_size=20), st.text(max_size=20))
def test_pseudonyms_are_consistent_and_part_what_is_different(key: bytes, one: str, other: str) -> None:
    pseudonyms, again = Pseudonyms(key), Pseudonyms(key)
    assert pseudonyms.patient(one) == again.patient(one)
    assert (pseudonyms.patient(one) == pseudonyms.patient(other)) == (one == other)
    assert (pseudonyms.uid(one) == pseudonyms.uid(other)) == (one == other)
    assert pydicom.uid.UID(pseudonyms.uid(one)).is_valid
    assert key.hex() not in repr(pseudonyms)


@pytest.mark.parametrize(
    "change",
    [
        {"BurnedInAnnotation": "YES"},
        {"ImageType": ["DERIVED", "SECONDARY"]},
        {"ConversionType": "WSD"},
        {"SOPClassUID": pydicom.uid.SecondaryCaptureImageStorage},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_may_have_names_burnt_in_is_left_out(file: bytes, change: dict[str, object]) -> None:
    data = pydicom.dcmread(io.BytesIO(file))
    for keyword, value in change.items():
        setattr(data, keyword, value)
    buffer = io.BytesIO()
    data.save_as(buffer)
    with pytest.raises(NotDeidentifiableError):
        deidentified(buffer.getvalue(), Pseudonyms(KEY))


@given(st.data())
def test_a_damaged_file_is_written_whole_or_left_out(file: bytes, draws: st.DataObject) -> None:
    place = draws.draw(st.integers(0, len(file) - 1))
    damaged = bytearray(file)
    damaged[place] ^= 1 << draws.draw(st.integers(0, 7))
    try:
        made = deidentified(bytes(damaged), Pseudonyms(KEY)).file
    except (DamagedInstanceError, NotDeidentifiableError):
        return
    with quietly():
        assert pydicom.dcmread(io.BytesIO(made)).PatientIdentityRemoved == "YES"


def test_attributes_that_the_standard_does_not_know_are_removed(file: bytes) -> None:
    data = pydicom.dcmread(io.BytesIO(file))
    data.add_new(0x00080FFE, "LO", "Kowalczyk")
    buffer = io.BytesIO()
    data.save_as(buffer)
    assert b"Kowalczyk" not in deidentified(buffer.getvalue(), Pseudonyms(KEY)).file


def test_every_change_is_counted_by_name_alone(file: bytes) -> None:
    changed = deidentified(file, Pseudonyms(KEY)).changed
    assert changed["AccessionNumber", Action.EMPTIED] == 1
    assert changed["PatientComments", Action.REMOVED] == 1
    assert not any(secret in str(changed) for secret in SECRETS)


def test_the_command_writes_images_and_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_series(tmp_path / "study" / "one", volume(), change=identify)
    (tmp_path / "study" / "note.txt").write_bytes(random.Random(1).randbytes(200))  # noqa: S311 - a file of no kind
    out, key = tmp_path / "out", tmp_path / "key"
    faces = "--keep-faces"
    assert main(["deidentify", str(tmp_path / "study"), "--out", str(out), "--key", str(key), faces]) == 0
    assert key.stat().st_mode & 0o777 == 0o600
    report = (out / "report.json").read_text()
    images = list(out.rglob("*.dcm"))
    assert f"{len(images)} images" in capsys.readouterr().out
    assert not any(secret in report or secret in str(images) for secret in SECRETS)
    assert (
        main(["deidentify", str(tmp_path / "study"), "--out", str(tmp_path / "again"), "--key", str(key), faces]) == 0
    )
    assert {path.name for path in images} == {path.name for path in (tmp_path / "again").rglob("*.dcm")}


def test_a_key_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key").write_bytes(b"short")
    write_series(tmp_path / "study", volume(), study=StudyHeader())
    arguments = ["deidentify", str(tmp_path / "study"), "--out", str(tmp_path / "out"), "--key", str(tmp_path / "key")]
    assert main(arguments) == 3
    assert "--key" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
