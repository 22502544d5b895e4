"""Extent of masks, against looking at every voxel and against SciPy."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from zweitblick.extent import filled, row_ends


@given(
    st.tuples(*[st.integers(1, 6)] * 3),
    st.floats(0, 1),
    st.integers(0, 2**32 - 1),
    st.tuples(*[st.integers(-9, 9)] * 3),
)
def test_no_voxel_lies_further_out(
    shape: tuple[int, int, int], share: float, seed: int, direction: tuple[int, int, int]
) -> None:
    mask = np.random.default_rng(seed).random(shape) < share
    ends, every = row_ends(mask), np.argwhere(mask)
    assert len(ends) == 0 if not len(every) else (ends @ direction).max() == (every @ direction).max()
    assert mask[tuple(ends.T)].all()


@given(st.tuples(*[st.integers(1, 7)] * 3), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_holes_are_those_that_scipy_fills(shape: tuple[int, int, int], share: float, seed: int) -> None:
    mask = np.random.default_rng(seed).random(shape) < share
    np.testing.assert_array_equal(filled(mask), ndimage.binary_fill_holes(mask))
