"""Augment: a random patch of a case, as another scanner and another position might have shown it.

Geometry and intensities follow what nnU-Net found to matter (Isensee 2021), plus thick slices and a bias field.
Every number drawn comes from the generator that is passed, so a sample can be made again.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from zweitblick.prediction import CORE, ENHANCING
from zweitblick_training.case import Case
from zweitblick_training.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Sample:
    """One training patch.

    Parameters
    ----------
    image
        ``(4, P, P, P)`` float32.
    target
        ``(3, P, P, P)`` float32, ET, TC, WT as 0 or 1.
    labelled
        ``(3,)`` float32, 1 where the region was drawn by an expert.
    """

    image: Tensor
    target: Tensor
    labelled: Tensor


def sample(case: Case, recipe: Recipe, rng: Generator) -> Sample:
    """Draw a patch: place, position, intensities, missing sequences."""
    stack, labels = _moved(case, _center(case, recipe, rng), recipe, rng)
    image, brain = stack[:-1], stack[-1:] >= 0.5
    image = _withheld(_recoloured(image, rng), case.present, recipe, rng)
    target = torch.stack([labels == ENHANCING, (labels == ENHANCING) | (labels == CORE), labels > 0])
    return Sample(image * brain, target.float(), torch.from_numpy(case.labelled.astype(np.float32)))


def _center(case: Case, recipe: Recipe, rng: Generator) -> NDArray[np.int64]:
    """Pick an index to centre on: mostly tumour, each label as likely as another, else anywhere in the brain."""
    values = np.unique(case.labels[case.labels > 0])
    if len(values) and rng.random() < recipe.tumour_share:
        inside = np.flatnonzero(case.labels == rng.choice(values))
    else:
        inside = np.flatnonzero(case.brain)
    return np.array(np.unravel_index(rng.choice(inside), case.labels.shape))


def _moved(case: Case, center: NDArray[np.int64], recipe: Recipe, rng: Generator) -> tuple[Tensor, Tensor]:
    """Rotate, scale and flip about the centre: ``(5, P, P, P)`` images and brain, ``(P, P, P)`` labels."""
    case_from_patch = _affine(recipe, rng)
    half = recipe.patch / 2
    reach = np.ceil(np.abs(case_from_patch) @ np.full(3, half)).astype(int) + 1
    jitter = rng.integers(-recipe.patch // 4, recipe.patch // 4 + 1, 3)
    center = np.clip(center + jitter, 0, np.array(case.labels.shape) - 1)
    low, high = np.maximum(center - reach, 0), np.minimum(center + reach + 1, case.labels.shape)
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    grid = _sampling_grid(case_from_patch, center - low, high - low, recipe.patch)
    voxels = np.concatenate([case.images[(slice(None), *window)], case.brain[window][np.newaxis]]).astype(np.float32)
    labels = torch.from_numpy(case.labels[window].astype(np.float32))[None, None]
    moved = functional.grid_sample(torch.from_numpy(voxels)[None], grid, align_corners=True)[0]
    return moved, functional.grid_sample(labels, grid, mode="nearest", align_corners=True)[0, 0]


def _affine(recipe: Recipe, rng: Generator) -> NDArray[np.float64]:
    """``(3, 3)``: rotation about each axis, size, left-right flip, and now and then another flip."""
    angles = np.deg2rad(rng.uniform(-recipe.rotation_deg, recipe.rotation_deg, 3)) * (rng.random() < 0.8)
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = [other for other in range(3) if other != axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    sizes = 1 + rng.uniform(-recipe.scale, recipe.scale) + rng.uniform(-0.05, 0.05, 3)
    flips = np.where(rng.random(3) < (0.15, 0.15, 0.5), -1.0, 1.0)
    return np.asarray(matrix * (sizes * flips), np.float64)


def _sampling_grid(
    case_from_patch: NDArray[np.float64], center: NDArray[np.int64], size: NDArray[np.int64], patch: int
) -> Tensor:
    """Build `grid_sample`'s ``(1, P, P, P, 3)`` coordinates (x, y, z in [-1, 1]) of every patch voxel."""
    theta = np.zeros((3, 4))
    unit = 2.0 / np.maximum(size - 1, 1)
    theta[:, :3] = case_from_patch * unit[:, None] * (patch - 1) / 2
    theta[:, 3] = center * unit - 1
    xyz = torch.from_numpy(theta[::-1][:, [2, 1, 0, 3]].copy()).float()
    return functional.affine_grid(xyz[None], [1, 1, patch, patch, patch], align_corners=True)


