"""Rigid alignment against the known motion of a synthetic head, and of real brains moved by a known amount."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from register.head import T1, T2, Lesion, brain_points_mm, rigid, scan, target_error_mm
from zweitblick.errors import RegistrationError
from zweitblick.reading import Alignment
from zweitblick.register.level import Level, Pyramid, level
from zweitblick.register.rigid import align
from zweitblick.register.search import refined
from zweitblick.volume import KJI_FROM_IJK, RAS_FROM_LPS, Float64, Grid, Volume, axis_aligned_grid


def tilted_stack(spacing_mm: tuple[float, float, float], shape: tuple[int, int, int], turn: Float64) -> Grid:
    """Slices of any thickness, turned about the head's centre."""
    scale = np.diag([*spacing_mm, 1.0])
    unit = axis_aligned_grid((0, 0, 0), (1, 1, 1), 1.0).lps_from_index
    affine = turn @ unit @ scale
    affine[:3, 3] = turn[:3, 3] - affine[:3, :3] @ (np.array(shape) - 1) / 2
    return Grid(shape, affine)


OBLIQUE = tilted_stack((5.0, 1.5, 1.5), (30, 144, 120), rigid((8, 3, -4), (0, 0, 0)))
PITCHED = rigid((20, -5, 8), (5, 30, -10))


@pytest.fixture(scope="module")
def reference() -> Volume:
    return scan(axis_aligned_grid((0, 0, 0), (90, 114, 96), 2.0), T1)


@pytest.fixture(scope="module")
def moved() -> Volume:
    return scan(OBLIQUE, T2, head_from_lps=PITCHED, lesion=Lesion(), bias=0.3, noise=8.0, seed=1)


def aligned(moving: Volume, reference: Volume, *, same_frame: bool, seed: int = 0) -> Alignment:
    return align(Pyramid(moving), Pyramid(reference), same_frame=same_frame, seed=seed)


def no_climb(fixed: Level, moving: Level, start: Float64, *, step_mm: float, seed: int) -> Float64:
    del fixed, moving, step_mm, seed
    return start @ rigid((30, 0, 0), (0, 40, 0))


@pytest.fixture(scope="module")
def found(moved: Volume, reference: Volume) -> Alignment:
    return aligned(moved, reference, same_frame=False, seed=7)


def test_20_degrees_and_30_mm_of_thick_shaded_slices_with_a_lesion_that_the_reference_lacks(found: Alignment) -> None:
    assert found.method == "rigid"
    error = target_error_mm(found.moving_from_reference_lps, np.linalg.inv(PITCHED), brain_points_mm())
    assert error.max() < 0.5
    turn = found.moving_from_reference_lps[:3, :3]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-9)


