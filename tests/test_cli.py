"""The command line from outside: what it prints, what it writes, and that a refusal leaves nothing behind."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

import cli_study
import zweitblick.report
from sigint import HEEDING_SIGINT
from zweitblick.cli import main
from zweitblick.cli.output import write_files, write_folder
from zweitblick.errors import OutputError
from zweitblick.model.bundle import default_models
from zweitblick.reading import RESEARCH_USE
from zweitblick.sample import SampleTruth

SCHEMA = Path(zweitblick.report.__file__).with_name("findings.schema.json")
RESULTS = {"findings.json", "fhir.json", "segmentation.dcm", "report.dcm", "report.pdf", "report-pdf.dcm"}
PROGRAM = [sys.executable, "-m", "zweitblick"]


@dataclass(frozen=True)
class Run:
    """One finished run of the program."""

    out: Path
    stdout: str
    stderr: str
    code: int


def run(*arguments: str | Path) -> Run:
    done = subprocess.run([*PROGRAM, *map(str, arguments)], capture_output=True, text=True, check=False)
    out = Path(arguments[arguments.index("--out") + 1]) if "--out" in arguments else Path()
    return Run(out, done.stdout, done.stderr, done.returncode)


@pytest.fixture(scope="module")
def study(sample: SampleTruth) -> Path:
    return next(iter(sample.series.values())).folder.parent


@pytest.fixture(scope="module")
def json_run(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A folder, read with every result asked for."""
    return run("read", study, "--out", tmp_path_factory.mktemp("json") / "out", "--json", "--secondary-capture")


