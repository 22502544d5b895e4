"""Extent: how far a mask reaches, and what it encloses."""

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


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


def box_around(
    mask: NDArray[np.bool_], target_from_own_index: NDArray[np.float64], shape: tuple[int, int, int]
) -> tuple[slice, slice, slice]:
    """Return the box of another grid's voxels that lie within one voxel of a mask.

    Parameters
    ----------
    mask
        ``(K, J, I)`` bool.
    target_from_own_index
        ``(4, 4)`` affine map from the mask's index to the other grid's, both ``(k, j, i)``.
    shape
        Of the other grid.

    Returns
    -------
    A slice of each axis; all are empty if the mask is, and some if it lies outside of the other grid.
    """
    along = row_ends(mask)
    if not len(along):
        return slice(0, 0), slice(0, 0), slice(0, 0)
    ends = zip(along.min(axis=0) - 1, along.max(axis=0) + 1, strict=True)
    corners = np.array(list(itertools.product(*ends))) @ target_from_own_index[:3, :3].T + target_from_own_index[:3, 3]
    low = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, shape).tolist()
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, shape).tolist()
    return slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])


def filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill what cannot be reached from the border of the array; several times faster than SciPy's, which grows it.

    Parameters
    ----------
    mask
        Bool, of any dimension; voxels touch by their faces.
    """
    labels, count = ndimage.label(~mask)
    outside = np.zeros(count + 1, np.bool_)
    for axis in range(mask.ndim):
        outside[labels.take([0, -1], axis=axis)] = True
    outside[0] = False
    return np.asarray(~outside[labels], np.bool_)
