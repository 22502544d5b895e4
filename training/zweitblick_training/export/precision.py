"""Which network a bundle serves by default: the fast one, if it loses next to nothing."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

import numpy as np

from zweitblick.model.runtime import Network
from zweitblick.prediction import REGIONS, Region
from zweitblick_training.case import Case
from zweitblick_training.export.error import ExportError
from zweitblick_training.scores import dice, region_mask

LARGEST_LOSS = 0.005
"""By so much may the mean Dice of each region fall with int8 at most; else fp32 is the default."""


class Precision(StrEnum):
    """What the convolutions compute in."""

    FP32 = "fp32"
    INT8 = "int8"


NETWORK_FILES = {Precision.FP32: "models/model.onnx", Precision.INT8: "models/model-int8.onnx"}
"""Where in a bundle the network of each precision is."""


def default_precision(fp32: Mapping[Region, float], int8: Mapping[Region, float]) -> Precision:
    """Decide from the mean Dice of each region over the same cases; int8 is served only if all three speak for it.

    Raises
    ------
    ExportError
        If the two are not of the same regions, or a value is not in [0, 1].
    """
    for values in (fp32, int8):
        if set(values) != set(fp32) or not all(0 <= value <= 1 for value in values.values()):
            raise ExportError(f"mean Dice is {dict(values)}; a value in [0, 1] of each region that was drawn is needed")
    if set(fp32) != set(REGIONS):
        return Precision.FP32
    # A thousandth of the limit is left to rounding: .8 - .795 is above .005 in binary.
    losses = [fp32[region] - int8[region] for region in REGIONS]
    return Precision.INT8 if max(losses) <= LARGEST_LOSS * 1.001 else Precision.FP32


def undrawn(cases: Iterable[Case]) -> list[Region]:
    """Name the regions that experts drew in none of some cases: what int8 loses of them cannot be judged there."""
    drawn = np.any([case.labelled for case in cases], axis=0)
    return [region for region, there in zip(REGIONS, drawn, strict=True) if not there]


def mean_dice(network: Network, cases: Iterable[Case]) -> dict[Region, float]:
    """Score a network on prepared cases, mean Dice of each region over the cases in which it was drawn.

    Parameters
    ----------
    network
        Maps ``(1, 4, K, J, I)`` to probabilities.
    cases
        Held-back cases; the sizes are multiples of the stride.

    Returns
    -------
    dict
        Without the regions that were drawn in none of them.
    """
    found: dict[Region, list[float]] = {region: [] for region in REGIONS}
    for case in cases:
        masks = (network(case.images.astype(np.float32)[None])[0] >= 0.5) & case.brain
        for region, mask, labelled in zip(REGIONS, masks, case.labelled, strict=True):
            if labelled:
                found[region].append(dice(mask, region_mask(case.labels, region)))
    return {region: float(np.mean(values)) for region, values in found.items() if values}
