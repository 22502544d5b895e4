"""Lesion-wise scores, distances and calibration against SimpleITK, MONAI and what can be counted by hand."""

import math
from itertools import pairwise

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import ConfusionMatrixMetric, HausdorffDistanceMetric

from zweitblick_training.scores import (
    WORST_HD95_MM,
    Histogram,
    calibration_error,
    dice,
    fitted_temperature,
    hd95_mm,
    lesion_wise,
    precision,
    reliability,
    score_region,
    sensitivity,
    sharpened,
    spread,
    volume_error,
)

SEEDS = st.integers(0, 2**32 - 1)
SPACING_MM = (3.0, 1.0, 2.0)


def blobs(seed: int, count: int = 4, size: int = 32) -> np.ndarray:
    rng = np.random.default_rng(seed)
    k, j, i = np.ogrid[:size, :size, :size]
    mask = np.zeros((size, size, size), np.bool_)
    for _ in range(rng.integers(0, count + 1)):
        center, radius = rng.integers(2, size - 2, 3), rng.uniform(0.8, 5)
        mask |= (k - center[0]) ** 2 + (j - center[1]) ** 2 + (i - center[2]) ** 2 <= radius**2
    return mask


def components_26(mask: np.ndarray) -> list[np.ndarray]:
    labels = sitk.GetArrayFromImage(sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)), True))
    return [labels == number for number in range(1, labels.max() + 1)]


def dilated_18(mask: np.ndarray) -> np.ndarray:
    """Three dilations by the neighbours that share a face or an edge, one shift after another."""
    for _ in range(3):
        padded = np.pad(mask, 1)
        shifts = [s for s in np.ndindex(3, 3, 3) if sum(abs(one - 1) for one in s) <= 2]
        mask = np.any([padded[tuple(slice(o, o + n) for o, n in zip(s, mask.shape, strict=True))] for s in shifts], 0)
    return mask


def challenge_rule(predicted: np.ndarray, truth: np.ndarray, voxel_mm3: float) -> tuple[float, int, int, int]:
    """Dice, found, missed, false positives, lesion after lesion and on whole arrays."""
    parts = components_26(predicted)
    matched, dices, found = set(), [], 0
    for reach in components_26(dilated_18(truth)):
        lesion = truth & reach
        touching = [number for number, part in enumerate(parts) if (part & dilated_18(lesion)).any()]
        matched |= set(touching)
        if lesion.sum() * voxel_mm3 > 50:
            mine = np.any([parts[number] for number in touching], axis=0) if touching else np.zeros_like(truth)
            dices.append(2 * (mine & lesion).sum() / (mine.sum() + lesion.sum()))
            found += bool(touching)
    false = len(parts) - len(matched)
    return (sum(dices) / (len(dices) + false) if dices or false else 1.0), found, len(dices) - found, false


@given(SEEDS)
@settings(deadline=None, max_examples=25)
def test_lesions_are_scored_as_the_challenge_has_it(seed: int) -> None:
    truth, predicted = blobs(seed), blobs(seed + 1) | blobs(seed, count=3)
    scored = lesion_wise(predicted, truth, SPACING_MM)
    expected = challenge_rule(predicted, truth, math.prod(SPACING_MM))
    assert (scored.found, scored.missed, scored.false_positives) == expected[1:]
    assert scored.dice == pytest.approx(expected[0])


@given(SEEDS)
@settings(deadline=None, max_examples=15)
def test_a_perfect_outline_is_perfect_lesion_by_lesion(seed: int) -> None:
    truth = blobs(seed)
    scored = lesion_wise(truth, truth, SPACING_MM)
    assert (scored.dice, scored.hd95_mm, scored.missed, scored.false_positives) == (1.0, 0.0, 0, 0)


@pytest.mark.filterwarnings("ignore:monai.metrics.utils get_mask_edges:FutureWarning")
@given(SEEDS)
@settings(deadline=None, max_examples=15)
def test_distance_and_counts_are_monais(seed: int) -> None:
    truth, predicted = blobs(seed), blobs(seed + 1)
    if not truth.any() or not predicted.any():
        return
    ours, theirs = (torch.from_numpy(mask)[None, None] for mask in (predicted, truth))
    distance = HausdorffDistanceMetric(include_background=True, percentile=95)(ours, theirs, spacing=[3.0, 1.0, 2.0])
    assert hd95_mm(predicted, truth, SPACING_MM) == pytest.approx(float(distance), rel=1e-5)
    for name, value in (("sensitivity", sensitivity(predicted, truth)), ("precision", precision(predicted, truth))):
        metric = ConfusionMatrixMetric(metric_name=name)
        metric(ours.float(), theirs.float())
        assert value == pytest.approx(float(metric.aggregate()[0]), abs=1e-6)


def test_distance_of_two_points_is_the_way_between_them() -> None:
    one, other = np.zeros((2, 12, 12, 12), np.bool_)
    one[2, 2, 2] = other[3, 6, 2] = True
    assert hd95_mm(one, other, SPACING_MM) == pytest.approx(math.hypot(3, 4))


def test_distance_with_an_empty_side_is_the_challenges() -> None:
    empty, full = np.zeros((4, 4, 4), np.bool_), np.ones((4, 4, 4), np.bool_)
    assert hd95_mm(empty, empty, SPACING_MM) == 0
    assert hd95_mm(full, empty, SPACING_MM) == hd95_mm(empty, full, SPACING_MM) == WORST_HD95_MM == 374


