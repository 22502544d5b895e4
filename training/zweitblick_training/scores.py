"""Scores: how well a prediction agrees with what experts drew."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from zweitblick.measure.component import CONNECTED_26
from zweitblick.prediction import CORE, ENHANCING, Region
from zweitblick.volume import Bool

SMALLEST_FALSE_ENHANCING = 50
"""Where the truth has no enhancing tumour, fewer predicted voxels than this count as none (BraTS 2021 rules scale a
false enhancing part of any size to Dice 0; small specks of less than this are what readers ignore)."""

SENSITIVITY, FEWEST_LESIONS = 0.9, 5
"""A size is validated if nine in ten of at least five lesions of that size or larger were found."""


@dataclass(frozen=True)
class LesionScore:
    """One expert-drawn lesion: its size and what was found of it.

    Parameters
    ----------
    volume_ml
        As the expert drew it.
    found_ml
        Volume of the largest predicted component that shares a voxel with it; 0 if none does.
    """

    volume_ml: float
    found_ml: float


class UnprovenError(ValueError):
    """Too few lesions were found to say from which size on the network finds them."""


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
    """Score every 26-connected component of the truth by the largest predicted component that touches it."""
    components, count = ndimage.label(truth, CONNECTED_26)
    found, _ = ndimage.label(predicted, CONNECTED_26)
    sizes_ml = np.bincount(found.ravel()) * voxel_ml
    sizes_ml[0] = 0.0
    return [
        LesionScore(
            volume_ml=float((components == number).sum()) * voxel_ml,
            found_ml=float(sizes_ml[found[components == number]].max()),
        )
        for number in range(1, count + 1)
    ]


def validated_ml(lesions: Sequence[LesionScore], *, listed_from_ml: float) -> float:
    """Size of the smallest found lesion such that of all lesions as large or larger nine in ten were found.

    A lesion counts as found if a predicted component that touches it is large enough to be listed.

    Parameters
    ----------
    lesions
        All expert-drawn lesions of the validation cases.
    listed_from_ml
        Predicted components below this size are not listed, and so find nothing.

    Raises
    ------
    UnprovenError
        If no size has `FEWEST_LESIONS` lesions of which `SENSITIVITY` were found.
    """
    found = {lesion: lesion.found_ml >= listed_from_ml for lesion in lesions}
    for size in sorted(lesion.volume_ml for lesion in lesions if found[lesion]):
        larger = [found[lesion] for lesion in lesions if lesion.volume_ml >= size]
        if len(larger) >= FEWEST_LESIONS and float(np.mean(larger)) >= SENSITIVITY:
            return float(np.ceil(size * 10) / 10)
    raise UnprovenError(f"of {len(lesions)} lesions no size has {FEWEST_LESIONS} of which {SENSITIVITY:.0%} were found")
