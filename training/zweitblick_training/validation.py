"""Validation: how well the averaged network does on a few whole cases while it is still learning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from monai.metrics.meandice import compute_dice
from torch import Tensor, nn

from zweitblick.prediction import REGIONS, Region
from zweitblick_training.case import Case
from zweitblick_training.processes import Place
from zweitblick_training.scores import region_mask


@dataclass(frozen=True)
class Validation:
    """Cases to watch; nothing is chosen by them.

    Parameters
    ----------
    cases
        Of patients that are not trained on.
    every
        Steps between two looks.
    """

    cases: Sequence[Case]
    every: int = 500

    def dice(self, network: nn.Module, place: Place) -> Mapping[Region, float]:
        """Mean Dice of each region over the cases where an expert drew it and found some."""
        network.eval()
        with torch.inference_mode(), place.mixed_precision():
            scores = torch.cat([_dice(network, case, place.device) for case in self.cases]).cpu().numpy()
        # A region that nobody drew, or that is not there, is no number and does not count.
        return {
            region: float(np.nanmean(column)) if np.isfinite(column).any() else float("nan")
            for region, column in zip(REGIONS, scores.T, strict=True)
        }


def _dice(network: nn.Module, case: Case, device: torch.device) -> Tensor:
    """Dice of one whole case in one pass, ``(1, 3)``."""
    image = torch.from_numpy(np.asarray(case.images, np.float32))[None].to(device)
    masks = network(image.contiguous(memory_format=torch.channels_last_3d)) > 0
    truth = torch.from_numpy(np.stack([region_mask(case.labels, region) for region in REGIONS]))[None].to(device)
    scores: Tensor = compute_dice(masks, truth, ignore_empty=True)
    return scores.where(torch.from_numpy(case.labelled).to(device), torch.nan)
