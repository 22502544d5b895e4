"""Predictions of lesions whose size, shape and place are known by construction."""

import numpy as np
from numpy.typing import NDArray

from zweitblick.prediction import Prediction
from zweitblick.volume import Float64, Grid, axis_aligned_grid

GRID = axis_aligned_grid((10.0, -20.0, 30.0), (96, 110, 100), 1.0)
EMPTY = np.zeros(GRID.shape, np.bool_)


def points_lps(grid: Grid = GRID) -> Float64:
    """Voxel centres, ``(K, J, I, 3)``."""
    return grid.lps(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1))


def ellipsoid(
    center_lps: tuple[float, float, float], radii_mm: tuple[float, float, float], turn_deg: float = 0.0
) -> NDArray[np.bool_]:
    """Semi-axes along x, y and z before a turn about z."""
    angle = np.deg2rad(turn_deg)
    turn = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    away = (points_lps() - np.array(center_lps)) @ turn.T
    return np.linalg.norm(away / np.array(radii_mm), axis=-1) <= 1


def ball(center_lps: tuple[float, float, float], radius_mm: float) -> NDArray[np.bool_]:
    return ellipsoid(center_lps, (radius_mm,) * 3)


def box(low_lps: tuple[float, float, float], high_lps: tuple[float, float, float]) -> NDArray[np.bool_]:
    points = points_lps()
    return ((points >= np.array(low_lps)) & (points < np.array(high_lps))).all(axis=-1)


def prediction(
    et: NDArray[np.bool_] = EMPTY,
    core: NDArray[np.bool_] = EMPTY,
    oedema: NDArray[np.bool_] = EMPTY,
    *,
    grid: Grid = GRID,
    head_from_lps: Float64 | None = None,
    sure: float = 0.875,
) -> Prediction:
    """Nested probabilities, ``sure`` inside and 0 outside."""
    nested = np.stack([et, et | core, et | core | oedema]).astype(np.float32) * sure
    brain = np.ones(grid.shape, np.bool_)
    return Prediction(nested, brain, grid, np.eye(4) if head_from_lps is None else head_from_lps)
