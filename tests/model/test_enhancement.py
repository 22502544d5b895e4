"""What pictures alone tell of contrast agent."""

import json
import lzma
import math
from pathlib import Path

import numpy as np
import pytest

from enhanced_head import ENHANCED, NATIVE, THICK, head
from zweitblick.model.enhancement import brightening, tissue_level
from zweitblick.volume import Grid, Volume, axis_aligned_grid


def test_brightening_has_a_sign_and_finds_no_difference_between_repeats() -> None:
    again = head(THICK, enhanced=True, seed=9)
    assert brightening(ENHANCED, NATIVE) > 0.3
    assert brightening(NATIVE, ENHANCED) < -0.3
    assert abs(brightening(again, ENHANCED)) < 0.06


def test_brightening_compares_different_grids_of_one_frame() -> None:
    thin = axis_aligned_grid((0.0, 0.0, 0.0), (90, 110, 90), 2.0)
    assert brightening(head(thin, enhanced=True, seed=4), NATIVE) > 0.3


def test_apart_volumes_cannot_be_compared() -> None:
    far = Volume(NATIVE.voxels, axis_aligned_grid((900.0, 0.0, 0.0), THICK.shape, 2.0))
    assert math.isnan(brightening(far, NATIVE))
    assert tissue_level(far, NATIVE) == 1.0


def test_an_image_of_a_part_of_the_head_is_not_taken_for_dark() -> None:
    upper = Grid((12, 128, 128), THICK.lps_from_index @ np.array([[1, 0, 0, 16], *np.eye(4)[1:]]))
    part = Volume(NATIVE.voxels[16:], upper)
    whole = tissue_level(NATIVE, ENHANCED)
    assert tissue_level(part, ENHANCED) == pytest.approx(whole, rel=0.1)


@pytest.mark.real
def test_intensity_order_of_a_real_study(shared_data: Path) -> None:
    folder = shared_data / "raw" / "TCGA-FG-6692"
    before, after = (Volume.from_nifti(folder / f"{name}.nii.gz") for name in ("t1", "t1c"))
    assert brightening(after, before) > 0.06
    assert brightening(before, after) < -0.06
    assert min(tissue_level(before, after), tissue_level(after, before)) > 0.15


FAT_SUPPRESSED = ("TCGA_CS_4941_19960909", "TCGA_CS_6186_20000601", "TCGA_CS_6665_20010817", "TCGA_CS_6666_20011109")
"""In these only the image after contrast agent is fat-suppressed."""


@pytest.mark.real
@pytest.mark.parametrize("case", [*FAT_SUPPRESSED, "TCGA_CS_5397_20010315", "TCGA_FG_6692_20020606"])
def test_intensity_order_of_the_hardest_real_pairs(shared_data: Path, case: str) -> None:
    entry = json.loads((shared_data / "lgg" / "index.json").read_text())[case]
    raw = lzma.decompress((shared_data / "lgg" / f"{case}.img.xz").read_bytes())
    t1, t1c, _ = np.frombuffer(raw, np.uint8).reshape(entry["shape"]).astype(np.float32)
    grid = Grid(t1.shape, np.array([[0, 0, 0.9, 0], [0, 0.9, 0, 0], [5.0, 0, 0, 0], [0, 0, 0, 1]]))
    assert brightening(Volume(t1c, grid), Volume(t1, grid)) > 0.06