def _recoloured(image: Tensor, rng: Generator) -> Tensor:
    """Change intensities, each sequence for itself."""
    channels = []
    for channel in image:
        voxels = channel[None, None]
        if rng.random() < 0.25:
            voxels = _thick(voxels, rng)
        if rng.random() < 0.15:
            voxels = _blurred(voxels, rng)
        if rng.random() < 0.5:
            voxels = _gamma(voxels, rng)
        if rng.random() < 0.25:
            voxels = voxels * _bias_field(voxels, rng)
        voxels = voxels * rng.uniform(0.75, 1.3) + rng.normal(0, 0.2)
        if rng.random() < 0.25:
            noise = torch.from_numpy(rng.standard_normal(voxels.shape, np.float32))
            voxels = voxels + noise * rng.uniform(0, 0.25)
        channels.append(voxels[0, 0])
    return torch.stack(channels)


def _thick(voxels: Tensor, rng: Generator) -> Tensor:
    """Average slices of 2 to 6 mm along one axis, mostly the axial one, and interpolate between them."""
    factor = int(rng.integers(2, 7))
    kernel = [1, 1, 1]
    kernel[rng.choice(3, p=(0.7, 0.15, 0.15))] = factor
    thick = functional.avg_pool3d(voxels, kernel, ceil_mode=True, count_include_pad=False)
    return functional.interpolate(thick, size=voxels.shape[2:], mode="trilinear", align_corners=False)


def _blurred(voxels: Tensor, rng: Generator) -> Tensor:
    """Smooth with a separable binomial kernel once or twice."""
    taps = torch.tensor([0.25, 0.5, 0.25])
    for _ in range(int(rng.integers(1, 3))):
        for axis in range(3):
            shape = [1, 1, 1, 1, 1]
            shape[2 + axis] = 3
            padding = [0, 0, 0]
            padding[axis] = 1
            voxels = functional.conv3d(voxels, taps.reshape(shape), padding=padding)
    return voxels


def _gamma(voxels: Tensor, rng: Generator) -> Tensor:
    """Bend the intensity curve between the darkest and the brightest voxel, keeping both."""
    low, high = voxels.min(), voxels.max()
    unit = ((voxels - low) / (high - low + 1e-6)).clamp(0, 1)
    return unit ** float(np.exp(rng.uniform(-0.4, 0.4))) * (high - low) + low


def _bias_field(voxels: Tensor, rng: Generator) -> Tensor:
    """Smooth multiplicative field of up to about 30 %."""
    coarse = torch.from_numpy(rng.uniform(-0.3, 0.3, (1, 1, 4, 4, 4)).astype(np.float32))
    return torch.exp(functional.interpolate(coarse, size=voxels.shape[2:], mode="trilinear", align_corners=True))


def _withheld(image: Tensor, present: NDArray[np.bool_], recipe: Recipe, rng: Generator) -> Tensor:
    """Blank the sequences that are missing, and in some samples a random subset of the others."""
    keep = present.copy()
    if rng.random() < recipe.sequence_dropout:
        keep &= rng.random(len(keep)) < 0.5
        if not keep.any():
            keep[rng.choice(np.flatnonzero(present))] = True
    return image * torch.from_numpy(keep.astype(np.float32))[:, None, None, None]
