"""Run: where a training keeps its state, and the weights that come out of it."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch.optim.swa_utils import AveragedModel

from zweitblick_training.network import HalfResolutionUNet
from zweitblick_training.recipe import Recipe


@dataclass(frozen=True)
class Run:
    """Where a run keeps its state.

    Parameters
    ----------
    folder
        Holds ``recipe.json``, ``losses.jsonl`` and ``checkpoint.pt``.
    """

    folder: Path

    @property
    def checkpoint(self) -> Path:
        """The last complete state."""
        return self.folder / "checkpoint.pt"

    @property
    def losses(self) -> Path:
        """One JSON object per step."""
        return self.folder / "losses.jsonl"


def averaged(run: Run, recipe: Recipe) -> HalfResolutionUNet:
    """Return the moving average of a run's weights, ready to evaluate."""
    network = HalfResolutionUNet(recipe.features)
    average = AveragedModel(network, use_buffers=True)
    average.load_state_dict(torch.load(run.checkpoint, weights_only=True)["average"])
    network.load_state_dict(average.module.state_dict())
    return network.eval()