def test_distance_does_not_depend_on_the_air_around() -> None:
    truth, predicted = blobs(5), blobs(8)
    padded = [np.pad(mask, 7) for mask in (predicted, truth)]
    assert hd95_mm(*padded, SPACING_MM) == pytest.approx(hd95_mm(predicted, truth, SPACING_MM))


def test_a_small_truth_lesion_counts_neither_way_but_claims_what_touches_it() -> None:
    truth = np.zeros((20, 20, 20), np.bool_)
    truth[4:7, 4:7, 4:7] = True
    scored = lesion_wise(truth, truth, (1.0, 1.0, 1.0))
    assert (scored.dice, scored.found, scored.missed, scored.false_positives) == (1.0, 0, 0, 0)
    assert lesion_wise(truth, truth, (2.0, 1.0, 1.0)).found == 1


def test_every_part_found_beside_the_truth_is_a_false_positive() -> None:
    truth, predicted = np.zeros((2, 24, 24, 24), np.bool_)
    truth[2:8, 2:8, 2:8] = predicted[2:8, 2:8, 2:8] = True
    predicted[16, 16, 16] = predicted[20, 20, 20] = True
    scored = lesion_wise(predicted, truth, (1.0, 1.0, 1.0))
    assert scored.false_positives == 2
    assert scored.dice == pytest.approx(1 / 3)
    assert scored.hd95_mm == pytest.approx(2 * WORST_HD95_MM / 3)


def test_what_cannot_be_said_is_none() -> None:
    empty, full = np.zeros((4, 4, 4), np.bool_), np.ones((4, 4, 4), np.bool_)
    assert sensitivity(full, empty) is volume_error(full, empty) is None
    assert precision(empty, full) is None
    assert volume_error(full, full) == 0
    assert volume_error(empty, full) == -1
    assert score_region(full, full, None).measured is None


@given(SEEDS)
@settings(deadline=None, max_examples=15)
def test_dice_lies_between_its_parts(seed: int) -> None:
    truth, predicted = blobs(seed), blobs(seed + 1)
    recall, share = sensitivity(predicted, truth), precision(predicted, truth)
    if recall and share:
        assert dice(predicted, truth) == pytest.approx(2 * recall * share / (recall + share))


def test_volumes_are_in_ml() -> None:
    mask = np.zeros((10, 10, 10), np.bool_)
    mask[:5, :5, :4] = True
    mask[9, 9, 9] = True
    measured = score_region(mask, mask, SPACING_MM).measured
    assert measured is not None
    assert measured.truth_ml == pytest.approx(0.606)
    assert measured.largest_ml == pytest.approx(0.6)
    assert measured.volume_error_ml == 0


def drawn(temperature: float, voxels: int = 200_000) -> Histogram:
    """Voxels whose truth was drawn with the probability that the temperature makes of the predicted one."""
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 3, voxels)
    truth = rng.random(voxels) < 1 / (1 + np.exp(-logits / temperature))
    return Histogram.of((1 / (1 + np.exp(-logits))).astype(np.float32), truth)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_the_temperature_that_was_put_in_is_found(temperature: float) -> None:
    histogram = drawn(temperature)
    assert fitted_temperature([histogram]) == pytest.approx(temperature, rel=0.03)
    assert calibration_error(sharpened(histogram, temperature)) < 0.01


def test_a_curve_shows_the_share_that_is_true() -> None:
    probabilities = np.repeat(np.float32([0.12, 0.72]), 100)
    truth = np.concatenate([np.arange(100) < 10, np.arange(100) < 90])
    low, high = reliability(Histogram.of(probabilities, truth))
    assert (low.voxels, low.true, high.true) == (100, 0.1, 0.9)
    assert calibration_error(Histogram.of(probabilities, truth)) == pytest.approx((0.02 + 0.18) / 2, abs=1e-6)


@given(SEEDS)
@settings(deadline=None, max_examples=10)
def test_histograms_add_up(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, truth = rng.random(500).astype(np.float32), rng.random(500) < 0.3
    halves = Histogram.sum([Histogram.of(values[:200], truth[:200]), Histogram.of(values[200:], truth[200:])])
    whole = Histogram.of(values, truth)
    assert (halves.voxels == whole.voxels).all()
    assert (halves.true == whole.true).all()
    assert halves.probability == pytest.approx(whole.probability)
    assert all(one.predicted < other.predicted for one, other in pairwise(reliability(whole)))


def test_an_interval_is_of_patients_not_of_cases() -> None:
    many = spread([("a", 0.0)] * 50 + [("b", 1.0)])
    assert many is not None
    assert (many.patients, many.mean, many.worst) == (2, 0.5, 0.0)
    alone = spread([("a", 0.3), ("a", 0.5)])
    assert alone is not None
    assert (alone.mean, alone.low, alone.high) == (0.4, None, None)
    assert spread([]) is None


def test_the_interval_is_about_what_theory_says() -> None:
    values = np.random.default_rng(0).normal(0.8, 0.1, 100)
    found = spread((str(number), float(value)) for number, value in enumerate(values))
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    half = 1.96 * values.std(ddof=1) / 10
    assert found.mean - found.low == pytest.approx(half, rel=0.1)
    assert found.high - found.mean == pytest.approx(half, rel=0.1)


def test_the_worst_of_errors_is_the_largest() -> None:
    found = spread([("a", 1.0), ("b", 9.0)], larger_is_better=False)
    assert found is not None
    assert found.worst == 9
