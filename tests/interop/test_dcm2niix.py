"""Against Debian's dcm2niix, another reader of the same files: voxels exactly, affine to 0.001 mm."""

import shutil
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian

from dicom_writer import AXIAL, CORONAL, SAGITTAL, head, oblique, write_enhanced, write_series
from reader_agreement import Agreement, agreement, references, unpack
from zweitblick.dicom.read import read_study
from zweitblick.dicom.source import opened
from zweitblick.dicom.stack import parts, stack
from zweitblick.volume import Grid, Volume

SHAPE = (7, 12, 9)
DOCS = Path(__file__).parents[2] / "docs" / "coordinates.md"


def _converted(folder: Path, out: Path) -> list[Path]:
    """NIfTI files that dcm2niix makes of a folder, sorted; rescaled as displayed (-p n), not resampled."""
    program = shutil.which("dcm2niix")
    assert program, "Debian's dcm2niix is not installed: apt-get install dcm2niix"
    out.mkdir()
    subprocess.run(
        [program, "-p", "n", "-z", "n", "-b", "n", "-f", "%s_%e", "-o", out, folder], check=True, capture_output=True
    )
    return sorted(path for path in out.glob("*.nii") if "Tilt" not in path.name and "_Eq" not in path.name)


def _agreements(folder: Path, out: Path, *, converted: Path | None = None) -> list[Agreement]:
    """Compare our reading of ``folder`` with dcm2niix's of the same, or of ``converted``."""
    with opened(folder) as paths:
        series = [replace(one, modality="MR") for one in read_study(paths).series]
        found = [part for one in series for part in parts(one)]
        volumes = [stack(part) for part in found]
    images = [image for path in _converted(converted or folder, out) for image in references(path)]
    return [agreement(*both) for both in zip(found, volumes, images, strict=True)]


@pytest.mark.parametrize("reverse", [False, True], ids=["", "reversed"])
@pytest.mark.parametrize(
    "grid",
    [
        oblique(SHAPE, normal_first=AXIAL),
        oblique(SHAPE, normal_first=SAGITTAL),
        oblique(SHAPE, normal_first=CORONAL),
        oblique(SHAPE, normal_first=AXIAL, degrees=17.0),
        oblique(SHAPE, normal_first=SAGITTAL, degrees=-31.0),
    ],
    ids=["axial", "sagittal", "coronal", "oblique axial", "oblique sagittal"],
)
def test_phantoms(tmp_path: Path, grid: Grid, reverse: bool) -> None:
    order = list(range(SHAPE[0]))[:: -1 if reverse else 1]
    write_series(tmp_path / "in", Volume(head(SHAPE), grid), order=order)
    [found] = _agreements(tmp_path / "in", tmp_path / "out")
    assert found.voxels == 0
    assert found.affine_mm < 1e-3


@pytest.mark.parametrize("shear_mm", [-1.3, 1.3])
def test_a_sheared_phantom(tmp_path: Path, shear_mm: float) -> None:
    """Slices that step against their normal. dcm2niix keeps such a shear for CT only (a tilted gantry), and drops
    it without a word for MR; so it is asked about the same files with another modality."""

    def as_ct(data: Dataset, _k: int) -> None:
        data.Modality, data.SOPClassUID = "CT", CTImageStorage

    volume = Volume(head(SHAPE), oblique(SHAPE, shear=(0.0, shear_mm, 0.0)))
    write_series(tmp_path / "mr", volume)
    write_series(tmp_path / "ct", volume, change=as_ct)
    [found] = _agreements(tmp_path / "mr", tmp_path / "out", converted=tmp_path / "ct")
    assert found.voxels == 0
    assert found.affine_mm < 1e-3


def test_implicit_little_endian_with_rescale(tmp_path: Path) -> None:
    volume = Volume(head(SHAPE) * np.float32(0.5) - np.float32(20), oblique(SHAPE, degrees=5.0))
    write_series(tmp_path / "in", volume, rescale=(0.5, -20.0), transfer_syntax=ImplicitVRLittleEndian)
    [found] = _agreements(tmp_path / "in", tmp_path / "out")
    assert found.voxels == 0
    assert found.affine_mm < 1e-3


def test_an_enhanced_phantom(tmp_path: Path) -> None:
    write_enhanced(tmp_path / "in" / "a.dcm", [Volume(head(SHAPE), oblique(SHAPE, degrees=12.0))])
    [found] = _agreements(tmp_path / "in", tmp_path / "out")
    assert found.voxels == 0
    assert found.affine_mm < 1e-3


@pytest.mark.real
def test_studyforrest(shared_data: Path, tmp_path: Path) -> None:
    """384 slices of a whole head, oblique, implicit VR, no manufacturer."""
    with tarfile.open(shared_data / "raw" / "studyforrest_T1_dicom.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    [found] = _agreements(tmp_path / "dicoms", tmp_path / "out")
    assert found.voxels == 0
    assert found.affine_mm < 1e-3
    assert found.header_mm < 1e-3
    row = f"| 1 volume | {found.voxels:.0f} | {found.affine_mm:.4f} | {found.corner_mm:.4f} | {found.header_mm:.4f} |"
    assert row in DOCS.read_text(encoding="utf-8").split("`studyforrest_T1_dicom`")[1].splitlines()[0], row


@pytest.mark.real
def test_real_series_without_a_reference_image(shared_data: Path, tmp_path: Path) -> None:
    readers = unpack(shared_data / "raw", tmp_path)
    for number, folder in enumerate(("dicom2nifti/philips/anatomical/001", "dcm_qa_xa30/In/8_gre_field_mapping")):
        for found in _agreements(readers / folder, tmp_path / f"out{number}"):
            assert found.voxels <= 2e-7
            assert found.affine_mm < 1e-3
