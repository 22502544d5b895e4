"""Curves: another scanner's intensities, as one monotone table per sequence.

Everything that depends on a voxel's own intensity alone is composed on a small table and looked up once. Order is kept,
so a lesion that stood out still does. As serving would, the table is normalised over the whole brain, not the patch.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from zweitblick.model.prepare import CHANNELS, CLIP_PERCENT
from zweitblick.study import Sequence
from zweitblick_training.augment.spline import basis
from zweitblick_training.augmentation import Augmentation
from zweitblick_training.case import Case

Floats = NDArray[np.float32]

ENTRIES = 2048
"""Steps of a table: far finer than the 7 bits of the packed cases."""

EVERY = 7
"""Voxels along each axis from one that is counted for the statistics to the next: some thousands in a brain."""

REMAP_KNOTS = 7
"""Control points of a random curve: enough for two bends."""

UNSEEN_SHARE = 0.01
"""A sequence with more exact zeros in the brain than this was cut; its zeros stay zeros."""


@dataclass(frozen=True, eq=False)
class Curve:
    """New intensity for old.

    Parameters
    ----------
    low, high
        Old intensities of the table's first and last entry; beyond, these entries hold.
    table
        ``(ENTRIES,)`` float32, never falling.
    cut
        Whether part of the brain lies outside of the sequence's field of view, as 0.
    """

    low: float
    high: float
    table: Floats
    cut: bool = False

    @property
    def low_end(self) -> float:
        """New intensity of the darkest brain, about what gives no signal."""
        return float(self.table[0])

    def __call__(self, image: Tensor) -> Tensor:
        """Pass an image of any shape, float32, through the curve."""
        unit = (ENTRIES - 1) / max(self.high - self.low, 1e-6)
        index = ((image - self.low) * unit).add_(0.5).clamp_(0, ENTRIES - 1).int()
        passed = torch.as_tensor(self.table, device=image.device).index_select(0, index.flatten()).reshape(image.shape)
        return passed * (image != 0) if self.cut else passed


def draw_curve(case: Case, sequence: int, numbers: Augmentation, rng: Generator) -> Curve:
    """Draw the curve of one sequence.

    Parameters
    ----------
    case
        Whose brain gives the statistics.
    sequence
        Channel.
    numbers, rng
        How far, and the draw.
    """
    every = (slice(EVERY // 2, None, EVERY),) * 3
    inside = case.images[sequence][every][case.brain[every]].astype(np.float32)
    values = np.sort(inside[inside != 0])
    if not len(values) or values[0] == values[-1]:
        values = np.array([-1, 1], np.float32)
    low, high = float(values[0]), float(values[-1])
    unit = np.asarray((values - low) / (high - low), np.float32)
    bent = _bent(unit, CHANNELS[sequence] is Sequence.T1C, numbers, rng)
    table = _contrasted(_normalised(bent, unit), numbers, rng)
    cut = bool(np.mean(inside == 0) > UNSEEN_SHARE) if len(inside) else False
    return Curve(low, high, table.astype(np.float32), cut)


def _bent(unit: Floats, contrast_agent: bool, numbers: Augmentation, rng: Generator) -> Floats:  # noqa: FBT001  # a fact
    """Compose the bends on [0, 1]; 0 and 1 stay."""
    steepness = np.zeros(ENTRIES, np.float32)
    if rng.random() < numbers.remap_share:
        knots = rng.normal(0, numbers.remap_strength, REMAP_KNOTS).clip(-2, 2).astype(np.float32)
        steepness = basis(ENTRIES, REMAP_KNOTS) @ knots
    if contrast_agent and rng.random() < numbers.fat_suppressed_share:
        healthy = slice(*(np.percentile(unit, (5, 95)) * (ENTRIES - 1)).astype(int))
        steepness[healthy] += np.log(rng.uniform(*numbers.fat_suppressed_slope))
    curve = np.cumsum(np.exp(steepness)) - np.exp(steepness[0])
    curve /= curve[-1]
    if rng.random() < numbers.gamma_share:
        curve = curve ** rng.uniform(*numbers.gamma)
    if rng.random() < numbers.inverted_gamma_share:
        curve = 1 - (1 - curve).clip(0, 1) ** rng.uniform(*numbers.gamma)
    return np.asarray(curve, np.float32)


def _normalised(curve: Floats, unit: Floats) -> Floats:
    """Clip and scale as serving does, by what the curve makes of the brain."""
    passed = curve[(unit * (ENTRIES - 1) + 0.5).astype(int)]
    low, high = np.percentile(passed, CLIP_PERCENT)
    clipped = np.clip(passed, low, high)
    return np.asarray((np.clip(curve, low, high) - clipped.mean()) / max(float(clipped.std()), 1e-3), np.float32)


def _contrasted(table: Floats, numbers: Augmentation, rng: Generator) -> Floats:
    """Scale and shift what is normalised: a brain mask that is wrong, or a large lesion, does so too."""
    if rng.random() >= numbers.contrast_share:
        return table
    return table * rng.uniform(*numbers.contrast) + rng.uniform(-numbers.brightness, numbers.brightness)
