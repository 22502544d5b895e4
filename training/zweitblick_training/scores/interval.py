"""Mean, median and worst of many patients, with a confidence interval of the mean."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

RESAMPLES, CONFIDENCE, SEED = 9999, 0.95, 20261124
"""Of the bootstrap (Efron 1979), percentile method; the seed makes a second evaluation give the same bytes."""


@dataclass(frozen=True)
class Spread:
    """What many patients gave.

    Parameters
    ----------
    patients
        How many.
    mean, median, worst
        Of the patients' values.
    low, high
        95 % confidence interval of the mean by bootstrap over patients; None of fewer than two patients.
    """

    patients: int
    mean: float
    median: float
    worst: float
    low: float | None
    high: float | None


def spread(values: Iterable[tuple[str, float]], *, larger_is_better: bool = True) -> Spread | None:
    """Summarise values by patient.

    Parameters
    ----------
    values
        Patient and value; a patient with several cases counts once, with their mean.
    larger_is_better
        Which end is the worst.

    Returns
    -------
    Spread or None
        None if there is no value.
    """
    cases: dict[str, list[float]] = {}
    for patient, value in values:
        cases.setdefault(patient, []).append(value)
    each = [float(np.mean(cases[patient])) for patient in sorted(cases)]
    if not each:
        return None
    low, high = _interval(each)
    worst = min(each) if larger_is_better else max(each)
    return Spread(len(each), float(np.mean(each)), float(np.median(each)), worst, low, high)


def _interval(values: Sequence[float]) -> tuple[float, float] | tuple[None, None]:
    if len(values) < 2:
        return None, None
    result = stats.bootstrap(
        (np.asarray(values),),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(SEED),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)
