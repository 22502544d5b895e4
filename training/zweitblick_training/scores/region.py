"""Everything that is said of one region of one case."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from zweitblick.measure.component import CONNECTED_26
from zweitblick.volume import Bool
from zweitblick_training.scores.distance import hd95_mm
from zweitblick_training.scores.lesion_wise import LesionWise, lesion_wise
from zweitblick_training.scores.overlap import dice, precision, sensitivity, volume_error

MM3_PER_ML = 1000.0


@dataclass(frozen=True)
class Measured:
    """What needs the spacing of the voxels.

    Parameters
    ----------
    truth_ml, predicted_ml
        Volumes.
    largest_ml
        Volume of the largest 26-connected predicted component.
    hd95_mm
        See `hd95_mm`.
    lesions
        See `lesion_wise`.
    """

    truth_ml: float
    predicted_ml: float
    largest_ml: float
    hd95_mm: float
    lesions: LesionWise

    @property
    def volume_error_ml(self) -> float:
        """Volume found less volume drawn."""
        return self.predicted_ml - self.truth_ml


@dataclass(frozen=True)
class RegionScore:
    """Scores of one region of one case.

    Parameters
    ----------
    dice
        0 to 1, see `dice` for an empty truth.
    sensitivity, precision, volume_error
        See the functions; None where they have no meaning.
    truth_voxels, predicted_voxels
        Numbers of voxels.
    measured
        None for cases whose spacing is not known.
    """

    dice: float
    sensitivity: float | None
    precision: float | None
    volume_error: float | None
    truth_voxels: int
    predicted_voxels: int
    measured: Measured | None


def score_region(predicted: Bool, truth: Bool, spacing_mm: Sequence[float] | None) -> RegionScore:
    """Score one region.

    Parameters
    ----------
    predicted, truth
        ``(K, J, I)`` bool.
    spacing_mm
        Along K, J, I; None if it is not known, and then nothing is said in mm or ml.
    """
    return RegionScore(
        dice=dice(predicted, truth),
        sensitivity=sensitivity(predicted, truth),
        precision=precision(predicted, truth),
        volume_error=volume_error(predicted, truth),
        truth_voxels=int(truth.sum()),
        predicted_voxels=int(predicted.sum()),
        measured=None if spacing_mm is None else _measured(predicted, truth, spacing_mm),
    )


def _measured(predicted: Bool, truth: Bool, spacing_mm: Sequence[float]) -> Measured:
    voxel_ml = float(np.prod(spacing_mm)) / MM3_PER_ML
    components, _ = ndimage.label(predicted, CONNECTED_26)
    sizes = np.bincount(components.ravel())[1:]
    return Measured(
        truth_ml=int(truth.sum()) * voxel_ml,
        predicted_ml=int(predicted.sum()) * voxel_ml,
        largest_ml=int(sizes.max(initial=0)) * voxel_ml,
        hd95_mm=hd95_mm(predicted, truth, spacing_mm),
        lesions=lesion_wise(predicted, truth, spacing_mm),
    )
