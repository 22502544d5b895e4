"""Scores: how well a prediction agrees with what experts drew."""

from zweitblick_training.scores.calibration import (
    Histogram,
    Reliability,
    calibration_error,
    fitted_temperature,
    reliability,
    sharpened,
)
from zweitblick_training.scores.distance import WORST_HD95_MM, hd95_mm
from zweitblick_training.scores.interval import Spread, spread
from zweitblick_training.scores.lesion_wise import LesionWise, lesion_wise
from zweitblick_training.scores.overlap import (
    SMALLEST_FALSE_ENHANCING,
    dice,
    precision,
    region_mask,
    sensitivity,
    volume_error,
)
from zweitblick_training.scores.region import Measured, RegionScore, score_region
from zweitblick_training.scores.validated import LesionScore, UnprovenError, lesion_scores, validated_ml

__all__ = [
    "SMALLEST_FALSE_ENHANCING",
    "WORST_HD95_MM",
    "Histogram",
    "LesionScore",
    "LesionWise",
    "Measured",
    "RegionScore",
    "Reliability",
    "Spread",
    "UnprovenError",
    "calibration_error",
    "dice",
    "fitted_temperature",
    "hd95_mm",
    "lesion_scores",
    "lesion_wise",
    "precision",
    "region_mask",
    "reliability",
    "score_region",
    "sensitivity",
    "sharpened",
    "spread",
    "validated_ml",
    "volume_error",
]
