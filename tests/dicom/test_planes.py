"""Every volume that the stack rules accept finds its frames again, and gets its objects."""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest

from readings import Phantom, phantom_reading
from zweitblick.dicom.planes import reference_planes
from zweitblick.dicom.read import read_study
from zweitblick.dicom.seg import segmentation
from zweitblick.dicom.sr import structured_report
from zweitblick.dicom.stack import parts, stack
from zweitblick.errors import GeometryError
from zweitblick.reading import Reading
from zweitblick.volume import Grid, Volume


def as_read(folder: Path, reading: Reading) -> Reading:
    """The reading with study and reference volume as they are read from the files."""
    study = read_study(sorted(folder.iterdir()))
    (part,) = parts(study.series[0])
    choice = replace(reading.choices[reading.reference], volume_keys=frozenset({part.frames[0].volume_key}))
    return replace(reading, study=study, reference_volume=stack(part), choices={reading.reference: choice})


def rewritten(folder: Path, *, slice_mm: float, off_mm: float, cosine_digits: int) -> None:
    """Set the slice distance, shift one slice, and round the direction cosines as some scanners do."""
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        cosines = np.array(dataset.ImageOrientationPatient, float)
        normal = np.cross(*cosines.reshape(2, 3))
        k = int(dataset.InstanceNumber) - 1
        position = normal * (k * slice_mm + (off_mm if k == 7 else 0.0) - 50.0)
        dataset.ImagePositionPatient = [f"{value:.4f}" for value in position]
        dataset.ImageOrientationPatient = [f"{value:.{cosine_digits}f}" for value in cosines]
        dataset.SpacingBetweenSlices = slice_mm
        dataset.save_as(path)


@pytest.mark.parametrize("orientation", ["axial", "oblique"])
@pytest.mark.parametrize(("off_mm", "cosine_digits"), [(0.06, 9), (0.0, 3), (0.06, 3)])
def test_what_could_be_stacked_can_be_written(
    tmp_path: Path, orientation: str, off_mm: float, cosine_digits: int
) -> None:
    reading = phantom_reading(tmp_path, Phantom(orientation))
    rewritten(tmp_path, slice_mm=6.5, off_mm=off_mm, cosine_digits=cosine_digits)
    reading = as_read(tmp_path, reading)
    assert [frame.instance.number for frame in reference_planes(reading)] == list(range(1, 23))
    seg = segmentation(reading)
    assert pydicom.dcmread(BytesIO(seg)).Modality == "SEG"
    assert pydicom.dcmread(BytesIO(structured_report(reading, seg))).Modality == "SR"


def moved(grid: Grid) -> Grid:
    lps_from_index = grid.lps_from_index.copy()
    lps_from_index[0, 3] += 0.06
    return Grid(grid.shape, lps_from_index)


def turned(grid: Grid) -> Grid:
    """By 0.06 degrees about k: 1e-3 on the cosines."""
    angle = np.deg2rad(0.06)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return Grid(grid.shape, grid.lps_from_index @ turn)


def wider(grid: Grid) -> Grid:
    return Grid(grid.shape, grid.lps_from_index @ np.diag([1, 1, 1.001, 1]))


@pytest.mark.parametrize("change", [moved, turned, wider], ids=lambda change: change.__name__)
def test_another_grid_has_no_frames(tmp_path: Path, change: Callable[[Grid], Grid]) -> None:
    reading = phantom_reading(tmp_path)
    volume = Volume(reading.reference_volume.voxels, change(reading.reference_volume.grid))
    with pytest.raises(GeometryError, match="no frame at slice"):
        reference_planes(replace(reading, reference_volume=volume))
