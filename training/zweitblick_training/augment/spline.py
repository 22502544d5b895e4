"""Cubic B-splines on a cube: a few control points say what every voxel gets (Rueckert 1999)."""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LEAST_KNOTS = 4
"""A cubic spline of one interval."""


def knots_for(size: int, spacing: float) -> int:
    """Control points along an edge of ``size`` voxels when they are about ``spacing`` voxels apart."""
    return max(LEAST_KNOTS, round((size - 1) / spacing) + 3)


def knot_positions(size: int, knots: int) -> NDArray[np.float32]:
    """Voxel index of each control point; the first and the last lie outside.

    Control values that are an affine function of these positions give exactly that function at every voxel.
    """
    return ((np.arange(knots) - 1) * (size - 1) / (knots - 3)).astype(np.float32)


@cache
def basis(size: int, knots: int) -> NDArray[np.float32]:
    """``(size, knots)`` float32: weight of each control point at each voxel; rows sum to 1."""
    where = np.arange(size) * (knots - 3) / max(size - 1, 1)
    first = np.minimum(np.floor(where).astype(int), knots - 4)
    t = where - first
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6
    matrix = np.zeros((size, knots), np.float32)
    for offset, weight in enumerate(weights):
        matrix[np.arange(size), first + offset] = weight
    return matrix


@cache
def _weights(size: int, knots: int, device: torch.device) -> Tensor:
    """Keep the basis on the device that bends the patches."""
    return torch.as_tensor(basis(size, knots), device=device)


def upsampled(controls: Tensor, size: int) -> Tensor:
    """Spline at every voxel.

    Parameters
    ----------
    controls
        ``(C, n, n, n)`` float32.
    size
        Edge of the cube.

    Returns
    -------
    Tensor
        ``(C, size, size, size)`` float32, within the range of the controls.
    """
    channels, knots = controls.shape[:2]
    weights = _weights(size, knots, controls.device)
    planes = weights @ controls.reshape(channels, knots, knots * knots)
    rows = weights @ planes.reshape(channels * size, knots, knots)
    return (rows.reshape(-1, knots) @ weights.T).reshape(channels, size, size, size)
