"""Scores against MONAI's and against what can be counted by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import compute_dice

from zweitblick.prediction import Region
from zweitblick_training.scores import LesionScore, UnprovenError, dice, lesion_scores, region_mask, validated_ml


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
@settings(deadline=None)
def test_dice_is_monais(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    predicted, truth = rng.random((2, 6, 7, 8)) < share
    if not truth.any():
        return
    oracle = compute_dice(torch.from_numpy(predicted)[None, None], torch.from_numpy(truth)[None, None])
    assert dice(predicted, truth) == pytest.approx(float(oracle), abs=1e-6)


def test_an_empty_truth_scores_one_until_fifty_voxels_are_predicted() -> None:
    empty, predicted = np.zeros((2, 10, 10, 10), np.bool_)
    predicted.flat[:49] = True
    assert dice(predicted, empty) == 1.0
    predicted.flat[:50] = True
    assert dice(predicted, empty) == 0.0


def test_regions_of_labels() -> None:
    labels = np.array([[[0, 1, 2, 3]]], np.uint8)
    assert region_mask(labels, Region.ET).tolist() == [[[False, False, False, True]]]
    assert region_mask(labels, Region.TC).tolist() == [[[False, True, False, True]]]
    assert region_mask(labels, Region.WT).tolist() == [[[False, True, True, True]]]


def test_lesions_touching_at_a_corner_are_one() -> None:
    truth = np.zeros((8, 8, 8), np.bool_)
    truth[1, 1, 1] = truth[2, 2, 2] = True
    truth[6, 6, 6] = True
    predicted = np.zeros_like(truth)
    predicted[2, 2, 2:5] = True
    assert lesion_scores(predicted, truth, 0.001) == [LesionScore(0.002, 0.003), LesionScore(0.001, 0.0)]


def test_a_size_is_validated_where_nine_in_ten_are_found() -> None:
    missed = [LesionScore(0.2, 0.0), LesionScore(5.5, 0.1)]
    found = [LesionScore(float(size), float(size)) for size in range(1, 14)]
    assert validated_ml([*missed, *found], listed_from_ml=0.5) == 1.0


def test_the_size_of_a_missed_lesion_is_never_validated() -> None:
    lesions = [LesionScore(1.7, 0.0), *(LesionScore(size, size) for size in (30.3, 40.0, 50.0, 60.0, 70.0, 80.0))]
    assert validated_ml(lesions, listed_from_ml=0.5) == 30.3


def test_few_lesions_prove_nothing() -> None:
    with pytest.raises(UnprovenError, match="4 lesions"):
        validated_ml([LesionScore(9.0, 9.0)] * 4, listed_from_ml=0.5)
    with pytest.raises(UnprovenError):
        validated_ml([LesionScore(9.0, 0.2)] * 9, listed_from_ml=0.5)
