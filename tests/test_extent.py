"""The ends of a mask's rows reach as far as all of it, whatever the direction."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zweitblick.extent import row_ends


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
