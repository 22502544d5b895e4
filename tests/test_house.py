"""One lesion, on the left only, goes through the whole house in five orientations; everything agrees on where it is."""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest

from pdf_text import shown
from zweitblick.dicom.read import read_study
from zweitblick.dicom.seg import segmentation
from zweitblick.dicom.sr import structured_report
from zweitblick.findings import Side
from zweitblick.model.bundle import Bundles
from zweitblick.pipeline import read
from zweitblick.prediction import Region
from zweitblick.reading import Reading, Stamp
from zweitblick.report.pdf import pdf
from zweitblick.sample import Plane, SampleLesion, SampleSpec, SampleTruth, write_sample

LEFT = SampleLesion(center_mm=(36.0, -30.0, 30.0))

SPECS = {
    "axial": SampleSpec(lesion=LEFT, plane=Plane.AXIAL),
    "sagittal": SampleSpec(lesion=LEFT, plane=Plane.SAGITTAL),
    "coronal": SampleSpec(lesion=LEFT, plane=Plane.CORONAL),
    "oblique, FLAIR moved": SampleSpec(
        lesion=LEFT, plane=Plane.OBLIQUE, flair_motion_mm=(6, -5, 4), flair_motion_deg=(4, -3, 5)
    ),
    "from the top": SampleSpec(lesion=LEFT, plane=Plane.AXIAL, from_top=True),
}

STAMP = Stamp(datetime(2026, 11, 24, 12, 0, tzinfo=UTC))


@pytest.fixture(scope="module", params=list(SPECS))
def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, bundles: Bundles
) -> tuple[SampleTruth, Reading, bytes, bytes]:
    folder: Path = tmp_path_factory.mktemp("house") / "study"
    truth = write_sample(folder, spec=SPECS[request.param])
    study = read_study(sorted(path for path in folder.rglob("*") if path.is_file()))
    reading = read(study, bundles, stamp=STAMP)
    seg = segmentation(reading)
    return truth, reading, seg, structured_report(reading, seg)


House = tuple[SampleTruth, Reading, bytes, bytes]


def test_the_largest_lesion_is_the_one_that_was_drawn(house: House) -> None:
    truth, reading, _, _ = house
    lesion = reading.findings.lesions[0]
    assert lesion.side is Side.LEFT
    assert np.linalg.norm(np.array(lesion.center_lps) - truth.center_lps) < 8
    assert lesion.volume_ml[Region.WT] == pytest.approx(truth.volume_ml[Region.WT], rel=0.35)


def test_the_segmentation_is_the_mask_on_the_reference_grid(house: House) -> None:
    _, reading, seg, _ = house
    mask = whole_tumour(seg, reading)
    expected = reading.on_reference().mask(Region.WT)
    assert (mask == expected).all()
    grid = reading.reference_volume.grid
    fine, fine_grid = reading.prediction.mask(Region.WT), reading.prediction.grid
    centroid = grid.lps(np.argwhere(mask)).mean(axis=0)
    fine_centroid = fine_grid.lps(np.argwhere(fine)).mean(axis=0)
    assert np.linalg.norm(centroid - fine_centroid) < 1.0
    assert mask.sum() * grid.voxel_ml == pytest.approx(fine.sum() * fine_grid.voxel_ml, rel=0.05)


def test_report_and_page_name_the_same_side(house: House) -> None:
    _, reading, _, sr = house
    meanings = [code_of(item) for item in walked(pydicom.dcmread(BytesIO(sr)))]
    assert "Left" in meanings
    assert "Right" not in meanings or any(lesion.side is Side.RIGHT for lesion in reading.findings.lesions)
    assert any("left" in line for line in shown(pdf(reading)))


def whole_tumour(seg: bytes, reading: Reading) -> np.ndarray:
    """Whole tumour of a SEG on the reference grid, placed by highdicom from the frames' own positions."""
    volume = hd.seg.segread(BytesIO(seg)).get_volume(combine_segments=False)
    grid = reading.reference_volume.grid
    mask = np.zeros(grid.shape, np.bool_)
    occupied = np.argwhere(volume.array.any(axis=-1))
    lps = (volume.affine @ np.c_[occupied, np.ones(len(occupied))].T).T[:, :3]
    indices = grid.index(lps)
    assert np.abs(indices - np.round(indices)).max() < 1e-2
    mask[tuple(np.round(indices).astype(int).T)] = True
    return mask


def walked(data: pydicom.Dataset) -> list[pydicom.Dataset]:
    return [item for element in data if element.VR == "SQ" for part in element.value for item in (part, *walked(part))]


def code_of(item: pydicom.Dataset) -> str:
    return str(item.get("CodeMeaning", ""))
