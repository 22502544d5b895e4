"""Scores against MONAI's and against what can be counted by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import compute_dice

from zweitblick.prediction import Region
from zweitblick_training.scores import LesionScore, dice, lesion_scores, region_mask, reporting_limit_ml


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
    predicted[2, 2, 2] = True
    assert lesion_scores(predicted, truth, 0.001) == [LesionScore(0.002, found=True), LesionScore(0.001, found=False)]


def test_the_reporting_limit_is_where_nine_in_ten_are_found() -> None:
    missed = [LesionScore(0.2, found=False), LesionScore(0.5, found=False)]
    found = [LesionScore(float(size), found=True) for size in range(1, 12)]
    assert reporting_limit_ml([*missed, *found]) == 0.5
    assert reporting_limit_ml(found) == 1.0
    assert reporting_limit_ml([LesionScore(3.0, found=False)]) == 3.0
