"""Brain mask: an imperfect one, which lacks some brain or leaves some scalp.

How deep a voxel lies is read off the smoothed mask: its value is the normal distribution at depth over deviation. So an
error in millimetres that varies smoothly along the border is a threshold that does, on a coarse grid.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from zweitblick_training.augment.spline import knot_positions, knots_for, upsampled
from zweitblick_training.augmentation import Augmentation

SIGMA_MM = 4.0
"""Of the smoothing; depths up to three times this can be told apart."""

SPACING_MM = 4.0
"""Of the coarse grid."""

ERROR_SPACING_MM = 16.0
"""From one independent error along the border to the next."""

TEXTURE_SPACING_MM = 5.0
"""Of the leftover tissue."""


@dataclass(frozen=True, eq=False)
class Mask:
    """What was taken for brain.

    Parameters
    ----------
    kept
        ``(P, P, P)`` bool: brain that was found.
    leftover
        ``(P, P, P)`` bool: what is no brain and was left standing.
    """

    kept: Tensor
    leftover: Tensor

    @property
    def seen(self) -> Tensor:
        """``(P, P, P)`` bool: where the network is shown anything."""
        return self.kept | self.leftover


def imperfect(brain: Tensor, numbers: Augmentation, rng: Generator) -> Mask:
    """Take some brain away along the border, and in some patches leave some of what lies outside.

    Parameters
    ----------
    brain
        ``(P, P, P)`` bool.
    numbers, rng
        How far, and the draw.
    """
    size = len(brain)
    knots = knots_for(size, SPACING_MM)
    depth = _smoothed(brain, knots)
    error = _error_mm(depth, size, numbers, rng)
    found = upsampled((depth - torch.special.ndtr(error / SIGMA_MM))[None], size)[0] > 0
    if rng.random() < numbers.leftover_share:
        return Mask(brain & found, found & ~brain)
    return Mask(brain & found, torch.zeros_like(brain))


def texture(size: int, rng: Generator) -> Tensor:
    """``(P, P, P)`` float32: what leftover tissue looks like, -1 to 1."""
    knots = knots_for(size, TEXTURE_SPACING_MM)
    return upsampled(torch.as_tensor(rng.uniform(-1, 1, (1, knots, knots, knots)).astype(np.float32)), size)[0]


def _error_mm(depth: Tensor, size: int, numbers: Augmentation, rng: Generator) -> Tensor:
    """How much is taken away at each coarse point; negative is left standing."""
    knots = knots_for(size, ERROR_SPACING_MM)
    coarse = torch.as_tensor(rng.uniform(-1, 1, (1, knots, knots, knots)).astype(np.float32))
    error = upsampled(coarse, len(depth))[0] * rng.uniform(0, 2 * numbers.mask_error_mm)
    error = error.clamp_(-numbers.mask_error_mm, numbers.mask_error_mm)
    border = torch.nonzero((depth - 0.5).abs() < 0.3)
    if len(border) and rng.random() < numbers.missing_share:
        center = border[int(rng.integers(len(border)))]
        step = (size - 1) / (len(depth) - 3)
        along = [(torch.arange(len(depth)) - middle) * step for middle in center]
        distance = torch.stack(torch.meshgrid(*along, indexing="ij")).square().sum(0)
        radius = rng.uniform(*numbers.missing_radius_mm)
        error = error + rng.uniform(0, numbers.missing_mm) * torch.exp(-0.5 * distance / radius**2)
    return error


def _smoothed(brain: Tensor, knots: int) -> Tensor:
    """``(knots, knots, knots)``: share of brain around each coarse point; beyond the patch as at its border."""
    size = len(brain)
    positions = np.clip(knot_positions(size, knots), 0, size - 1)
    weights = np.exp(-0.5 * ((positions[:, None] - np.arange(size)) / SIGMA_MM) ** 2)
    smooth = torch.as_tensor((weights / weights.sum(axis=1, keepdims=True)).astype(np.float32))
    planes = (smooth @ brain.float().reshape(size, -1)).reshape(knots, size, size)
    return smooth @ planes @ smooth.T
