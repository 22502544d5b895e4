"""Specks: isolated predictions too small to be a lesion."""

import numpy as np
from scipy import ndimage

from zweitblick.prediction import REGIONS, Region
from zweitblick.volume import Float32

SMALLEST_LESION_MM3 = 50.0
"""Lesions of 50 mm³ or less are not scored by the BraTS 2023 glioma code; experts do not outline them either."""

CONNECTED_26 = np.ones((3, 3, 3), np.bool_)


def without_specks(probabilities: Float32, *, voxel_ml: float, threshold: float = 0.5) -> Float32:
    """Set every region to 0 where an isolated whole-tumour component is `SMALLEST_LESION_MM3` or smaller.

    Parameters
    ----------
    probabilities
        ``(3, K, J, I)``, channels ET, TC, WT, nested.
    voxel_ml
        Volume of a voxel.
    threshold
        A voxel is whole tumour from this probability on.

    Returns
    -------
    ``(3, K, J, I)`` float32, a copy.
    """
    components, count = ndimage.label(probabilities[REGIONS.index(Region.WT)] >= threshold, CONNECTED_26)
    sizes_mm3 = np.bincount(components.ravel(), minlength=count + 1) * voxel_ml * 1000.0
    small = sizes_mm3 <= SMALLEST_LESION_MM3
    small[0] = False
    return np.where(small[components], np.float32(0), probabilities).astype(np.float32)
