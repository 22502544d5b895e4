"""A real clinical study, as scanned, through the whole house; the patient is in no training.

TCGA-FG-6692: T1 and T1c in one head position, T2 and FLAIR in another, 5.5 mm slices, both oblique.
"""

import json
import lzma
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dicom_writer import write_series
from zweitblick.dicom.read import read_study
from zweitblick.model.bundle import default_models, load_bundles
from zweitblick.pipeline import read
from zweitblick.prediction import Region
from zweitblick.reading import Reading, Stamp
from zweitblick.study import Sequence
from zweitblick.volume import Grid, Volume

pytestmark = pytest.mark.real

FILES = {Sequence.T1: "t1", Sequence.T1C: "t1c", Sequence.T2: "t2", Sequence.FLAIR: "flair"}
ACQUIRED = {Sequence.T1: "101000", Sequence.T2: "101500", Sequence.FLAIR: "102000", Sequence.T1C: "103000"}

T1_FROM_EXPERT_INDEX = np.array(
    [
        [1.0, 0.0, 0.0, 0.0],
        [0.0, -0.875, 0.0, 223.05],
        [0.0, 0.0, 0.875, 27.09],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
"""The expert's slices are T1's, interpolated from 224 to 256 rows of the same view and counted from the front; found
by correlating both T1 (.99 in every slice), and checked again below."""


def expert(shared_data: Path) -> tuple[Volume, Volume]:
    """The expert's T1 and whole tumour in patient coordinates."""
    entry = json.loads((shared_data / "lgg" / "index.json").read_text())["TCGA_FG_6692_20020606"]
    images = unpacked(shared_data / "lgg" / "TCGA_FG_6692_20020606.img.xz").reshape(entry["shape"])
    labels = unpacked(shared_data / "lgg" / "TCGA_FG_6692_20020606.seg.xz").reshape(entry["shape"][1:])
    t1 = Volume.from_nifti(shared_data / "raw" / "TCGA-FG-6692" / "t1.nii.gz")
    grid = Grid(labels.shape, t1.lps_from_index @ T1_FROM_EXPERT_INDEX)
    return Volume(images[0].astype(np.float32), grid), Volume(labels.astype(np.float32), grid)


def unpacked(path: Path) -> NDArray[np.uint8]:
    return np.frombuffer(lzma.decompress(path.read_bytes()), np.uint8)


@pytest.fixture(scope="module")
def reading(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Reading:
    folder = tmp_path_factory.mktemp("FG-6692")
    for number, (sequence, name) in enumerate(FILES.items(), 1):
        volume = Volume.from_nifti(shared_data / "raw" / "TCGA-FG-6692" / f"{name}.nii.gz")
        moved = sequence in (Sequence.T2, Sequence.FLAIR)
        write_series(
            folder / name,
            volume,
            number=number,
            description=f"ax {name}",
            sequence=sequence,
            acquired_at=ACQUIRED[sequence],
            attributes={"FrameOfReferenceUID": f"1.2.826.0.1.3680043.8.498.{2 if moved else 1}"},
        )
    study = read_study(sorted(folder.rglob("*.dcm")))
    return read(study, load_bundles(default_models()), stamp=Stamp(datetime(2026, 11, 24, tzinfo=UTC)))


def test_the_four_series_are_chosen(reading: Reading) -> None:
    assert {sequence: choice.series_number for sequence, choice in reading.choices.items()} == {
        Sequence.T1: 1,
        Sequence.T1C: 2,
        Sequence.T2: 3,
        Sequence.FLAIR: 4,
    }
    assert reading.reference is Sequence.T1C
    assert reading.alignments[Sequence.FLAIR].method == "rigid"


def test_motion_that_the_header_does_not_tell_of_is_found(reading: Reading) -> None:
    # T1 and T1c share frame of reference and grid, but the pictures show the head turned between them.
    assert reading.alignments[Sequence.T1].method == "rigid"
    assert reading.alignments[Sequence.T1].motion_mm > 5


def test_the_experts_slices_are_those_of_the_study(shared_data: Path) -> None:
    ours = Volume.from_nifti(shared_data / "raw" / "TCGA-FG-6692" / "t1.nii.gz")
    theirs, _ = expert(shared_data)
    placed = ours.resampled(theirs.grid).voxels
    for k in range(8, 24):
        both = placed[k] > 0  # the face is removed from the study
        assert np.corrcoef(placed[k][both], theirs.voxels[k][both])[0, 1] > 0.9


def test_the_tumour_is_where_the_expert_drew_it(reading: Reading, shared_data: Path) -> None:
    _, drawn = expert(shared_data)
    truth = drawn.voxels > 0
    # The expert drew on T1, and the head moved between T1 and T1c, the reference.
    reference_from_t1 = np.linalg.inv(reading.alignments[Sequence.T1].moving_from_reference_lps)
    found = reading.prediction.resampled(drawn.grid, own_from_grid_lps=reference_from_t1).mask(Region.WT)
    dice = 2 * (found & truth).sum() / (found.sum() + truth.sum())
    assert dice >= 0.75, f"whole tumour Dice {dice:.3f}"
    assert reading.findings.lesions[0].side == "right"