@pytest.fixture(scope="module")
def zip_run(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same study as a zip archive, read over an earlier reading."""
    room = tmp_path_factory.mktemp("zip")
    an_earlier_reading(room)
    archive = cli_study.zipped(study, room / "study.zip")
    return run("read", archive, "--out", room / "out", "--overwrite", "--timings")


def test_json_is_all_that_is_printed_and_the_file_too(json_run: Run) -> None:
    assert (json_run.code, json_run.stderr) == (0, "")
    assert json_run.stdout == (json_run.out / "findings.json").read_text()
    jsonschema.validate(json.loads(json_run.stdout), json.loads(SCHEMA.read_text()))


def test_results_are_complete_and_nothing_else_is_left(json_run: Run) -> None:
    assert {path.name for path in json_run.out.iterdir()} == RESULTS | {"capture"}
    assert [path.name for path in json_run.out.parent.iterdir()] == ["out"]
    frames = pydicom.dcmread(json_run.out / "segmentation.dcm").PerFrameFunctionalGroupsSequence
    outlined = {tuple(frame.PlanePositionSequence[0].ImagePositionPatient) for frame in frames}
    assert len(list((json_run.out / "capture").iterdir())) == len(outlined)


@pytest.mark.parametrize(
    ("name", "sop_class"),
    [
        ("segmentation.dcm", pydicom.uid.SegmentationStorage),
        ("report.dcm", pydicom.uid.Comprehensive3DSRStorage),
        ("report-pdf.dcm", pydicom.uid.EncapsulatedPDFStorage),
        ("capture/001.dcm", pydicom.uid.SecondaryCaptureImageStorage),
    ],
)
def test_objects_belong_to_the_patient_and_study(json_run: Run, study: Path, name: str, sop_class: str) -> None:
    ours, theirs = pydicom.dcmread(json_run.out / name), pydicom.dcmread(cli_study.files(study)[0])
    assert ours.SOPClassUID == sop_class
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID"):
        assert ours[keyword].value == theirs[keyword].value


def test_encapsulated_pdf_is_the_pdf(json_run: Run) -> None:
    page = (json_run.out / "report.pdf").read_bytes()
    assert page.startswith(b"%PDF-")
    assert pydicom.dcmread(json_run.out / "report-pdf.dcm").EncapsulatedDocument.rstrip(b"\0") == page.rstrip(b"\0")


def test_the_lesion_is_found_where_it_was_drawn(json_run: Run, sample: SampleTruth) -> None:
    lesion = json.loads(json_run.stdout)["findings"]["lesions"][0]
    assert lesion["side"] == sample.side
    np.testing.assert_allclose(lesion["center_lps_mm"], sample.center_lps, atol=15.0)


def test_table_names_findings_choices_and_files(zip_run: Run, json_run: Run) -> None:
    assert zip_run.code == 0
    findings = json.loads(json_run.stdout)["findings"]
    assert findings["statement"] in zip_run.stdout
    for sequence in ("T1", "T1c", "T2", "FLAIR"):
        assert re.search(rf"^ +{sequence} +\d", zip_run.stdout, re.MULTILINE)
    for name in RESULTS:
        assert str(zip_run.out / name) in zip_run.stdout
    assert zip_run.stdout.count(RESEARCH_USE) == 1
    assert "network" in zip_run.stderr  # the timings
    for name in ("tumour", "brain-mask", "sequence"):
        assert re.search(
            rf"^{name} [0-9.]+: .*(OpenVINO|ONNX Runtime) \d.*(fp32|bf16|int8)$", zip_run.stderr, re.MULTILINE
        )


def test_terminal_shows_no_patient_data(zip_run: Run, study: Path) -> None:
    dataset = pydicom.dcmread(cli_study.files(study)[0])
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "AccessionNumber", "SeriesDescription"):
        value = str(dataset.get(keyword, ""))
        assert not value or value not in zip_run.stdout.replace(str(zip_run.out), "")


def test_zip_and_folder_give_the_same_findings(zip_run: Run, json_run: Run) -> None:
    by_zip, by_folder = (json.loads((each.out / "findings.json").read_text()) for each in (zip_run, json_run))
    assert by_zip["findings"] == by_folder["findings"]
    assert by_zip["sequences"] == by_folder["sequences"]


def refused(capfd: pytest.CaptureFixture[str], room: Path, *arguments: str | Path) -> str:
    """Run, check the manners of a refusal, return its code."""
    before = sorted(room.rglob("*"))
    assert main([str(argument) for argument in arguments]) == 3
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert sorted(room.rglob("*")) == before
    error, code, message = printed.err.split(": ", 2)
    assert error == "error"
    assert message.strip()
    return code


@pytest.mark.parametrize("make", cli_study.REFUSED, ids=lambda make: make.__name__)
def test_bad_studies_are_refused(
    make: Callable[[Path, Path], Path], study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = make(study, tmp_path)
    assert refused(capfd, tmp_path, "read", source, "--out", tmp_path / "out") == cli_study.REFUSED[make]


def a_file(room: Path) -> Path:
    (room / "out").write_text("mine")
    return room / "out"


def a_full_folder(room: Path) -> Path:
    (room / "out").mkdir()
    (room / "out" / "thesis.tex").write_text("mine")
    return room / "out"


def an_earlier_reading(room: Path) -> Path:
    (room / "out" / "capture").mkdir(parents=True)
    for name in ("findings.json", "report.pdf", "capture/001.dcm"):
        (room / "out" / name).write_text("{}")
    return room / "out"


def a_reading_among_other_files(room: Path) -> Path:
    (an_earlier_reading(room) / "thesis.tex").write_text("mine")
    return room / "out"


def a_capture_folder_with_other_files(room: Path) -> Path:
    (an_earlier_reading(room) / "capture" / "notes.txt").write_text("mine")
    return room / "out"


def a_link(room: Path) -> Path:
    (room / "elsewhere").mkdir()
    (room / "out").symlink_to(room / "elsewhere")
    return room / "out"


def below_nothing(room: Path) -> Path:
    return room / "nowhere" / "out"


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]], ids=["plain", "overwrite"])
@pytest.mark.parametrize(
    "make",
    [a_file, a_full_folder, a_reading_among_other_files, a_capture_folder_with_other_files, a_link, below_nothing],
    ids=lambda make: make.__name__,
)
def test_what_is_in_the_way_is_never_replaced(
    make: Callable[[Path], Path], overwrite: list[str], study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = make(tmp_path)
    assert refused(capfd, tmp_path, "read", study, "--out", out, *overwrite) == "output.not-writable"


def test_an_earlier_reading_stays_unless_told_otherwise(
    study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert refused(capfd, tmp_path, "read", study, "--out", an_earlier_reading(tmp_path)) == "output.not-writable"


def test_an_earlier_reading_is_replaced_whole(zip_run: Run) -> None:
    assert {path.name for path in zip_run.out.iterdir()} == RESULTS
    assert sorted(path.name for path in zip_run.out.parent.iterdir()) == ["out", "study.zip"]


TOO_LONG = "x" * 300
"""No file system takes this name: a disk error half-way."""


@pytest.mark.parametrize("earlier", [{}, {"findings.json": "{}", "report.pdf": "mine"}], ids=["new", "overwrite"])
def test_a_disk_error_half_way_leaves_what_was_there(tmp_path: Path, earlier: dict[str, str]) -> None:
    out = tmp_path / "out"
    for name, text in earlier.items():
        out.mkdir(exist_ok=True)
        (out / name).write_text(text)
    with pytest.raises(OutputError, match="File name too long"):
        write_folder(out, {"findings.json": b"new", TOO_LONG: b""}, overwrite=bool(earlier))
    assert {path.name: path.read_text() for path in tmp_path.glob("out/*")} == earlier
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if earlier else [])


def test_of_two_files_none_is_written_if_one_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="File name too long"):
        write_files({tmp_path / "labels.nii": b"new", tmp_path / TOO_LONG: b""})
    assert not any(tmp_path.iterdir())


def test_damaged_bundles_are_named(study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    models = Path(shutil.copytree(default_models(), tmp_path / "models"))
    network = bytearray((models / "tumour" / "models" / "model.onnx").read_bytes())
    network[len(network) // 2] ^= 1
    (models / "tumour" / "models" / "model.onnx").write_bytes(network)
    options = ("--out", tmp_path / "out", "--models", models)
    assert refused(capfd, tmp_path, "read", study, *options) == "bundle.damaged"


def test_missing_bundles_are_named(study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "models").mkdir()
    options = ("--out", tmp_path / "out", "--models", tmp_path / "models")
    assert refused(capfd, tmp_path, "read", study, *options) == "bundle.missing"


@pytest.fixture(scope="module")
def images(study: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The study as NIfTI, made by SimpleITK."""
    room = tmp_path_factory.mktemp("nifti")
    for name in ("T1", "T1c", "T2", "FLAIR"):
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(study / name)))
        sitk.WriteImage(reader.Execute(), room / f"{name}.nii.gz")
    return {name: room / f"{name}.nii.gz" for name in ("T1", "T1c", "T2", "FLAIR")}


