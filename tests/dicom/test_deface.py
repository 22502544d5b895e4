"""Of a head with a face no voxel of the face is left, and of the brain each is what it was, however it was stored."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from dicom_writer import StudyHeader, write_enhanced, write_series
from zweitblick.cli.research import write_defaced
from zweitblick.dicom.deidentify import Pseudonyms
from zweitblick.dicom.read import read_study
from zweitblick.dicom.stack import parts, stack
from zweitblick.errors import NoDicomError, NotAHeadError
from zweitblick.volume import Bool, Grid, Volume

AIR, BRAIN, SKULL, SKIN, NOSE = 20, 400, 90, 700, 999
SHAPE, SPACING_MM = (33, 35, 32), 8.0
PSEUDONYMS = Pseudonyms(bytes(32))


def grid(*axes: tuple[int, int, int]) -> Grid:
    """Around the head, with k, j and i along these LPS directions."""
    rotation = np.array(axes, np.float64).T
    lps_from_index = np.eye(4)
    lps_from_index[:3, :3] = rotation * SPACING_MM
    lps_from_index[:3, 3] = -rotation @ (np.array(SHAPE) - 1) * SPACING_MM / 2
    return Grid(SHAPE, lps_from_index)


AXIAL = grid((0, 0, 1), (0, 1, 0), (1, 0, 0))
SAGITTAL = grid((1, 0, 0), (0, 0, -1), (0, 1, 0))
CORONAL_FROM_THE_BACK = grid((0, -1, 0), (0, 0, -1), (1, 0, 0))


def positions(grid: Grid) -> np.ndarray:
    k, j, i = np.meshgrid(*map(np.arange, grid.shape), indexing="ij")
    return grid.lps(np.stack([k, j, i], axis=-1))


def brain_of(grid: Grid) -> Bool:
    """Truth: an ellipsoid of 1.2 litres."""
    return np.linalg.norm(positions(grid) / (62, 75, 62), axis=-1) < 1


def head(grid: Grid) -> Volume:
    """Brain, skull and skin around it, and a nose before it (towards the front, which is -y)."""
    lps = positions(grid)
    outer = np.linalg.norm(lps / (62, 75, 62), axis=-1)
    values = np.full(grid.shape, float(AIR))
    values[outer < 1.5] = SKIN
    values[outer < 1.3] = SKULL
    values[np.linalg.norm(lps - (0, -112, -20), axis=-1) < 16] = NOSE
    values[brain_of(grid)] = BRAIN
    values += np.random.default_rng(1).integers(-9, 10, grid.shape)
    return Volume(values.astype(np.float32), grid)


def written(tmp_path: Path) -> list[Dataset]:
    return [pydicom.dcmread(path) for path in sorted((tmp_path / "out").rglob("*.dcm"))]


def by_truth(volume: Volume) -> Bool:
    return brain_of(volume.grid)


def deface(tmp_path: Path, find: Callable[[Volume], Bool] = by_truth) -> dict[str, object]:
    """Deface what lies in a folder."""
    (tmp_path / "out").mkdir()
    paths = sorted(path for path in (tmp_path / "in").rglob("*") if path.is_file())
    return write_defaced(paths, PSEUDONYMS, tmp_path / "out", find)


def volumes(files: list[Path]) -> list[Volume]:
    return [stack(part) for series in read_study(files).series for part in parts(series)]


STORED = {
    "axial": {},
    "implicit": {"transfer_syntax": ImplicitVRLittleEndian},
    "rescaled": {"rescale": (0.5, -100.0)},
    "JPEG 2000": {"transfer_syntax": JPEG2000Lossless, "stored": np.uint16},
    "files in disorder": {"order": list(range(1, SHAPE[0], 2)) + list(range(0, SHAPE[0], 2))},
}


@pytest.mark.parametrize(
    ("place", "stored"),
    [
        *((AXIAL, stored) for stored in STORED.values()),
        (SAGITTAL, {}),
        (CORONAL_FROM_THE_BACK, {}),
    ],
    ids=[*STORED, "sagittal", "coronal from the back"],
)
def test_no_face_is_left_and_the_brain_is_what_it_was(tmp_path: Path, place: Grid, stored: dict[str, object]) -> None:
    before = head(place)
    files = write_series(tmp_path / "in", before, **stored)
    assert deface(tmp_path)["images"] == len(files)
    (original,), (after,) = volumes(files), volumes(sorted((tmp_path / "out").rglob("*.dcm")))
    assert np.allclose(after.lps_from_index, original.lps_from_index)
    truth = brain_of(original.grid)
    assert (after.voxels[truth] == original.voxels[truth]).all()
    lps = positions(original.grid)
    far = np.linalg.norm(lps / (62 + 15, 75 + 15, 62 + 15), axis=-1) > 1
    nose = np.linalg.norm(lps - (0, -112, -20), axis=-1) < 16
    assert nose.sum() > 20
    assert far[nose].mean() > 0.9
    assert np.ptp(after.voxels[far]) == 0, "one background everywhere, in every slice"
    assert abs(after.voxels[far][0] - AIR) < 15


def test_it_says_so_and_nothing_else_shows_the_face(tmp_path: Path) -> None:
    def thumbnail(data: Dataset, _k: int) -> None:
        icon = Dataset()
        icon.Rows = icon.Columns = 2
        icon.BitsAllocated = icon.BitsStored = 8
        icon.HighBit, icon.PixelRepresentation, icon.SamplesPerPixel = 7, 0, 1
        icon.PhotometricInterpretation = "MONOCHROME2"
        icon.PixelData = b"FACE"
        data.IconImageSequence = [icon]
        data.SmallestImagePixelValue, data.LargestImagePixelValue = 0, NOSE
        data.add_new(0x60003000, "OW", b"FACE")

    write_series(tmp_path / "in", head(AXIAL), change=thumbnail)
    changed = deface(tmp_path)["changed"]
    assert changed["PixelData defaced"] == SHAPE[0]
    for data in written(tmp_path):
        assert data.RecognizableVisualFeatures == "NO"
        codes = [one.CodeValue for one in data.DeidentificationMethodCodeSequence]
        assert codes == ["113100", "113101", "113107", "113102"]
        assert data.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert "LargestImagePixelValue" not in data
        buffer = io.BytesIO()
        data.save_as(buffer)
        assert b"FACE" not in buffer.getvalue()


def test_what_is_no_head_is_left_out_and_not_passed_on(tmp_path: Path) -> None:
    def lost(_volume: Volume) -> Bool:
        raise NotAHeadError("found 0 ml of brain; give another")

    write_series(tmp_path / "in", head(AXIAL))
    with pytest.raises(NoDicomError, match="found 0 ml"):
        deface(tmp_path, lost)
    assert not written(tmp_path)


def test_single_images_and_frames_within_one_are_left_out(tmp_path: Path) -> None:
    write_series(tmp_path / "in" / "a", head(AXIAL), number=1)
    localizer = write_series(tmp_path / "in" / "b", head(SAGITTAL), number=2, attributes={"SeriesDescription": "loc"})
    for path in localizer[1:]:
        path.unlink()
    write_enhanced(tmp_path / "in" / "c" / "enhanced.dcm", [head(AXIAL)], number=3)
    (tmp_path / "in" / "note.txt").write_text("a file of no kind")
    other = StudyHeader(seed="other", patient_id="PAT-2")
    write_series(tmp_path / "in" / "d", head(AXIAL), number=4, study=other)
    account = deface(tmp_path)
    assert account["images"] == len(written(tmp_path)) == 2 * SHAPE[0]
    assert len({data.PatientID for data in written(tmp_path)}) == 2
    left_out = account["left_out"]
    assert sum(left_out.values()) == 3
    assert any("several frames" in reason for reason in left_out)
    assert not any("PAT" in reason for reason in left_out)
