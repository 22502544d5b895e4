"""Lesion-wise scores as BraTS 2023 has them for glioma: every lesion counts the same, whatever its size.

Rules: https://github.com/rachitsaluja/BraTS-2023-Metrics (Saluja, BraTS 2023 glioma). The one difference is that the
distance is over surface voxels, as MONAI has it; the challenge weighs them by the area of their surface.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from zweitblick.measure.component import CONNECTED_26
from zweitblick.volume import Bool
from zweitblick_training.scores.distance import WORST_HD95_MM, hd95_mm
from zweitblick_training.scores.overlap import dice

CONNECTED_18 = ndimage.generate_binary_structure(3, 2)
DILATIONS = 3
"""Parts of the truth that touch after this many dilations with 18 neighbours are one lesion, and what the prediction
has within their reach belongs to it."""

SMALLEST_LESION_MM3 = 50.0
"""Truth lesions of this volume or less count neither as found nor as missed."""


@dataclass(frozen=True)
class LesionWise:
    """Lesion-wise scores of one region of one case.

    Parameters
    ----------
    dice
        Mean over lesions and false positives, 0 to 1; a missed lesion and a false positive count 0.
    hd95_mm
        Mean over both; a missed lesion and a false positive count `WORST_HD95_MM`.
    found, missed
        Truth lesions above `SMALLEST_LESION_MM3` that a predicted component touches (dilated), and the others.
    false_positives
        Predicted components of any size that touch no truth lesion (dilated) of any size.
    """

    dice: float
    hd95_mm: float
    found: int
    missed: int
    false_positives: int


def lesion_wise(predicted: Bool, truth: Bool, spacing_mm: Sequence[float]) -> LesionWise:
    """Score every lesion by itself.

    Parameters
    ----------
    predicted, truth
        ``(K, J, I)`` bool.
    spacing_mm
        Along K, J, I.

    Returns
    -------
    LesionWise
        Dice 1 and distance 0 where there is neither lesion nor false positive.
    """
    box = _bounding_box(predicted | truth)
    predicted, truth = predicted[box], truth[box]
    components, count = ndimage.label(predicted, CONNECTED_26)
    matched: set[int] = set()
    scored = []
    for lesion, near in _lesions(truth):
        numbers = np.unique(components[near & predicted])
        matched |= {int(number) for number in numbers}
        if lesion.sum() * float(np.prod(spacing_mm)) > SMALLEST_LESION_MM3:
            belonging = np.isin(components, numbers) & predicted
            scored.append((dice(belonging, lesion), hd95_mm(belonging, lesion, spacing_mm), len(numbers) > 0))
    return _summed(scored, int(count) - len(matched))


def _summed(scored: Sequence[tuple[float, float, bool]], false_positives: int) -> LesionWise:
    found = sum(one[2] for one in scored)
    total = len(scored) + false_positives
    return LesionWise(
        dice=sum(one[0] for one in scored) / total if total else 1.0,
        hd95_mm=(sum(one[1] for one in scored) + false_positives * WORST_HD95_MM) / total if total else 0.0,
        found=found,
        missed=len(scored) - found,
        false_positives=false_positives,
    )


def _lesions(truth: Bool) -> Iterator[tuple[Bool, Bool]]:
    """Give each lesion of the truth as a mask, and the mask of what is near it: the lesion dilated."""
    near, count = ndimage.label(ndimage.binary_dilation(truth, CONNECTED_18, iterations=DILATIONS), CONNECTED_26)
    for number in range(1, count + 1):
        yield truth & (near == number), np.asarray(near == number)


def _bounding_box(mask: Bool) -> tuple[slice, ...]:
    """Smallest box around a mask with room for the dilations; the border of the image stays where it is."""
    found = ndimage.find_objects(mask.astype(np.uint8))
    if not found:
        return tuple(slice(0, 1) for _ in mask.shape)
    return tuple(slice(max(0, side.start - DILATIONS - 1), side.stop + DILATIONS + 1) for side in found[0])