@pytest.fixture(scope="module")
def segmented(images: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """FLAIR first, so the result lies on its grid."""
    out = tmp_path_factory.mktemp("segment") / "labels.nii.gz"
    options = ("--flair", images["FLAIR"], "--t1c", images["T1c"], "--out", out)
    return run("segment", *options, "--probabilities", out.with_name("probabilities.nii"))


def test_labels_lie_on_the_first_images_grid(segmented: Run, images: dict[str, Path]) -> None:
    assert (segmented.code, segmented.stderr) == (0, "")
    given, written = nib.load(images["FLAIR"]), nib.load(segmented.out)
    assert written.shape == given.shape
    assert written.affine.tobytes() == given.affine.tobytes()
    for name in ("qform_code", "sform_code"):
        assert written.header[name] == given.header[name]
    assert written.get_data_dtype() == np.uint8
    assert set(np.unique(written.dataobj)) <= {0, 1, 2, 3}


def test_labels_are_the_thresholded_probabilities(segmented: Run) -> None:
    labels = np.asarray(nib.load(segmented.out).dataobj)
    et, tc, wt = np.moveaxis(nib.load(segmented.out.with_name("probabilities.nii")).get_fdata(), -1, 0) >= 0.5
    np.testing.assert_array_equal(labels == 3, et)
    np.testing.assert_array_equal(np.isin(labels, (1, 3)), tc)
    np.testing.assert_array_equal(labels > 0, wt)


def test_labels_cover_the_lesion_that_was_drawn(segmented: Run, sample: SampleTruth) -> None:
    labels = sitk.GetArrayFromImage(sitk.ReadImage(segmented.out)) > 0
    grid = next(series for name, series in sample.series.items() if name == "FLAIR").grid
    drawn = sample.labels.resampled(grid, order=0).voxels > 0
    assert 2 * (labels & drawn).sum() / (labels.sum() + drawn.sum()) > 0.5


def test_the_first_image_may_be_in_another_head_position(
    images: dict[str, Path], segmented: Run, tmp_path: Path
) -> None:
    flair = nib.load(images["FLAIR"])
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_euler("xyz", [4.0, -3.0, 5.0], degrees=True).as_matrix()
    motion[:3, 3] = (12.0, -7.0, 9.0)
    nib.save(nib.Nifti1Image(np.asarray(flair.dataobj), motion @ flair.affine), tmp_path / "moved.nii")
    out = tmp_path / "labels.nii"
    done = run("segment", "--flair", tmp_path / "moved.nii", "--t1c", images["T1c"], "--out", out)
    assert (done.code, done.stderr) == (0, "")
    moved, still = (np.asarray(nib.load(path).dataobj) > 0 for path in (out, segmented.out))
    assert 2 * (moved & still).sum() / (moved.sum() + still.sum()) > 0.85


def test_segment_refuses(images: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    t1c, out = images["T1c"], tmp_path / "labels.nii.gz"
    (tmp_path / "text.nii").write_text("no image")
    (tmp_path / "taken.nii").write_text("mine")
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4, 2), np.float32), np.eye(4)), tmp_path / "four.nii")
    cases = {
        ("--t1c", tmp_path / "nowhere.nii", "-o", out): "source.missing",
        ("--t1c", tmp_path / "text.nii", "-o", out): "source.nifti",
        ("--t1c", tmp_path / "four.nii", "-o", out): "source.nifti",
        ("--t1", images["T1"], "-o", out): "study.missing-sequence",
        ("--t1c", t1c, "-o", tmp_path / "labels.png"): "output.not-writable",
        ("--t1c", t1c, "-o", tmp_path / "taken.nii"): "output.not-writable",
        ("--t1c", t1c, "-o", tmp_path / "nowhere" / "labels.nii"): "output.not-writable",
        ("--t1c", t1c, "-o", t1c, "--overwrite"): "output.not-writable",
        ("--t1c", t1c, "-o", out, "--probabilities", out): "output.not-writable",
    }
    assert {case: refused(capfd, tmp_path, "segment", *case) for case in cases} == cases


