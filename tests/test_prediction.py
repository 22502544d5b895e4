"""Regions stay nested and labels disjoint, wherever a prediction goes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from strategies import grids, rotations
from zweitblick.errors import VoxelError
from zweitblick.prediction import CORE, ENHANCING, OEDEMA, REGIONS, Prediction, Region
from zweitblick.volume import Grid, transformed


@st.composite
def predictions(draw: Any) -> Prediction:
    grid = draw(grids(min_size=2))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    nested = np.sort(random.random((3, *grid.shape), np.float32), axis=0)
    return Prediction(nested, random.random(grid.shape) > 0.5, grid)


@given(predictions(), grids(min_size=2), rotations(15.0))
def test_resampled_keeps_the_nesting(prediction: Prediction, target: Grid, rotation: np.ndarray) -> None:
    move = np.eye(4)
    move[:3, :3] = rotation
    move[:3, 3] = prediction.grid.center_lps - rotation @ target.center_lps
    moved = prediction.resampled(target, own_from_grid_lps=move)
    et, tc, wt = (moved.mask(region) for region in REGIONS)
    assert not (et & ~tc).any()
    assert not (tc & ~wt).any()
    assert moved.probabilities.min() >= 0.0
    assert moved.probabilities.max() <= 1.0


@given(predictions())
def test_resampled_onto_its_own_grid_is_the_same(prediction: Prediction) -> None:
    again = prediction.resampled(prediction.grid)
    np.testing.assert_allclose(again.probabilities, prediction.probabilities, atol=1e-5)
    np.testing.assert_array_equal(again.brain, prediction.brain)


@given(predictions(), grids(min_size=2), st.floats(0.3, 1.0))
def test_labels_on_another_grid_are_those_of_the_whole_of_it(
    prediction: Prediction, target: Grid, threshold: float
) -> None:
    strict = replace(prediction, threshold=threshold)
    near = np.eye(4)
    near[:3, 3] = prediction.grid.center_lps - target.center_lps
    target = Grid(target.shape, near @ target.lps_from_index)
    np.testing.assert_array_equal(strict.labels_on(target), strict.resampled(target).labels())


@given(predictions(), rotations())
def test_head_coordinates_of_a_point_survive_resampling(prediction: Prediction, rotation: np.ndarray) -> None:
    own_from_grid = np.eye(4)
    own_from_grid[:3, :3] = rotation
    head = Prediction(prediction.probabilities, prediction.brain, prediction.grid, np.diag([1.0, -1.0, -1.0, 1.0]))
    moved = head.resampled(prediction.grid, own_from_grid_lps=own_from_grid)
    point = np.array([10.0, -20.0, 30.0])
    expected = transformed(head.head_from_lps, transformed(own_from_grid, point))
    np.testing.assert_allclose(transformed(moved.head_from_lps, point), expected, atol=1e-9)


@given(predictions(), grids(min_size=2), rotations())
def test_carried_is_resampled_without_interpolation(prediction: Prediction, target: Grid, rotation: np.ndarray) -> None:
    other_from_own = np.eye(4)
    other_from_own[:3, :3] = rotation
    other_from_own[:3, 3] = target.center_lps - rotation @ prediction.grid.center_lps
    carried = prediction.carried(other_from_own)
    np.testing.assert_array_equal(carried.probabilities, prediction.probabilities)
    direct = prediction.resampled(target, own_from_grid_lps=np.linalg.inv(other_from_own))
    np.testing.assert_allclose(carried.resampled(target).probabilities, direct.probabilities, atol=1e-4)
    np.testing.assert_allclose(carried.head_from_lps, direct.head_from_lps, atol=1e-9)


@given(predictions())
def test_labels_are_disjoint_and_add_up_to_the_regions(prediction: Prediction) -> None:
    labels = prediction.labels()
    np.testing.assert_array_equal(labels == ENHANCING, prediction.mask(Region.ET))
    np.testing.assert_array_equal(np.isin(labels, (CORE, ENHANCING)), prediction.mask(Region.TC))
    np.testing.assert_array_equal(np.isin(labels, (CORE, OEDEMA, ENHANCING)), prediction.mask(Region.WT))


@given(predictions())
def test_uncertainty_is_scipys_entropy(prediction: Prediction) -> None:
    wt = prediction.probabilities[REGIONS.index(Region.WT)].astype(np.float64)
    np.testing.assert_allclose(prediction.uncertainty, entropy([wt, 1 - wt], base=2, axis=0), atol=1e-4)


def test_regions_that_are_not_nested_are_refused() -> None:
    grid = Grid((1, 1, 1), np.eye(4))
    with pytest.raises(VoxelError, match="nested"):
        Prediction(np.array([0.9, 0.5, 0.95], np.float32).reshape(3, 1, 1, 1), np.ones(grid.shape, bool), grid)


@pytest.mark.parametrize(("channels", "brain"), [(2, (2, 3, 4)), (3, (4, 3, 2))])
def test_arrays_must_fit_the_grid(channels: int, brain: tuple[int, int, int]) -> None:
    grid = Grid((2, 3, 4), np.eye(4))
    with pytest.raises(VoxelError, match="do not fit"):
        Prediction(np.zeros((channels, *grid.shape), np.float32), np.ones(brain, bool), grid)


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan])
def test_probabilities_lie_between_0_and_1(value: float) -> None:
    grid = Grid((1, 1, 1), np.eye(4))
    with pytest.raises(VoxelError, match="between 0 and 1"):
        Prediction(np.full((3, 1, 1, 1), value, np.float32), np.ones(grid.shape, bool), grid)


def test_arrays_are_frozen() -> None:
    grid = Grid((1, 1, 1), np.eye(4))
    prediction = Prediction(np.zeros((3, 1, 1, 1), np.float32), np.ones(grid.shape, bool), grid)
    for array in (prediction.probabilities, prediction.brain, prediction.head_from_lps):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 1
