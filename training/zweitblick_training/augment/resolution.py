"""Resolution: how finely a sequence was scanned, as one matrix per axis.

Blur, larger voxels and thick slices are linear and separable: ``(P, P)`` matrices with rows that sum to 1.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from zweitblick_training.augmentation import Augmentation

Matrix = NDArray[np.float64]


def blur(size: int, sigma: float) -> Matrix:
    """Gaussian of deviation ``sigma`` voxels along an axis of ``size`` voxels."""
    index = np.arange(size)
    weights = np.exp(-0.5 * ((index[:, None] - index) / sigma) ** 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def slices(size: int, distance: float, *, thickness: float, first: float) -> Matrix:
    """Average over slices and interpolate linearly between their centres, as serving resamples.

    Parameters
    ----------
    size
        Voxels along the axis.
    distance, thickness
        From slice centre to slice centre, and of a slice, in voxels; less thickness than distance is a gap.
    first
        Index of the first slice's centre.
    """
    index = np.arange(size)
    centers = np.arange(first, size - 1 + distance / 2, distance)
    overlap = np.minimum(index + 0.5, centers[:, None] + thickness / 2)
    overlap -= np.maximum(index - 0.5, centers[:, None] - thickness / 2)
    weights = np.clip(overlap, 0, None)
    weights[weights.sum(axis=1) == 0, -1] = 1
    averaged = weights / weights.sum(axis=1, keepdims=True)
    position = np.clip((index - first) / distance, 0, len(centers) - 1)
    between = np.clip(1 - np.abs(position[:, None] - np.arange(len(centers))), 0, None)
    return np.asarray(between @ averaged)


def applied(image: Tensor, matrices: Mapping[int, Matrix]) -> Tensor:
    """Multiply an image ``(P, P, P)`` by the matrix of each axis."""
    size = len(image)
    for axis, matrix in matrices.items():
        weights = torch.as_tensor(matrix.astype(np.float32))
        if axis == 0:
            image = (weights @ image.reshape(size, -1)).reshape(image.shape)
        else:
            image = weights @ image if axis == 1 else image @ weights.T
    return image


def draw_matrices(size: int, numbers: Augmentation, rng: Generator, *, thick: bool) -> dict[int, Matrix]:
    """Draw one sequence's resolution: a matrix for each axis that loses some.

    Parameters
    ----------
    size
        Edge of the patch.
    numbers, rng
        How far, and the draw.
    thick
        Whether the study was scanned in thick slices.
    """
    matrices: dict[int, Matrix] = {}
    if rng.random() < numbers.blur_share:
        sigma = rng.uniform(*numbers.blur_mm)
        matrices = dict.fromkeys(range(3), blur(size, sigma))
    if rng.random() < numbers.low_resolution_share:
        edge = rng.uniform(*numbers.low_resolution_mm)
        larger = slices(size, edge, thickness=edge, first=rng.uniform(0, edge / 2))
        matrices = {axis: larger @ matrices.get(axis, np.eye(size)) for axis in range(3)}
    if thick and rng.random() < numbers.thick_sequence_share:
        axis = int(rng.choice(3, p=numbers.thick_axis_shares))
        distance = rng.uniform(*numbers.thick_mm)
        coverage = rng.uniform(*numbers.thick_coverage)
        stack = slices(size, distance, thickness=distance * coverage, first=rng.uniform(0, distance / 2))
        matrices[axis] = stack @ matrices.get(axis, np.eye(size))
    return matrices
