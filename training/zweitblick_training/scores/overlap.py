"""Overlap of two masks, counted in voxels, so that it needs no spacing."""

import numpy as np
from numpy.typing import NDArray

from zweitblick.prediction import CORE, ENHANCING, Region
from zweitblick.volume import Bool

SMALLEST_FALSE_ENHANCING = 50
"""Where the truth has no enhancing tumour, fewer predicted voxels than this count as none (BraTS 2021 rules scale a
false enhancing part of any size to Dice 0; small specks of less than this are what readers ignore)."""


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


def sensitivity(predicted: Bool, truth: Bool) -> float | None:
    """Share of the truth that was found, 0 to 1; None where the truth is empty, as there was nothing to find."""
    drawn = int(truth.sum())
    return int((predicted & truth).sum()) / drawn if drawn else None


def precision(predicted: Bool, truth: Bool) -> float | None:
    """Share of what was found that is true, 0 to 1; None where nothing was found."""
    found = int(predicted.sum())
    return int((predicted & truth).sum()) / found if found else None


def volume_error(predicted: Bool, truth: Bool) -> float | None:
    """Volume found less volume drawn, as a share of the volume drawn; None where the truth is empty."""
    drawn = int(truth.sum())
    return (int(predicted.sum()) - drawn) / drawn if drawn else None
