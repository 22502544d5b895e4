"""Real scanner output against reference NIfTI images: the table in docs/coordinates.md, measured again."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from reader_agreement import CASES, Case, Row, header_distance_mm, row, table, unpack
from zweitblick.dicom.pixels import stored_values
from zweitblick.dicom.read import read_study
from zweitblick.dicom.source import opened
from zweitblick.dicom.stack import parts, stack
from zweitblick.errors import DuplicatePositionError, MissingSliceError
from zweitblick.study import Series

pytestmark = pytest.mark.real

DOCS = Path(__file__).parents[2] / "docs" / "coordinates.md"
FRAGMENTS = "dcm_qa_frag/In/5001_anat-T1w_acq-tfl"


@pytest.fixture(scope="session")
def readers(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(shared_data / "raw", tmp_path_factory.mktemp("readers"))


@pytest.fixture(scope="session")
def rows(readers: Path) -> dict[str, Row]:
    return {case.source: row(case, readers) for case in CASES}


@pytest.mark.parametrize("case", [case for case in CASES if case.references], ids=lambda case: case.source)
def test_accepted_series_equal_their_reference(rows: dict[str, Row], case: Case) -> None:
    for found in rows[case.source].agreements:
        assert found.voxels <= 2e-7 or found.stored == 0, "float32 rounding of the rescale, or equal integers"
        assert found.header_mm <= 1e-3
        if case.source != FRAGMENTS:
            assert found.affine_mm <= 1e-3


def test_the_one_reference_that_differs_is_further_from_the_header_than_we_are(rows: dict[str, Row]) -> None:
    """It takes the slice distance from two positions that are rounded to 0.0001 mm, 95 slices carry that on."""
    [found] = rows[FRAGMENTS].agreements
    assert found.header_mm < 2e-4
    assert found.reference_header_mm > 9e-3


def test_the_table_in_the_documentation_is_what_was_measured(rows: dict[str, Row]) -> None:
    measured = table(rows.values())
    assert measured in DOCS.read_text(encoding="utf-8"), f"docs/coordinates.md should hold:\n{measured}"


def _as_mr(folder: Path) -> Series:
    with opened(folder) as paths:
        [series] = read_study(paths).series
    return replace(series, modality="MR")


def test_a_real_gantry_tilt_is_read_right_if_it_were_mr(readers: Path) -> None:
    """Its planes are tilted by 14° against the table along which they step."""
    [part] = parts(_as_mr(readers / "dicom2nifti/failing/gantrytilting/001"))
    volume = stack(part)
    k, j, i = volume.lps_from_index[:3, :3].T
    assert np.allclose(k, (0, 0, 5), atol=1e-9)
    normal = np.cross(i, j) / np.linalg.norm(np.cross(i, j))
    assert abs(np.degrees(np.arccos(normal @ k / 5)) - 14.0) < 1e-3
    assert header_distance_mm(part, volume.lps_from_index) < 1e-9


@pytest.mark.parametrize(
    ("folder", "error"),
    [("sliceincrement/002", MissingSliceError), ("notavolume/001", DuplicatePositionError)],
)
def test_the_failing_ct_series_would_be_named_as_mr_too(readers: Path, folder: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        parts(_as_mr(readers / "dicom2nifti/failing" / folder))


@pytest.mark.parametrize("folder", ["dcm_qa_ts", "dcm_qa_12bit"])
def test_pixels_of_mosaics_equal_their_reference_though_the_series_is_refused(readers: Path, folder: str) -> None:
    """Seven transfer syntaxes, signed and unsigned, noise in the unused bits: tile by tile against dcm2niix."""
    for path in sorted((readers / folder / "In").iterdir()):
        [series] = read_study([path]).series
        [(_, planes)] = stored_values(series.instances)
        reference = np.asarray(nib.load(readers / folder / "Ref" / f"{series.number}.nii.gz").dataobj)
        columns, rows, slices = reference.shape
        assert slices > 1
        assert np.array_equal(_tiles(planes[0], rows, columns)[:slices], reference[:, ::-1].T)


def _tiles(plane: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Tiles ``(tile, rows, columns)`` of a mosaic, row by row."""
    down, across = plane.shape[0] // rows, plane.shape[1] // columns
    return plane.reshape(down, rows, across, columns).swapaxes(1, 2).reshape(-1, rows, columns)
