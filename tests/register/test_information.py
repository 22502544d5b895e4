"""Normalised mutual information against NumPy's histogram and known values."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from zweitblick.register.information import BINS, NOTHING, Information, Samples, information_of_foregrounds
from zweitblick.register.level import Level
from zweitblick.volume import Volume, axis_aligned_grid

GRID = axis_aligned_grid((0.0, 0.0, 0.0), (24, 20, 16), 2.0)
EVERYWHERE = np.ones(GRID.shape, np.bool_)


def level_of(bins: np.ndarray) -> Level:
    """A picture whose grey values lie in the middle of a bin each, so that sharing between bins plays no part."""
    bins = bins.copy()
    bins[0, 0, :2] = 0, BINS - 1
    return Level(Volume(bins.astype(np.float32), GRID), EVERYWHERE, EVERYWHERE)


def drawn(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, BINS, GRID.shape)


def entropy(counts: np.ndarray) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def test_it_is_the_information_of_the_joint_histogram() -> None:
    fixed, moving = level_of(drawn(0)), level_of((drawn(0) + drawn(1) // 8) % BINS)
    one, other = fixed.volume.voxels.ravel(), moving.volume.voxels.ravel()
    joint = np.histogram2d(one, other, bins=np.arange(BINS + 1) - 0.5)[0]
    expected = (entropy(joint.sum(0)) + entropy(joint.sum(1))) / entropy(joint)
    assert information_of_foregrounds(fixed, moving)(np.eye(4)) == pytest.approx(expected, abs=1e-9)


def test_an_image_knows_all_of_itself_even_with_other_grey_values() -> None:
    fixed, moving = level_of(drawn(0)), level_of(BINS - 1 - drawn(0))
    assert information_of_foregrounds(fixed, fixed)(np.eye(4)) == pytest.approx(2.0)
    assert information_of_foregrounds(fixed, moving)(np.eye(4)) > 1.99


def test_a_shift_is_followed_in_patient_coordinates() -> None:
    fixed = level_of(drawn(0))
    moving = level_of(np.roll(drawn(0), 3, axis=2))
    shift = np.eye(4)
    shift[0, 3] = 3 * 2.0
    assert information_of_foregrounds(fixed, moving)(shift) > 1.9
    assert information_of_foregrounds(fixed, moving)(np.linalg.inv(shift)) < 1.3


def test_images_that_hardly_meet_tell_nothing() -> None:
    fixed = level_of(drawn(0))
    far = np.eye(4)
    far[2, 3] = 46.0
    information = information_of_foregrounds(fixed, fixed)
    assert not information.meets(far)
    assert information(far) == NOTHING


def test_the_gradient_is_that_of_finite_differences() -> None:
    noise = [ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(GRID.shape), 3.0) for seed in (0, 1)]
    fixed, moving = (
        Level(Volume(one.astype(np.float32), GRID), EVERYWHERE, EVERYWHERE)
        for one in (noise[0], np.exp(5 * noise[0]) + noise[1])
    )
    inner = np.zeros(GRID.shape, np.bool_)
    inner[4:-4, 4:-4, 4:-4] = True
    information = Information(Samples.between_voxels(fixed, inner, 2000, 0), moving)
    start = np.eye(4)
    start[:3, :3] = Rotation.from_euler("xyz", (4, -3, 5), degrees=True).as_matrix()
    start[:3, 3] = (0.7, -0.4, 1.1)
    value, gradient = information.with_gradient(start)
    assert value == pytest.approx(information(start), abs=1e-12)
    nudge = np.zeros((4, 4))
    for row, column in np.ndindex(3, 4):
        nudge[:] = 0
        nudge[row, column] = 1e-5 if column == 3 else 1e-6
        slope = (information(start + nudge) - information(start - nudge)) / (2 * nudge[row, column])
        assert gradient[row, column] == pytest.approx(slope, rel=0.02, abs=0.02 * np.abs(gradient[:, column]).max())


def test_a_map_under_which_images_hardly_meet_has_no_slope() -> None:
    fixed = level_of(drawn(0))
    far = np.eye(4)
    far[2, 3] = 46.0
    value, gradient = information_of_foregrounds(fixed, fixed).with_gradient(far)
    assert value == NOTHING
    assert not gradient.any()


def test_samples_are_those_of_their_seed() -> None:
    fixed = level_of(drawn(0))
    one, same, other = (Samples.between_voxels(fixed, EVERYWHERE, 500, seed) for seed in (1, 1, 2))
    assert one.points_lps.shape == (500, 3)
    assert one.points_lps.tobytes() == same.points_lps.tobytes() != other.points_lps.tobytes()
    assert Information(one, fixed)(np.eye(4)) == Information(same, fixed)(np.eye(4))
