"""Run: where a training keeps its state, and the weights that come out of it."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from zweitblick_training.network import built
from zweitblick_training.recipe import Recipe


@dataclass(frozen=True)
class Run:
    """Where a run keeps its state.

    Parameters
    ----------
    folder
        Holds ``recipe.yaml``, ``splits.json``, ``losses.jsonl``, ``checkpoint.pt`` and TensorBoard's events.
    save_every
        Steps between checkpoints.
    workers
        Processes that make samples; the samples do not depend on it.
    """

    folder: Path
    save_every: int = 100
    workers: int = 1

    @property
    def checkpoint(self) -> Path:
        """The last complete state."""
        return self.folder / "checkpoint.pt"

    @property
    def losses(self) -> Path:
        """One JSON object per step."""
        return self.folder / "losses.jsonl"

    @property
    def recipe(self) -> Path:
        """What it follows."""
        return self.folder / "recipe.yaml"

    @property
    def sides(self) -> Path:
        """Which cases it learns from and which it never sees."""
        return self.folder / "splits.json"


def device_type(run: Run) -> str:
    """Return what a run computed on last, as torch calls it: ``cpu`` or ``cuda``."""
    return str(torch.load(run.checkpoint, map_location="cpu", mmap=True, weights_only=True)["device"])


def steps_made(run: Run) -> int:
    """Return after how many steps a run's last checkpoint was written; 0 if there is none yet."""
    if not run.checkpoint.exists():
        return 0
    return int(torch.load(run.checkpoint, map_location="cpu", mmap=True, weights_only=True)["step"])


def averaged(run: Run) -> nn.Module:
    """Return the moving average of a run's weights, ready to evaluate."""
    network = built(Recipe.read_whole(run.recipe))
    average = AveragedModel(network, use_buffers=True)
    average.load_state_dict(torch.load(run.checkpoint, map_location="cpu", weights_only=True)["average"])
    network.load_state_dict(average.module.state_dict())
    return network.eval()
