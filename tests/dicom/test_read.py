"""Files to a Study: what is kept, what is set aside, what is refused."""

import datetime as dt
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ImplicitVRLittleEndian

from dicom_writer import StudyHeader, head, oblique, write, write_enhanced, write_series
from zweitblick.dicom.read import read_study
from zweitblick.dicom.stack import parts, stack
from zweitblick.errors import MixedPatientsError, MixedStudiesError, NoDicomError
from zweitblick.study import Sequence, Study
from zweitblick.volume import Volume

SHAPE = (4, 6, 5)


def _volume(seed: int = 0) -> Volume:
    return Volume(head(SHAPE, seed=seed), oblique(SHAPE))


def _study(folder: Path) -> Study:
    return read_study(sorted(path for path in folder.rglob("*") if path.is_file()))


def test_headers_become_nouns(tmp_path: Path) -> None:
    write_series(tmp_path, _volume(), number=7, description="FLAIR tra", sequence=Sequence.FLAIR, acquired_at="103000")
    study = _study(tmp_path)
    assert (study.patient.name, study.patient.id, study.patient.sex) == ("Muster^Erika", "PAT-0001", "F")
    assert (study.patient.birth_date, study.patient.age_years) == (dt.date(1960, 1, 2), 62.0)
    assert study.started_at == dt.datetime(2022, 3, 4, 10, 15)  # noqa: DTZ001  # DICOM times have no zone
    [series] = study.series
    assert (series.number, series.description, series.modality, series.body_part) == (7, "FLAIR tra", "MR", "HEAD")
    assert series.acquired_at == dt.datetime(2022, 3, 4, 10, 30)  # noqa: DTZ001  # DICOM times have no zone
    physics = series.physics
    assert (physics.repetition_time_ms, physics.echo_time_ms, physics.inversion_time_ms) == (9000.0, 120.0, 2500.0)
    assert (physics.flip_angle_deg, physics.echo_train_length, physics.field_strength_t) == (150.0, 15, 1.5)
    assert physics.scanning_sequence == ("SE", "IR")
    assert len(series.instances) == len(series.frames) == SHAPE[0]


def test_a_contrast_agent_is_read(tmp_path: Path) -> None:
    write_series(tmp_path, _volume(), sequence=Sequence.T1C)
    assert _study(tmp_path).series[0].physics.contrast_agent == "Gadobutrol"


def test_an_enhanced_header_says_the_same_in_other_words(tmp_path: Path) -> None:
    def change(data: Dataset, _k: int) -> None:
        del data.ScanningSequence
        data.EchoPulseSequence = "SPIN"
        shared = data.SharedFunctionalGroupsSequence[0]
        modifier = Dataset()
        modifier.InversionRecovery = "YES"
        modifier.InversionTimes = [2500.0]
        shared.MRModifierSequence = [modifier]

    write_enhanced(tmp_path / "a.dcm", [_volume()], echo_times=(110.0,), change=change)
    physics = _study(tmp_path).series[0].physics
    assert (physics.repetition_time_ms, physics.echo_time_ms, physics.inversion_time_ms) == (550.0, 110.0, 2500.0)
    assert physics.scanning_sequence == ("SE", "IR")


@pytest.mark.parametrize(
    ("creator", "element"),
    [
        ((0x00190010, "LO", "SIEMENS MR HEADER"), (0x0019100C, "IS", "1000")),
        ((0x00430010, "LO", "GEMS_PARM_01"), (0x00431039, "IS", ["1000001000", "8", "0", "0"])),
        ((0x20010010, "LO", "Philips Imaging DD 001"), (0x20011003, "FL", 1000.0)),
    ],
)
def test_b_values_of_vendors(tmp_path: Path, creator: tuple[int, str, str], element: tuple[int, str, object]) -> None:
    def change(data: Dataset, _k: int) -> None:
        data.add_new(*creator)
        data.add_new(*element)

    write_series(tmp_path, _volume(), change=change)
    assert _study(tmp_path).series[0].physics.b_value == 1000.0


def test_series_are_sorted_by_number(tmp_path: Path) -> None:
    for number in (12, 3, 5):
        write_series(tmp_path, _volume(), number=number)
    assert [series.number for series in _study(tmp_path).series] == [3, 5, 12]


