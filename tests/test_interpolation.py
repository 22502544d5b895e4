"""Interpolation against SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from zweitblick.interpolation import interpolated, interpolated_within

SIZES = st.tuples(*[st.integers(1, 6)] * 3)


@settings(max_examples=200)
@given(
    voxels=SIZES.flatmap(lambda shape: hnp.arrays(np.float32, shape, elements=st.floats(-1000, 1000, width=32))),
    matrix=hnp.arrays(np.float64, (3, 4), elements=st.floats(-3, 3)),
    shape=SIZES,
    fill=st.floats(-10, 10),
)
def test_values_are_those_of_scipy(voxels: np.ndarray, matrix: np.ndarray, shape: tuple, fill: float) -> None:
    mine = interpolated(voxels, np.vstack([matrix, [0, 0, 0, 1]]), shape, fill=fill)
    theirs = ndimage.affine_transform(
        voxels, matrix[:, :3], matrix[:, 3], shape, np.float32, order=1, mode="grid-constant", cval=fill
    )
    np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-3)


def test_a_whole_turned_head_is_that_of_scipy() -> None:
    voxels = np.random.default_rng(0).normal(0, 100, (40, 50, 30)).astype(np.float32)
    turn = np.array([[0.9, 0.3, -0.1, 2.5], [-0.2, 1.1, 0.2, -4.0], [0.1, -0.2, 0.8, 3.2], [0, 0, 0, 1]])
    theirs = ndimage.affine_transform(
        voxels, turn[:3, :3], turn[:3, 3], (45, 45, 45), np.float32, order=1, mode="grid-constant", cval=-7.0
    )
    np.testing.assert_allclose(interpolated(voxels, turn, (45, 45, 45), fill=-7.0), theirs, rtol=1e-5, atol=1e-4)


@settings(max_examples=200)
@given(
    voxels=SIZES.flatmap(lambda shape: hnp.arrays(np.float32, shape, elements=st.floats(-1000, 1000, width=32))),
    matrix=hnp.arrays(np.float64, (3, 4), elements=st.floats(-3, 3)),
    mask=SIZES.flatmap(lambda shape: hnp.arrays(np.bool_, shape)),
)
def test_values_within_a_mask_are_those_of_scipy(voxels: np.ndarray, matrix: np.ndarray, mask: np.ndarray) -> None:
    mine, seen = interpolated_within(voxels, np.vstack([matrix, [0, 0, 0, 1]]), mask)
    theirs = ndimage.affine_transform(
        voxels, matrix[:, :3], matrix[:, 3], mask.shape, np.float32, order=1, mode="grid-constant"
    )
    np.testing.assert_allclose(mine, np.where(mask, theirs, 0), rtol=1e-5, atol=1e-3)
    places = np.tensordot(matrix[:, :3], np.indices(mask.shape), 1) + matrix[:, 3].reshape(3, 1, 1, 1)
    middle = (np.array(voxels.shape).reshape(3, 1, 1, 1) - 1) / 2
    outside = (np.abs(places - middle) - middle).max(axis=0)
    sure = np.abs(outside - 0.5) > 1e-6
    np.testing.assert_array_equal(seen[sure], (mask & (outside < 0.5))[sure])


@pytest.mark.parametrize("voxels", [np.asfortranarray(np.eye(4)[:, :, None] * np.ones(3)), np.ones((3, 4, 2))[::-1]])
def test_any_memory_layout_is_taken(voxels: np.ndarray) -> None:
    np.testing.assert_array_equal(interpolated(voxels, np.eye(4), voxels.shape, fill=0.0), voxels)