def test_simpleitk_finds_what_the_first_search_does_not(
    moved: Volume, reference: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zweitblick.register.rigid.refined", no_climb)
    error = target_error_mm(
        aligned(moved, reference, same_frame=False, seed=7).moving_from_reference_lps,
        np.linalg.inv(PITCHED),
        brain_points_mm(),
    )
    assert error.max() < 0.5


def test_same_inputs_and_seed_give_the_same_bytes(found: Alignment, moved: Volume, reference: Volume) -> None:
    again = aligned(moved, reference, same_frame=False, seed=7)
    assert again.moving_from_reference_lps.tobytes() == found.moving_from_reference_lps.tobytes()
    assert again.motion_mm == found.motion_mm


@pytest.mark.parametrize(("contrast", "limit_mm"), [(T2, 0.5), (T1, 1.5)], ids=["other-contrast", "same-contrast"])
def test_turns_about_all_three_axes(reference: Volume, contrast: NDArray[np.float64], limit_mm: float) -> None:
    true = rigid((-12, 20, -18), (-30, -8, 20))
    found = aligned(scan(OBLIQUE, contrast, head_from_lps=true, bias=0.3), reference, same_frame=False)
    error = target_error_mm(found.moving_from_reference_lps, np.linalg.inv(true), brain_points_mm())
    assert error.max() < limit_mm


def test_sagittal_stack_of_part_of_the_head(reference: Volume) -> None:
    sagittal = np.array([[4.0, 0, 0, -50], [0, 0, 1.5, -100], [0, -1.5, 0, 60], [0, 0, 0, 1.0]])
    true = rigid((4, -6, 9), (6, -9, 4))
    moving = scan(Grid((26, 100, 134), sagittal), T2, head_from_lps=true)
    found = aligned(moving, reference, same_frame=False)
    assert target_error_mm(found.moving_from_reference_lps, np.linalg.inv(true), brain_points_mm()).max() < 1.0


def test_a_true_header_is_kept_to_the_last_bit(reference: Volume) -> None:
    found = aligned(scan(OBLIQUE, T2, bias=0.3, seed=2), reference, same_frame=True)
    assert found.method == "header"
    assert np.array_equal(found.moving_from_reference_lps, np.eye(4))
    assert found.motion_mm < 1.0


def test_a_patient_who_moved_between_series_of_one_frame_is_noticed(reference: Volume) -> None:
    true = rigid((3, 0, -4), (0, 3, 2))
    found = aligned(scan(OBLIQUE, T2, head_from_lps=true), reference, same_frame=True)
    assert found.method == "rigid"
    assert target_error_mm(found.moving_from_reference_lps, np.linalg.inv(true), brain_points_mm()).max() < 0.5
    moved = target_error_mm(np.linalg.inv(true), np.eye(4), brain_points_mm()).max()
    assert moved < found.motion_mm < moved + 5.0


def test_noise_in_the_shape_of_a_head_is_refused(reference: Volume) -> None:
    head = scan(OBLIQUE, T2).voxels > 40
    noise = np.random.default_rng(0).uniform(60, 140, head.shape) * head
    with pytest.raises(RegistrationError, match="mutual information"):
        aligned(Volume(noise.astype(np.float32), OBLIQUE), reference, same_frame=False)


def test_an_empty_series_is_refused(reference: Volume) -> None:
    with pytest.raises(RegistrationError, match="one grey value"):
        aligned(Volume(np.zeros(OBLIQUE.shape, np.float32), OBLIQUE), reference, same_frame=True)


def shifted(grid: Grid, shift_mm: tuple[float, float, float]) -> Grid:
    return Grid(grid.shape, rigid((0, 0, 0), shift_mm) @ grid.lps_from_index)


@pytest.mark.parametrize(("shift_mm", "same_frame"), [((150.0, 0.0, 0.0), True), ((0.0, -300.0, 520.0), False)])
def test_heads_that_do_not_meet_by_their_headers_are_aligned(
    reference: Volume, shift_mm: tuple[float, float, float], *, same_frame: bool
) -> None:
    turn = rigid((3, 0, -4), (0, 3, 2))
    seen = scan(OBLIQUE, T2, head_from_lps=turn, seed=3)
    found = aligned(Volume(seen.voxels, shifted(seen.grid, shift_mm)), reference, same_frame=same_frame)
    true = rigid((0, 0, 0), shift_mm) @ np.linalg.inv(turn)
    assert found.method == "rigid"
    assert target_error_mm(found.moving_from_reference_lps, true, brain_points_mm()).max() < 0.5
    assert found.motion_mm == pytest.approx(np.linalg.norm(shift_mm), abs=15)


def test_a_climb_that_starts_where_the_images_do_not_meet_is_refused(reference: Volume) -> None:
    far = Volume(reference.voxels, shifted(reference.grid, (600.0, 0.0, 0.0)))
    with pytest.raises(RegistrationError, match="600 mm apart; check that both show the same head"):
        refined(level(reference, 6.0), level(far, 6.0), np.eye(4), step_mm=4.0, seed=0)


def brats(shared: Path, case: str) -> tuple[dict[str, Volume], np.ndarray]:
    """Sequences of a stripped, co-registered brain and its tumour labels ``(K, J, I)``."""
    sys.path.insert(0, str(shared))
    try:
        import unpack  # noqa: PLC0415 - lies beside the data
    finally:
        sys.path.remove(str(shared))
    image, labels, entry = unpack.load("brats", case)
    offset = np.eye(4)
    offset[:3, 3] = entry["offset"]
    grid = Grid(image.shape[:0:-1], RAS_FROM_LPS @ np.array(entry["affine"]) @ offset @ KJI_FROM_IJK)
    names = ("t1", "t1c", "t2", "flair")
    return {name: Volume(one.T.astype(np.float32), grid) for name, one in zip(names, image, strict=True)}, labels.T


@pytest.mark.real
@pytest.mark.parametrize("case", ["Brats18_CBICA_APZ_1", "BraTS2021_00031"])
def test_real_t2_in_thick_slices_moved_by_a_known_amount(shared_data: Path, case: str) -> None:
    assert case in json.loads((shared_data / "brats" / "index.json").read_text())
    sequences, _ = brats(shared_data, case)
    t1, t2 = sequences["t1"], sequences["t2"]
    true = rigid((12, -9, 17), (-20, 25, 8))
    middle = true[:3, :3] @ t1.grid.center_lps + true[:3, 3]
    turn = rigid((8, 3, -4), tuple(middle))
    stack = tilted_stack((5.0, 0.9, 0.9), (34, 250, 230), turn)
    thick = Volume(ndimage.gaussian_filter(t2.voxels, (1.8, 0, 0)), t2.grid)
    moving = thick.resampled(stack, own_from_grid_lps=np.linalg.inv(true))
    found = aligned(moving, t1, same_frame=False)
    points = t1.grid.lps(np.argwhere(t1.voxels > 0)[::2000])
    error = target_error_mm(found.moving_from_reference_lps, true, points)
    assert error.mean() < 1.2
    assert error.max() < 2.0


@pytest.mark.real
def test_a_brain_stacked_upside_down_is_refused(shared_data: Path) -> None:
    sequences, _ = brats(shared_data, "Brats18_TCIA05_396_1")
    t2 = sequences["t2"]
    with pytest.raises(RegistrationError, match=r"mutual information|turn"):
        aligned(Volume(t2.voxels[::-1], t2.grid), sequences["t1"], same_frame=False)


@pytest.mark.real
def test_second_head_position_of_a_clinical_study_is_found_from_both_ends(shared_data: Path) -> None:
    """T1 with contrast and FLAIR of TCGA-FG-6692: forth and back must undo each other, though seeds differ."""
    folder = shared_data / "raw" / "TCGA-FG-6692"
    t1c, flair = (Volume.from_nifti(folder / f"{name}.nii.gz") for name in ("t1c", "flair"))
    there = aligned(flair, t1c, same_frame=True, seed=1)
    back = aligned(t1c, flair, same_frame=False, seed=2)
    assert there.method == "rigid"
    assert there.motion_mm > 10.0
    head = t1c.grid.lps(np.argwhere(t1c.voxels > np.percentile(t1c.voxels, 60))[::3000])
    error = target_error_mm(back.moving_from_reference_lps @ there.moving_from_reference_lps, np.eye(4), head)
    assert error.max() < 1.0
