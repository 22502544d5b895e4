"""Specks: isolated predictions too small to be a lesion, or a part of one."""

import numpy as np
from scipy import ndimage

from zweitblick.prediction import REGIONS, Region
from zweitblick.volume import Bool, Float32

SMALLEST_LESION_MM3 = 50.0
"""Lesions of 50 mm³ or less are not scored by the BraTS 2023 glioma code, in any region; experts do not outline them
either."""

CONNECTED_26 = np.ones((3, 3, 3), np.bool_)


def without_specks(probabilities: Float32, *, voxel_ml: float, threshold: float = 0.5) -> Float32:
    """Leave out isolated components of a region that are `SMALLEST_LESION_MM3` or smaller.

    Such a component of the whole tumour is no tumour, one of the tumour core is oedema, and one of the enhancing tumour
    is core: the probability of the region, and of those within it, becomes 0 there.

    Parameters
    ----------
    probabilities
        ``(3, K, J, I)``, channels ET, TC, WT, nested.
    voxel_ml
        Volume of a voxel.
    threshold
        A voxel belongs to a region from this probability on.

    Returns
    -------
    ``(3, K, J, I)`` float32, a copy; nested.
    """
    kept = probabilities.astype(np.float32)
    tumour = ndimage.find_objects((kept[REGIONS.index(Region.WT)] >= threshold).astype(np.uint8))
    within = kept[:, *tumour[0]] if tumour else kept[:, :0]
    for region in (Region.WT, Region.TC, Region.ET):
        channel = REGIONS.index(region)
        specks = _specks(within[channel] >= threshold, voxel_ml * 1000.0)
        within[: channel + 1, specks] = 0  # the channels of what lies within a region stand before it
    return kept


def _specks(mask: Bool, voxel_mm3: float) -> Bool:
    components, count = ndimage.label(mask, CONNECTED_26)
    small = np.bincount(components.ravel(), minlength=count + 1) * voxel_mm3 <= SMALLEST_LESION_MM3
    small[0] = False
    return np.asarray(small[components])
