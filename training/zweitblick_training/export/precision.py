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
    """Decide from the mean Dice of each region over the same cases.

    Raises
    ------
    ExportError
        If one of them lacks a region, or a value is not in [0, 1].
    """
    for values in (fp32, int8):
        if set(values) != set(REGIONS) or not all(0 <= value <= 1 for value in values.values()):
            raise ExportError(f"mean Dice is {dict(values)}; a value in [0, 1] of each of ET, TC and WT is needed")
    # A thousandth of the limit is left to rounding: .8 - .795 is above .005 in binary.
    losses = [fp32[region] - int8[region] for region in REGIONS]
    return Precision.INT8 if max(losses) <= LARGEST_LOSS * 1.001 else Precision.FP32


def mean_dice(network: Network, cases: Iterable[Case]) -> dict[Region, float]:
    """Score a network on prepared cases, mean Dice of each region over the cases in which it was drawn.

    Parameters
    ----------
    network
        Maps ``(1, 4, K, J, I)`` to probabilities.
    cases
        Held-back cases; the sizes are multiples of the stride.

    Raises
    ------
    ExportError
        If a region was drawn in none of them.
    """
    found: dict[Region, list[float]] = {region: [] for region in REGIONS}
    for case in cases:
        masks = (network(case.images.astype(np.float32)[None])[0] >= 0.5) & case.brain
        for region, mask, labelled in zip(REGIONS, masks, case.labelled, strict=True):
            if labelled:
                found[region].append(dice(mask, region_mask(case.labels, region)))
    missing = [region for region in REGIONS if not found[region]]
    if missing:
        raise ExportError(f"{', '.join(missing)}: drawn in no case; name held-back cases with expert labels")
    return {region: float(np.mean(values)) for region, values in found.items()}
