"""From which size on the network finds lesions: what the report says of small ones rests on this."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from zweitblick.measure.component import CONNECTED_26
from zweitblick.volume import Bool

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
