"""Geometry: which point of the case each voxel of the patch shows, and what is there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from zweitblick_training.augment.held import Window, codes_in, images_in
from zweitblick_training.augment.spline import LEAST_KNOTS, knot_positions, knots_for, upsampled
from zweitblick_training.augmentation import Augmentation
from zweitblick_training.case import BRAIN, Case

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Cut:
    """What a patch shows before its intensities change.

    Parameters
    ----------
    images
        ``(n, P, P, P)`` float32, the sequences asked for.
    brain
        ``(P, P, P)`` bool.
    labels
        ``(P, P, P)`` uint8.
    """

    images: Tensor
    brain: Tensor
    labels: Tensor


def cut(
    case: Case, sequences: Sequence[int], size: int, *, numbers: Augmentation, rng: Generator, center: Matrix
) -> Cut:
    """Turn, scale, flip and bend about a voxel, and look up what is there.

    Parameters
    ----------
    case
        The patient.
    sequences
        Channels to look up.
    size
        Edge of the patch.
    numbers, rng
        How far, and the draw.
    center
        ``(3,)`` index of the case that comes to lie in the patch's centre.
    """
    coordinates = upsampled(torch.as_tensor(control_points(center, size, numbers, rng)), size)
    images = torch.empty(len(sequences), size, size, size)
    straight = list(range(len(sequences)))
    if len(straight) > 1 and rng.random() < numbers.misregistered_share:
        crooked = straight.pop(int(rng.integers(len(straight))))
        moved = misregistered(coordinates, center, numbers, rng)
        images[crooked] = _interpolated(case, [sequences[crooked]], moved)[0]
    images[straight] = _interpolated(case, [sequences[n] for n in straight], coordinates)
    codes = _nearest(case, coordinates)
    return Cut(images, codes >= BRAIN, codes & (BRAIN - 1))


def control_points(center: Matrix, size: int, numbers: Augmentation, rng: Generator) -> NDArray[np.float32]:
    """``(3, n, n, n)`` case indices of a spline's control points: an affine map, bent in some patches."""
    bent = rng.random() < numbers.elastic_share
    knots = knots_for(size, numbers.elastic_spacing_mm) if bent else LEAST_KNOTS
    positions = knot_positions(size, knots) - (size - 1) / 2
    lattice = np.stack(np.meshgrid(positions, positions, positions, indexing="ij")).reshape(3, -1)
    points = (center[:, None] + affine(numbers, rng) @ lattice).reshape(3, knots, knots, knots)
    if bent:
        points += rng.uniform(-1, 1, points.shape) * rng.uniform(0, numbers.elastic_mm)
    return np.asarray(points, np.float32)


def affine(numbers: Augmentation, rng: Generator) -> Matrix:
    """``(3, 3)`` case step of a patch step: rotation about each axis, size, flips."""
    turned = rng.random() < numbers.rotation_share
    angles = np.deg2rad(rng.uniform(-numbers.rotation_deg, numbers.rotation_deg, 3)) * turned
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        matrix = matrix @ rotation(np.eye(3)[axis], angle)
    sizes = 1 + rng.uniform(-numbers.scale, numbers.scale) + rng.uniform(-numbers.stretch, numbers.stretch, 3)
    flips = np.where(rng.random(3) < numbers.flip_shares, -1.0, 1.0)
    return np.asarray(matrix * (sizes * flips), np.float64)


def rotation(axis: Matrix, angle: float) -> Matrix:
    """``(3, 3)`` turn by ``angle`` radians about the unit vector ``axis`` (Rodrigues' formula)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def misregistered(coordinates: Tensor, center: Matrix, numbers: Augmentation, rng: Generator) -> Tensor:
    """Move where a patch is looked up rigidly: at most ``misregistered_mm`` at any voxel.

    The error is divided between a shift and a rotation about the centre, so that the sum keeps the limit at the voxel
    that is farthest from it.

    Parameters
    ----------
    coordinates
        ``(3, P, P, P)`` float32 case indices of the patch's voxels.
    center
        ``(3,)`` index that the rotation leaves in place.
    numbers, rng
        How far, and the draw.
    """
    error, share = rng.uniform(0, numbers.misregistered_mm), rng.random()
    direction, axis = (_unit(rng) for _ in range(2))
    middle = torch.as_tensor(center.astype(np.float32))[:, None]
    away = coordinates.reshape(3, -1) - middle
    reach = float(torch.linalg.vector_norm(away, dim=0).max())
    angle = min(error * (1 - share) / max(reach, 1.0), np.deg2rad(numbers.misregistered_deg))
    turned = torch.as_tensor(rotation(axis, angle).astype(np.float32)) @ away
    shift = torch.as_tensor((direction * error * share).astype(np.float32))[:, None]
    return (turned + middle + shift).reshape(coordinates.shape)


def _unit(rng: Generator) -> Matrix:
    vector = rng.standard_normal(3)
    return np.asarray(vector / np.linalg.norm(vector))


def _window(case: Case, coordinates: Tensor) -> tuple[Window, list[int], list[int]]:
    """Find the smallest part of the case that holds every coordinate: its slices, first index and size."""
    slices, first, sizes = [], [], []
    ends = torch.stack(coordinates.flatten(1).aminmax(dim=1), dim=1).tolist()
    for (least, most), length in zip(ends, case.labels.shape, strict=True):
        low = min(max(int(np.floor(least)), 0), length - 1)
        high = max(min(int(np.ceil(most)) + 1, length), low + 1)
        slices.append(slice(low, high))
        first.append(low)
        sizes.append(high - low)
    return tuple(slices), first, sizes


def _interpolated(case: Case, sequences: Sequence[int], coordinates: Tensor) -> Tensor:
    """Linear interpolation, as serving does it; 0 outside the case."""
    window, first, sizes = _window(case, coordinates)
    voxels = images_in(case, sequences, window)
    grid = torch.empty_like(coordinates)
    for axis in range(3):
        # grid_sample wants x, y, z in [-1, 1], which is our last axis first.
        unit = 2 / max(sizes[axis] - 1, 1)
        torch.mul(coordinates[axis], unit, out=grid[2 - axis]).add_(-1 - first[axis] * unit)
    return functional.grid_sample(voxels[None], grid.permute(1, 2, 3, 0)[None], align_corners=True)[0]


def _nearest(case: Case, coordinates: Tensor) -> Tensor:
    """``(P, P, P)`` uint8: label of the nearest voxel, plus `BRAIN` inside the brain; 0 outside the case."""
    window, first, sizes = _window(case, coordinates)
    codes = functional.pad(codes_in(case, window), (1,) * 6)
    index = torch.zeros(coordinates.shape[1:], dtype=torch.int32)
    for axis in range(3):
        # One more for the rim of zeros, a half to round.
        along = (coordinates[axis] + (1.5 - first[axis])).clamp_(0, sizes[axis] + 1)
        index.mul_(codes.shape[axis]).add_(along.int())
    return codes.flatten().index_select(0, index.flatten()).reshape(index.shape)
