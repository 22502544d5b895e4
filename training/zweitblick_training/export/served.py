"""The network as it is served: calibrated, as probabilities, nested."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from zweitblick.prediction import REGIONS
from zweitblick_training.export.error import ExportError
from zweitblick_training.network import Probabilities

UNCALIBRATED = (1.0,) * len(REGIONS)
"""Temperatures of ET, TC and WT that change nothing."""


class Tempered(nn.Module):
    """A network whose logits are divided by one temperature a region (Guo 2017).

    What a network is sure of gets less sure above 1 and surer below; what is above .5 stays above.

    Parameters
    ----------
    network
        Maps an image to logits ``(B, 3, K, J, I)``.
    temperature
        Of ET, TC and WT, each above 0.

    Raises
    ------
    ExportError
        If there are not three of them or one is not a positive number.
    """

    def __init__(self, network: nn.Module, temperature: Sequence[float]) -> None:
        super().__init__()
        if len(temperature) != len(REGIONS) or not all(0 < one < math.inf for one in temperature):
            raise ExportError(f"temperatures are {tuple(temperature)}, not {len(REGIONS)} positive numbers")
        self.network = network
        self.register_buffer("temperature", torch.tensor(temperature).reshape(1, -1, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map an image to calibrated logits."""
        return torch.div(self.network(x), self.get_buffer("temperature"))


def probabilities(network: nn.Module, temperature: Sequence[float] = UNCALIBRATED) -> Probabilities:
    """Return a network as it is served; see `Tempered` and `Probabilities`."""
    return Probabilities(Tempered(network, temperature)).eval()
