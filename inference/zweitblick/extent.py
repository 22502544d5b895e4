"""Extent: how far a mask reaches."""

import numpy as np
from numpy.typing import NDArray


def row_ends(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the first and the last voxel of every row of a mask: no other lies further out in any direction.

    They are what is left to look at where the extent along an oblique axis is wanted, some hundredth of all.

    Parameters
    ----------
    mask
        ``(K, J, I)`` bool.

    Returns
    -------
    ``(n, 3)`` indices ``(k, j, i)``; a row's only voxel is there twice, and nothing where the mask is empty.
    """
    k, j = np.nonzero(mask.any(axis=2))
    rows = mask[k, j]
    ends = rows.argmax(axis=1), mask.shape[2] - 1 - rows[:, ::-1].argmax(axis=1)
    return np.concatenate([np.column_stack([k, j, i]) for i in ends])
