"""Calibration of an evaluation: one temperature, and the reliability curve before and after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zweitblick.prediction import REGIONS, Region
from zweitblick_training.scores import (
    Histogram,
    Reliability,
    calibration_error,
    fitted_temperature,
    reliability,
    sharpened,
)


@dataclass(frozen=True)
class Curve:
    """One region's reliability.

    Parameters
    ----------
    points
        Of the curve, before the temperature.
    error, error_after
        Expected calibration error over the voxels of the brain before and after the temperature.
    """

    points: tuple[Reliability, ...]
    error: float
    error_after: float


@dataclass(frozen=True)
class Calibration:
    """How far probabilities can be believed.

    Parameters
    ----------
    temperature
        Fitted; 1 if there was nothing to fit on. It is fitted on the same cases that the curves show.
    curves
        By region.
    """

    temperature: float
    curves: Mapping[Region, Curve]


def calibration(cases: Sequence[Mapping[Region, Histogram]]) -> Calibration:
    """Fit one temperature over the histograms of many cases."""
    if not cases:
        return Calibration(1.0, {})
    sums = {region: Histogram.sum([case[region] for case in cases if region in case]) for region in REGIONS}
    temperature = fitted_temperature(list(sums.values()))
    return Calibration(temperature, {region: _curve(one, temperature) for region, one in sums.items()})


def _curve(histogram: Histogram, temperature: float) -> Curve:
    after = sharpened(histogram, temperature)
    return Curve(reliability(histogram), calibration_error(histogram), calibration_error(after))