def test_sample_refuses_a_full_folder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert refused(capfd, tmp_path, "sample", a_full_folder(tmp_path)) == "output.not-writable"


def test_sample_of_a_healthy_head(study: Path, tmp_path: Path) -> None:
    done = run("sample", tmp_path / "healthy", "--seed", "3", "--no-lesion")
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path / 'healthy'}: a head without lesion\n"
    assert len(cli_study.files(tmp_path / "healthy")) == len(cli_study.files(study))


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for children there")
def test_interrupted_sample_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HEEDING_SIGINT, *PROGRAM, "sample", tmp_path / "out"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not any(tmp_path.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        stderr = process.communicate(timeout=60)[1]
    assert (process.returncode, stderr) == (130, "error: interrupted: nothing was written\n")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["read"],
        ["read", "study"],
        ["segment", "-o", "out.nii"],
        ["segment", "--t1c", "a.nii", "--t1c", "b.nii", "-o", "out.nii"],
        ["sample", "out", "--seed", "many"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main(arguments)
    assert exited.value.code == 2
    assert capfd.readouterr().err.startswith("usage: zweitblick")


def test_version(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main(["--version"])
    assert exited.value.code == 0
    assert capfd.readouterr().out == f"zweitblick {zweitblick.__version__}\n"


def test_a_defect_shows_one_line_and_no_value(capfd: pytest.CaptureFixture[str]) -> None:
    # No file system takes a NUL in a name, no shell can pass one: the ValueError that follows is expected nowhere.
    assert main(["sample", "Doe^Jane\0"]) == 70
    printed = capfd.readouterr().err
    assert printed == "error: internal: ValueError; a defect in zweitblick, --debug shows where\n"
    assert main(["sample", "Doe^Jane\0", "--debug"]) == 70
    assert "Traceback" in capfd.readouterr().err
