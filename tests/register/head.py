"""A synthetic head known at every point of space, so that it can be "scanned" in any pose without interpolation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from zweitblick.volume import Float64, Grid, Volume, transformed

AIR, SCALP, SKULL, CSF, GREY, WHITE, LESION = range(7)
T1 = np.array([4.0, 240.0, 20.0, 40.0, 110.0, 160.0, 80.0])
T2 = np.array([4.0, 120.0, 15.0, 255.0, 140.0, 95.0, 200.0])
BRAIN_RADII_MM = np.array([66.0, 84.0, 64.0])


@dataclass(frozen=True)
class Lesion:
    """A ball of tumour, head coordinates mm."""

    center_mm: tuple[float, float, float] = (30.0, 10.0, 15.0)
    radius_mm: float = 18.0


def _field(seed: int, scale_mm: float) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).standard_normal((90, 90, 90))
    smooth = ndimage.gaussian_filter(noise, scale_mm / 3.0)
    return (smooth / smooth.std()).astype(np.float32)


FOLDS, SKULL_SHAPE = _field(1, 5.0), _field(2, 24.0)
"""Random fields of 3 mm voxels centred on the head: the folding of the cortex, the bumps of the skull."""


def _sample(field: NDArray[np.float32], head_mm: Float64) -> NDArray[np.float32]:
    return ndimage.map_coordinates(field, (head_mm / 3.0 + 44.5).T, order=1, mode="nearest")


def tissue(head_mm: Float64, lesion: Lesion | None = None) -> NDArray[np.intp]:
    """Tissue numbers at points ``(n, 3)``; flatter below; left and right halves share much of their folds, not all."""
    flattened = head_mm * np.where(head_mm[:, 2:] < 0, [1.0, 1.0, 1.3], 1.0)
    radius = np.linalg.norm(flattened / BRAIN_RADII_MM, axis=1) + 0.015 * _sample(SKULL_SHAPE, np.abs(head_mm))
    out = np.full(len(head_mm), AIR)
    for outer, kind in ((1.22, SCALP), (1.13, SKULL), (1.05, CSF)):
        out[radius < outer] = kind
    folds = 0.8 * _sample(FOLDS, np.abs(head_mm * [1, 0, 0]) + head_mm * [0, 1, 1]) + 0.6 * _sample(FOLDS, head_mm)
    brain = radius < 1.0 - 0.04 * (folds > 0.8)
    out[brain] = np.where((radius < 0.85 + 0.07 * folds) & (folds > -1.6), WHITE, GREY)[brain]
    horns = np.abs(head_mm) - np.array([12.0, 0.0, 12.0])
    out[np.linalg.norm(horns / np.array([7.0, 34.0, 9.0]), axis=1) < 1] = CSF
    if lesion is not None:
        out[np.linalg.norm(head_mm - np.array(lesion.center_mm), axis=1) < lesion.radius_mm] = LESION
    return out


def scan(
    grid: Grid,
    contrast: NDArray[np.float64] = T1,
    *,
    head_from_lps: Float64 | None = None,
    lesion: Lesion | None = None,
    bias: float = 0.0,
    noise: float = 5.0,
    seed: int = 0,
) -> Volume:
    """The head as a scanner with a box-shaped slice profile would show it (three points across each thick slice)."""
    total = np.zeros(grid.shape, np.float64)
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1).reshape(-1, 3).astype(float)
    move = np.eye(4) if head_from_lps is None else head_from_lps
    head_mm = transformed(move @ grid.lps_from_index, index)
    offsets = (0.0,) if grid.spacing_mm[0] < 3 else (-1 / 3, 0.0, 1 / 3)
    for offset in offsets:
        step = offset * (move @ grid.lps_from_index)[:3, 0]
        total += contrast[tissue(head_mm + step, lesion)].reshape(grid.shape) / len(offsets)
    total *= np.exp(bias * (head_mm @ np.array([0.6, -0.5, 0.6])) / 80.0).reshape(grid.shape)
    rng = np.random.default_rng(seed)
    noisy = np.hypot(total + noise * rng.standard_normal(grid.shape), noise * rng.standard_normal(grid.shape))
    return Volume(noisy.astype(np.float32), grid)


def rigid(angles_deg: tuple[float, float, float], shift_mm: tuple[float, float, float]) -> Float64:
    """``(4, 4)`` turn about x, then y, then z, then a shift."""
    matrix = np.eye(4)
    for axis, angle in enumerate(np.deg2rad(angles_deg)):
        a, b = [other for other in range(3) if other != axis]
        turn = np.eye(4)
        turn[[a, a, b, b], [a, b, a, b]] = [np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)]
        matrix = turn @ matrix
    matrix[:3, 3] = shift_mm
    return matrix


def brain_points_mm() -> Float64:
    """Points all over the brain in head coordinates, ``(n, 3)`` mm."""
    lattice = np.stack(np.meshgrid(*[np.linspace(-1, 1, 9)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    return lattice[np.linalg.norm(lattice * [1, 1, 1.3], axis=1) <= 1] * BRAIN_RADII_MM


def target_error_mm(found: Float64, true: Float64, points: Float64) -> NDArray[np.float64]:
    """Distance between where two maps send the same points, mm."""
    return np.linalg.norm(transformed(found, points) - transformed(true, points), axis=1)
