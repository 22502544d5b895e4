"""Certainty: enhancing tumour of which the network is sure of next to nothing in a head is none."""

import numpy as np

from zweitblick.model.specks import SMALLEST_LESION_MM3
from zweitblick.prediction import REGIONS, Region
from zweitblick.volume import Float32

SURE = 0.98
"""Probability from which on the network is sure. Of gliomas that enhance, held back from training, nearly all had
hundreds of mm³ above it, and of those that do not, none had 50; `training/ideas.json` has what it changed."""


def without_doubtful_enhancement(probabilities: Float32, *, voxel_ml: float) -> Float32:
    """Leave out the enhancing tumour as a whole if no more than `SMALLEST_LESION_MM3` of it is `SURE`: it is core.

    Many gliomas of lower grade do not enhance, and of them a network still takes some bright voxels for a faint rim.
    nnU-Net left out small enhancing tumours for the same reason (Isensee 2020, BraTS); how sure the network is tells
    the two apart better than how large they are.

    Parameters
    ----------
    probabilities
        ``(3, K, J, I)``, channels ET, TC, WT, nested.
    voxel_ml
        Volume of a voxel.

    Returns
    -------
    ``(3, K, J, I)`` float32; a copy if something is left out.
    """
    channel = REGIONS.index(Region.ET)
    sure_mm3 = np.count_nonzero(probabilities[channel] >= SURE) * voxel_ml * 1000.0
    if sure_mm3 > SMALLEST_LESION_MM3:
        return probabilities
    kept = probabilities.copy()
    kept[channel] = 0
    return kept
