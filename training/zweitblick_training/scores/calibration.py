"""Calibration: is a voxel of probability 0.7 tumour in seven cases of ten, and by what temperature would it be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from scipy.special import expit, logit

from zweitblick.volume import Bool, Float32, Float64

CURVE_BINS = 20
"""Points of a reliability curve (Niculescu-Mizil 2005), equally wide in probability."""

LARGEST_LOGIT, BINS_PER_UNIT = 12, 10
EDGES = np.union1d(
    np.linspace(-LARGEST_LOGIT, LARGEST_LOGIT, 2 * LARGEST_LOGIT * BINS_PER_UNIT + 1),
    logit(np.arange(1, CURVE_BINS) / CURVE_BINS),
)
"""Logits that part the bins, the limits of the curve's points among them. The bin below the first holds what the
pipeline set to 0, too."""

TEMPERATURES = 0.2, 5.0
"""Range in which the temperature is sought."""


@dataclass(frozen=True, eq=False)
class Histogram:
    """Voxels by predicted probability; histograms of many cases add up.

    Parameters
    ----------
    voxels, true
        ``(len(EDGES) + 1,)`` int64: how many voxels a bin has, and how many of them are in the region.
    probability
        ``(len(EDGES) + 1,)`` float64: sum of their predicted probabilities.
    """

    voxels: NDArray[np.int64]
    true: NDArray[np.int64]
    probability: Float64

    @classmethod
    def of(cls, probabilities: Float32, truth: Bool) -> Self:
        """Count voxels; both arrays have the same shape, usually that of the brain's voxels."""
        values = np.asarray(probabilities, np.float64).ravel()
        bins = np.searchsorted(expit(EDGES), values, side="right")
        size = len(EDGES) + 1
        return cls(
            np.bincount(bins, minlength=size),
            np.bincount(bins[truth.ravel()], minlength=size),
            np.bincount(bins, weights=values, minlength=size).astype(np.float64),
        )

    @classmethod
    def sum(cls, histograms: Sequence["Histogram"]) -> Self:
        """Add histograms up; of none, all bins are empty."""
        size = len(EDGES) + 1
        return cls(
            np.sum([one.voxels for one in histograms], axis=0, initial=0) + np.zeros(size, np.int64),
            np.sum([one.true for one in histograms], axis=0, initial=0) + np.zeros(size, np.int64),
            np.sum([one.probability for one in histograms], axis=0, initial=0) + np.zeros(size),
        )


@dataclass(frozen=True)
class Reliability:
    """One point of a reliability curve.

    Parameters
    ----------
    voxels
        How many voxels it stands for.
    predicted
        Their mean predicted probability.
    true
        Share of them that is in the region.
    """

    voxels: int
    predicted: float
    true: float


def reliability(histogram: Histogram) -> tuple[Reliability, ...]:
    """Return the points of the curve that have voxels, at most `CURVE_BINS`.

    A bin of the histogram belongs to the point in whose range its mean probability lies.
    """
    means = histogram.probability / np.maximum(histogram.voxels, 1)
    point = np.minimum((means * CURVE_BINS).astype(int), CURVE_BINS - 1)
    totals = [np.bincount(point, weights=of, minlength=CURVE_BINS) for of in _columns(histogram)]
    return tuple(
        Reliability(int(voxels), float(probability / voxels), float(true / voxels))
        for voxels, true, probability in zip(*totals, strict=True)
        if voxels > 0
    )


def calibration_error(histogram: Histogram) -> float:
    """Return the expected calibration error (Naeini 2015): mean distance of curve and diagonal, by voxels."""
    curve = reliability(histogram)
    voxels = sum(point.voxels for point in curve)
    return sum(point.voxels * abs(point.predicted - point.true) for point in curve) / voxels if voxels else 0.0


def sharpened(histogram: Histogram, temperature: float) -> Histogram:
    """Return what the histogram would be had every logit been divided by the temperature.

    The lowest bin stays: what is 0 has no logit. Bins keep their voxels, only their probabilities change.
    """
    probability = expit(_logits(histogram) / temperature) * histogram.voxels
    probability[0] = histogram.probability[0]
    return Histogram(histogram.voxels, histogram.true, probability)


def fitted_temperature(histograms: Sequence[Histogram]) -> float:
    """Return the temperature that makes the truth likeliest (Guo 2017), fitted on validation cases.

    One temperature serves all regions: dividing every logit by the same positive number keeps ET <= TC <= WT and
    moves no probability across one half, so that the masks stay as they are. The lowest bin is left out, as no
    temperature changes it.

    Parameters
    ----------
    histograms
        One for each region.

    Returns
    -------
    float
        Rounded to three digits; above 1 the network is too sure of itself.
    """
    found = optimize.minimize_scalar(
        lambda log_temperature: sum(_surprise(one, float(np.exp(log_temperature))) for one in histograms),
        bounds=np.log(TEMPERATURES),
        method="bounded",
    )
    return float(np.round(np.exp(found.x), 3))


def _surprise(histogram: Histogram, temperature: float) -> float:
    """Negative log likelihood, nats, of all bins but the lowest."""
    logits = _logits(histogram)[1:] / temperature
    true, false = histogram.true[1:], (histogram.voxels - histogram.true)[1:]
    return float(np.sum(true * np.logaddexp(0, -logits) + false * np.logaddexp(0, logits)))


def _logits(histogram: Histogram) -> Float64:
    """Logit of each bin's mean probability; what is as good as 1 has the largest."""
    middles = np.concatenate([[EDGES[0]], (EDGES[1:] + EDGES[:-1]) / 2, [EDGES[-1]]])
    means = np.where(histogram.voxels > 0, histogram.probability / np.maximum(histogram.voxels, 1), expit(middles))
    return np.asarray(np.clip(logit(np.clip(means, 1e-12, 1 - 1e-12)), EDGES[0], EDGES[-1]), np.float64)


def _columns(histogram: Histogram) -> tuple[Float64, Float64, Float64]:
    return histogram.voxels.astype(float), histogram.true.astype(float), histogram.probability
