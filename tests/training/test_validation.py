"""Validation: the Dice that a training watches is the Dice of whole cases, over what experts drew."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ball_cases import ball_case
from zweitblick.prediction import ENHANCING, Region
from zweitblick_training.case import Case
from zweitblick_training.processes import ALONE
from zweitblick_training.validation import Validation


class Thresholds(nn.Module):
    """Enhancing above 2.5, tumour above 1, and as core all of the head's upper half."""

    def forward(self, x: Tensor) -> Tensor:
        first = x[:, 0].float()
        upper = torch.full_like(first, -1.0)
        upper[:, first.shape[1] // 2 :] = 1.0
        return torch.stack([first - 2.5, upper, first - 1.0], dim=1)


def expected(case: Case) -> dict[Region, float]:
    first = case.images[0].astype(np.float64)
    upper = np.zeros(first.shape, np.bool_)
    upper[first.shape[0] // 2 :] = True
    pairs = {
        Region.ET: (first > 2.5, case.labels == ENHANCING),
        Region.TC: (upper, np.isin(case.labels, (1, 3))),
        Region.WT: (first > 1.0, case.labels > 0),
    }
    return {region: 2 * (a & b).sum() / (a.sum() + b.sum()) for region, (a, b) in pairs.items()}


def test_it_is_the_mean_over_whole_cases() -> None:
    cases = [ball_case("one", size=48, seed=1), ball_case("two", size=48, seed=2)]
    dice = Validation(cases).dice(Thresholds(), ALONE)
    for region in Region:
        assert dice[region] == pytest.approx(np.mean([expected(case)[region] for case in cases]), abs=0.01)


def test_a_region_that_nobody_drew_does_not_count() -> None:
    whole_only = replace(ball_case("one", size=48, seed=1), labelled=np.array([False, False, True]))
    dice = Validation([whole_only]).dice(Thresholds(), ALONE)
    assert np.isnan(dice[Region.ET])
    assert dice[Region.WT] == pytest.approx(expected(whole_only)[Region.WT], abs=0.01)


def test_a_case_without_tumour_does_not_count() -> None:
    healthy = replace(ball_case("one", size=48, seed=1), labels=np.zeros((48, 48, 48), np.uint8))
    ill = ball_case("two", size=48, seed=2)
    assert Validation([healthy, ill]).dice(Thresholds(), ALONE) == Validation([ill]).dice(Thresholds(), ALONE)
