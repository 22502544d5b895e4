"""Distance between two outlines in millimetres, with what a challenge says of empty masks."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from zweitblick.volume import Bool

WORST_HD95_MM = 374.0
"""Counted where only one of two masks is empty: the diagonal of BraTS' 240 x 240 x 155 mm field (BraTS 2023 rules)."""

PERCENTILE = 95


def hd95_mm(predicted: Bool, truth: Bool, spacing_mm: Sequence[float]) -> float:
    """Symmetric 95th percentile of the distances between two surfaces (Hausdorff; Huttenlocher 1993), mm.

    Surface voxels are those with a face neighbour outside the mask. The percentile is taken in each direction and the
    larger of the two returned, as MONAI and the BraTS challenges do. (MONAI's own function warns of its own future.)

    Parameters
    ----------
    predicted, truth
        ``(K, J, I)`` bool.
    spacing_mm
        Along K, J, I.

    Returns
    -------
    float
        0 if both masks are empty, `WORST_HD95_MM` if one is.
    """
    if not predicted.any() or not truth.any():
        return WORST_HD95_MM if predicted.any() or truth.any() else 0.0
    box = ndimage.find_objects((predicted | truth).astype(np.uint8))[0]
    ours, theirs = (mask[box] & ~ndimage.binary_erosion(mask[box]) for mask in (predicted, truth))
    return max(_one_way(ours, theirs, spacing_mm), _one_way(theirs, ours, spacing_mm))


def _one_way(surface: Bool, other: Bool, spacing_mm: Sequence[float]) -> float:
    """Percentile of the distances from one surface to the nearest voxel of the other."""
    distance = ndimage.distance_transform_edt(~other, sampling=spacing_mm)
    return float(np.percentile(distance[surface], PERCENTILE))
