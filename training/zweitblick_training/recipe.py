"""Recipe: every number that a run depends on, frozen and saved with the model."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Recipe:
    """How the tumour network is trained.

    Parameters
    ----------
    features
        Channels of each level, the first at half resolution.
    patch, batch
        Edge of a cubic training patch in voxels of 1 mm, and patches a step.
    steps, warmup
        Optimiser steps in all, and those over which the rate rises from 0.
    rate, decay
        AdamW's peak learning rate and weight decay (Loshchilov 2019).
    ema
        Decay of the moving average of the weights that is released.
    clip
        Largest gradient norm.
    sequence_dropout
        Share of samples in which a random subset of the sequences is withheld.
    shares
        How often each data set is drawn from.
    tumour_share
        Share of patches centred on a tumour voxel.
    rotation_deg, scale
        Largest rotation about each axis, and largest relative change of size.
    seed
        Of weights and of every sample; sample ``n`` depends on ``(seed, n)`` alone, which makes resuming exact.
    """

    features: tuple[int, ...] = (24, 48, 96, 192)
    patch: int = 96
    batch: int = 2
    steps: int = 3000
    warmup: int = 100
    rate: float = 2e-3
    decay: float = 1e-2
    ema: float = 0.998
    clip: float = 12.0
    sequence_dropout: float = 0.3
    shares: tuple[tuple[str, float], ...] = (("brats", 0.7), ("lgg", 0.27), ("nontumour", 0.03))
    tumour_share: float = 0.75
    rotation_deg: float = 20.0
    scale: float = 0.2
    seed: int = 20261124

    def to_json(self) -> str:
        """As a JSON object, keys in the order of the fields."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, path: Path) -> Self:
        """Read what `to_json` wrote; an unknown key raises ``TypeError``."""
        values = json.loads(path.read_text(encoding="utf-8"))
        values["features"] = tuple(values["features"])
        values["shares"] = tuple((source, share) for source, share in values["shares"])
        return cls(**values)
