"""Scores: how well a prediction agrees with what experts drew."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from zweitblick.prediction import CORE, ENHANCING, Region
from zweitblick.volume import Bool

SMALLEST_FALSE_ENHANCING = 50
"""Where the truth has no enhancing tumour, fewer predicted voxels than this count as none (BraTS 2021 rules scale a
false enhancing part of any size to Dice 0; small specks of less than this are what readers ignore)."""

CONNECTED_26 = np.ones((3, 3, 3), np.bool_)


@dataclass(frozen=True)
class LesionScore:
    """One expert-drawn lesion: its size and whether it was found.

    Parameters
    ----------
    volume_ml
        As the expert drew it.
    found
        Whether any of its voxels was predicted.
    """

    volume_ml: float
    found: bool


def region_mask(labels: NDArray[np.uint8], region: Region) -> Bool:
    """Voxels of a region in a label map of 0 none, 1 core, 2 oedema, 3 enhancing."""
    if region is Region.ET:
        return np.asarray(labels == ENHANCING)
    if region is Region.TC:
        return np.asarray((labels == ENHANCING) | (labels == CORE))
    return np.asarray(labels > 0)


def dice(predicted: Bool, truth: Bool) -> float:
    """Overlap of two masks, 0 to 1 (Dice 1945).

    Where the truth is empty: 1 if fewer than `SMALLEST_FALSE_ENHANCING` voxels are predicted, else 0.
    """
    if not truth.any():
        return 1.0 if int(predicted.sum()) < SMALLEST_FALSE_ENHANCING else 0.0
    return 2.0 * int((predicted & truth).sum()) / (int(predicted.sum()) + int(truth.sum()))


def lesion_scores(predicted: Bool, truth: Bool, voxel_ml: float) -> list[LesionScore]:
    """Score every 26-connected component of the truth."""
    components, count = ndimage.label(truth, CONNECTED_26)
    return [
        LesionScore(float((components == number).sum()) * voxel_ml, bool(predicted[components == number].any()))
        for number in range(1, count + 1)
    ]


def reporting_limit_ml(lesions: list[LesionScore], *, sensitivity: float = 0.9, at_least: float = 0.1) -> float:
    """Smallest lesion size from which on the share of found lesions reaches ``sensitivity``.

    Parameters
    ----------
    lesions
        All expert-drawn lesions of the validation cases.
    sensitivity
        Required share among the lesions of at least that size.
    at_least
        No smaller limit is stated, however good the figures.
    """
    for size in sorted(lesion.volume_ml for lesion in lesions):
        larger = [lesion.found for lesion in lesions if lesion.volume_ml >= size]
        if float(np.mean(larger)) >= sensitivity and size >= at_least:
            return float(np.ceil(size * 10) / 10)
    return max((lesion.volume_ml for lesion in lesions), default=at_least)