def test_files_that_are_no_instances_are_set_aside_by_number(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "b", _volume())
    bad = tmp_path / "a"
    bad.mkdir()
    (bad / "0_Muster_Erika").write_bytes(b"")
    (bad / "1.txt").write_text("a letter about Erika Muster " * 20)
    (bad / "2.dcm").write_bytes(paths[0].read_bytes()[:200])
    (bad / "3.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(500))
    study = _study(tmp_path)
    assert list(study.unreadable) == ["file 1", "file 2", "file 3", "file 4"]
    assert study.unreadable["file 1"] == "the file is empty"
    assert "Muster" not in str(dict(study.unreadable))
    assert len(study.series[0].instances) == SHAPE[0]


def test_no_instance_at_all(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("no DICOM")
    with pytest.raises(NoDicomError, match="1 files"):
        _study(tmp_path)
    with pytest.raises(NoDicomError):
        read_study([])


def test_a_data_set_without_preamble_and_meta_header_is_read(tmp_path: Path) -> None:
    for path in write_series(tmp_path, _volume(), transfer_syntax=ImplicitVRLittleEndian):
        data = dcmread(path)
        data.preamble = None
        del data.file_meta
        data.save_as(path, implicit_vr=True, little_endian=True)
        assert path.read_bytes()[128:132] != b"DICM"
    [series] = _study(tmp_path).series
    assert np.array_equal(stack(parts(series)[0]).voxels, _volume().voxels)


def test_a_directory_of_a_medium_is_passed_over(tmp_path: Path) -> None:
    write_series(tmp_path, _volume())
    directory = Dataset()
    directory.SOPClassUID = "1.2.840.10008.1.3.10"
    directory.SOPInstanceUID = "2.25.1"
    write(tmp_path / "DICOMDIR", directory)
    study = _study(tmp_path)
    assert not study.unreadable
    assert len(study.series[0].instances) == SHAPE[0]


def test_copies_count_once(tmp_path: Path) -> None:
    for path in write_series(tmp_path / "a", _volume()):
        shutil.copy(path, tmp_path / f"copy of {path.name}")
    assert len(_study(tmp_path).series[0].instances) == SHAPE[0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (StudyHeader(), StudyHeader(patient_id="PAT-0002")),
        (StudyHeader(), StudyHeader(patient_name="Beispiel^Hans")),
        (StudyHeader(), StudyHeader(birth_date="19610102")),
    ],
)
def test_two_patients_are_refused_without_naming_them(tmp_path: Path, one: StudyHeader, other: StudyHeader) -> None:
    write_series(tmp_path / "a", _volume(), study=one)
    write_series(tmp_path / "b", _volume(), study=other, number=2)
    with pytest.raises(MixedPatientsError) as caught:
        _study(tmp_path)
    for secret in ("Muster", "Beispiel", "PAT-", "1960"):
        assert secret not in str(caught.value)


def test_one_patient_written_two_ways_is_one(tmp_path: Path) -> None:
    write_series(tmp_path / "a", _volume())
    write_series(tmp_path / "b", _volume(), study=StudyHeader(patient_name="MUSTER^ERIKA^^"), number=2)
    write_series(tmp_path / "c", _volume(), study=StudyHeader(birth_date=""), number=3)
    assert len(_study(tmp_path).series) == 3


def test_two_studies_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "a", _volume(), study=StudyHeader(seed="one"))
    write_series(tmp_path / "b", _volume(), study=StudyHeader(seed="two"))
    with pytest.raises(MixedStudiesError, match="2 studies"):
        _study(tmp_path)


def test_nothing_of_the_patient_is_logged_or_warned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Invalid values make pydicom warn with the value itself; filterwarnings = error would raise here."""
    write_series(tmp_path, _volume())
    for path in tmp_path.iterdir():
        raw = path.read_bytes().replace(b"19600102", b"Muster\\x").replace(b"062Y", b"Erik")
        path.write_bytes(raw)
    with caplog.at_level(logging.DEBUG):
        study = _study(tmp_path)
        assert study.patient.birth_date is None
        assert study.patient.age_years is None
        stack(parts(study.series[0])[0])
    assert "Muster" not in caplog.text
    assert "Erik" not in caplog.text
    assert "Muster" not in repr(study)


def test_a_log_line_of_pydicom_outside_our_reading_is_still_heard(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_series(tmp_path, _volume())
    _study(tmp_path)
    logging.getLogger("pydicom").warning("heard")
    assert "heard" in caplog.text
