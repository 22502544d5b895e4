"""Studies that the command line is tried on, good and bad; each is made from the synthetic study."""

import shutil
import zipfile
from pathlib import Path

import pydicom

BOMB_BYTES = 1100 * 2**20
"""Above what `zweitblick.dicom.source.Limits` lets an archive of this size unpack to."""


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def zipped(study: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w") as opened:
        for path in files(study):
            opened.write(path, path.relative_to(study))
    return archive


def missing(_: Path, room: Path) -> Path:
    return room / "nowhere"


def empty(_: Path, room: Path) -> Path:
    (room / "study").mkdir()
    return room / "study"


def no_dicom(_: Path, room: Path) -> Path:
    folder = empty(_, room)
    (folder / "notes.txt").write_text("no image")
    (folder / "zero.dcm").touch()
    return folder


def ten_thousand_files(_: Path, room: Path) -> Path:
    folder = empty(_, room)
    for number in range(10_000):
        (folder / f"{number}.dcm").touch()
    return folder


def climbing_zip(study: Path, room: Path) -> Path:
    with zipfile.ZipFile(room / "study.zip", "w") as opened:
        opened.write(files(study)[0], "../../climbed.dcm")
    return room / "study.zip"


def zip_bomb(_: Path, room: Path) -> Path:
    with (
        zipfile.ZipFile(room / "study.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as opened,
        opened.open("zeros.dcm", "w") as entry,
    ):
        for _chunk in range(BOMB_BYTES // 2**20):
            entry.write(bytes(2**20))
    return room / "study.zip"


def cut_zip(study: Path, room: Path) -> Path:
    archive = zipped(study / "T1c", room / "study.zip")
    archive.write_bytes(archive.read_bytes()[:-5000])
    return archive


def truncated(study: Path, room: Path) -> Path:
    folder = Path(shutil.copytree(study / "T1c", room / "study"))
    for path in files(folder):
        path.write_bytes(path.read_bytes()[:700])
    return folder


def one_slice_truncated(study: Path, room: Path) -> Path:
    folder = Path(shutil.copytree(study / "T1c", room / "study"))
    middle = files(folder)[len(files(folder)) // 2]
    middle.write_bytes(middle.read_bytes()[:-2000])
    return folder


def two_patients(study: Path, room: Path) -> Path:
    folder = Path(shutil.copytree(study, room / "study"))
    for path in files(folder / "FLAIR"):
        dataset = pydicom.dcmread(path)
        dataset.PatientID = "SOMEBODY-ELSE"
        dataset.PatientName = "Else^Somebody"
        dataset.save_as(path)
    return folder


def two_studies(study: Path, room: Path) -> Path:
    folder = Path(shutil.copytree(study, room / "study"))
    for path in files(folder / "FLAIR"):
        dataset = pydicom.dcmread(path)
        dataset.StudyInstanceUID += ".1"
        dataset.save_as(path)
    return folder


def without_t1c_and_flair(study: Path, room: Path) -> Path:
    shutil.copytree(study / "T1", room / "study" / "T1")
    shutil.copytree(study / "T2", room / "study" / "T2")
    return room / "study"


REFUSED = {
    missing: "source.missing",
    empty: "source.no-dicom",
    no_dicom: "source.no-dicom",
    ten_thousand_files: "source.no-dicom",
    climbing_zip: "source.unsafe-archive",
    zip_bomb: "source.archive-too-large",
    cut_zip: "source.archive-damaged",
    truncated: "source.no-dicom",
    one_slice_truncated: "study.missing-sequence",
    two_patients: "study.mixed-patients",
    two_studies: "study.mixed-studies",
    without_t1c_and_flair: "study.missing-sequence",
}
"""How to make each bad study, and the code that it must be refused with."""
