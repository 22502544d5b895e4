"""Which earlier readings the options of ``zweitblick read`` name, and what is refused before any network runs."""

import argparse
import io
from pathlib import Path

import pydicom
import pytest

from readings import STUDY_UID, phantom_reading
from zweitblick.cli import main, parser
from zweitblick.cli.earlier import opened_prior
from zweitblick.cli.read import files_of
from zweitblick.dicom.stack import stack
from zweitblick.documents import documents
from zweitblick.errors import PriorMismatchError, PriorOrderError, PriorPatientError, SourceMissingError
from zweitblick.prior import Prior, Role
from zweitblick.study import Sequence

Folders = dict[str, Path]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """The phantom's images and results, and results of other days and another patient."""
    room = tmp_path_factory.mktemp("earlier")
    (room / "study").mkdir()
    files = files_of(documents(phantom_reading(room / "study")))
    variants = {
        "results": {},
        "january": {"StudyInstanceUID": "1.2.1", "StudyDate": "20260105"},
        "march": {"StudyInstanceUID": "1.2.3", "StudyDate": "20260301"},
        "later": {"StudyInstanceUID": "1.2.9", "StudyDate": "20261201"},
        "other": {"StudyInstanceUID": "1.2.8", "StudyDate": "20260105", "PatientID": "SOMEBODY"},
    }
    for name, attributes in variants.items():
        write(room / name, files, attributes)
    return {path.name: path for path in room.iterdir()}


def write(folder: Path, files: dict[str, bytes], attributes: dict[str, str]) -> None:
    folder.mkdir()
    dataset = pydicom.dcmread(io.BytesIO(files["segmentation.dcm"]))
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(folder / "segmentation.dcm", enforce_file_format=True)
    uid = attributes.get("StudyInstanceUID", STUDY_UID)
    findings = files["findings.json"].replace(f'"{STUDY_UID}"'.encode(), f'"{uid}"'.encode())
    (folder / "findings.json").write_bytes(findings)


def parsed(*options: str | Path) -> argparse.Namespace:
    return parser().parse_args(["read", "STUDY", "--out", "OUT", *map(str, options)])


def named(*options: str | Path) -> Prior | None:
    with opened_prior(parsed(*options)) as prior:
        return prior


def test_without_options_there_is_no_prior() -> None:
    assert named() is None


def test_a_folder_of_results_is_a_prior_without_images(folders: Folders) -> None:
    prior = named("--prior", folders["results"])
    assert prior.timepoint.study_uid == STUDY_UID
    assert prior.labels.voxels.any()
    assert (prior.images, prior.course) == ({}, ())


def test_its_images_can_be_decoded_while_they_are_open(folders: Folders) -> None:
    with opened_prior(parsed("--prior", folders["results"], "--prior-study", folders["study"])) as prior:
        assert stack(prior.images[Sequence.FLAIR].part).voxels.any()


def test_baseline_and_readings_since_are_the_course(folders: Folders) -> None:
    options = ("--baseline", folders["january"], "--since", folders["march"], "--since", folders["results"])
    prior = named("--prior", folders["results"], *options)
    assert {(one.study_uid, one.role) for one in prior.course} == {
        ("1.2.1", Role.BASELINE),
        ("1.2.3", Role.FOLLOW_UP),
        (STUDY_UID, Role.FOLLOW_UP),
    }


def test_the_prior_itself_may_be_the_baseline(folders: Folders) -> None:
    prior = named("--prior", folders["results"], "--baseline", folders["results"], "--since", folders["results"])
    assert [(one.study_uid, one.role) for one in prior.course] == [(STUDY_UID, Role.BASELINE)]


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        (["--prior", "nowhere"], SourceMissingError),
        (["--prior", "study"], SourceMissingError),
        (["--prior", "january", "--prior-study", "study"], PriorMismatchError),
        (["--prior", "results", "--baseline", "later"], PriorOrderError),
        (["--prior", "results", "--baseline", "other"], PriorPatientError),
    ],
    ids=str,
)
def test_what_does_not_belong_together_is_refused(
    folders: Folders, options: list[str], refused: type[Exception]
) -> None:
    paths = [one if one.startswith("--") else str(folders.get(one, Path(one))) for one in options]
    with pytest.raises(refused):
        named(*paths)


@pytest.mark.parametrize(
    "options",
    [
        ["--prior-study", "x"],
        ["--baseline", "x"],
        ["--since", "x"],
        ["--prior", "x", "--since", "x"],
    ],
    ids=str,
)
def test_options_that_lack_another_are_wrong_usage(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        named(*options)
    assert stopped.value.code == 2
    assert "need" in capsys.readouterr().err


def test_a_refusal_is_one_line_and_writes_nothing(
    folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["read", folders["study"], "--out", tmp_path / "out", "--prior", folders["other"]]
    assert main([*map(str, command)]) == 3
    said = capsys.readouterr().err
    assert said.startswith("error: prior.other-patient: Patient ID (0010,0020) of the earlier study differs")
    assert said.count("\n") == 1
    assert "SOMEBODY" not in said
    assert not (tmp_path / "out").exists()
