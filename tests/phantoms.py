"""Quick phantoms with known truth: balls and ellipsoids on any grid, and predictions made of them."""

from collections.abc import Sequence as Seq

import numpy as np
from numpy.typing import ArrayLike

from zweitblick.prediction import Prediction
from zweitblick.volume import Bool, Grid, Volume, axis_aligned_grid

HEAD_GRID = axis_aligned_grid((0.0, 0.0, 0.0), (160, 192, 160), 1.0)
"""1 mm LPS grid around a head whose midsagittal plane is x = 0."""

BRAIN_RADII_MM = (65.0, 82.0, 66.0)
LEFT_LESION_MM = (32.0, -20.0, 12.0)
"""Centre of the left-only lesion, LPS: x > 0 is the patient's left, y < 0 the front, z > 0 the head's top."""


def distance(grid: Grid, center_lps: ArrayLike, radii_mm: ArrayLike) -> np.ndarray:
    """Normalised distance from an ellipsoid's centre, ``(K, J, I)``: 1 on its surface. Any affine is allowed."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    return np.linalg.norm((grid.lps(index) - np.asarray(center_lps)) / np.asarray(radii_mm), axis=-1)


def ellipsoid(grid: Grid, center_lps: ArrayLike, radii_mm: ArrayLike) -> Bool:
    """Voxels whose centre lies in an ellipsoid with radii along x, y, z in mm, ``(K, J, I)`` bool."""
    return distance(grid, center_lps, radii_mm) <= 1.0


def ball(grid: Grid, center_lps: ArrayLike, radius_mm: float) -> Bool:
    """Voxels whose centre lies in a ball, ``(K, J, I)`` bool."""
    return ellipsoid(grid, center_lps, (radius_mm, radius_mm, radius_mm))


def ball_ml(radius_mm: float) -> float:
    """Volume of a ball in ml."""
    return 4.0 / 3.0 * np.pi * radius_mm**3 / 1000.0


def ellipsoid_ml(radii_mm: Seq[float]) -> float:
    """Volume of an ellipsoid in ml."""
    return float(4.0 / 3.0 * np.pi * np.prod(radii_mm) / 1000.0)


def prediction_of(et: Bool, tc: Bool, wt: Bool, grid: Grid, brain: Bool | None = None) -> Prediction:
    """Certain prediction of three masks; they are nested by union. The brain is the phantom's unless given."""
    tc, wt = tc | et, wt | tc | et
    inside = ellipsoid(grid, (0.0, 0.0, 0.0), BRAIN_RADII_MM) if brain is None else brain
    return Prediction(np.stack([et, tc, wt]).astype(np.float32), inside | wt, grid)


def left_only_prediction(
    grid: Grid = HEAD_GRID,
    *,
    center_lps: ArrayLike = LEFT_LESION_MM,
    core_mm: float = 6.0,
    rim_mm: float = 10.0,
    oedema_mm: float = 18.0,
) -> Prediction:
    """Necrotic core in an enhancing rim in oedema, concentric balls wholly on the patient's left."""
    core, solid, whole = (ball(grid, center_lps, radius) for radius in (core_mm, rim_mm, oedema_mm))
    return prediction_of(solid & ~core, solid, whole, grid)


def healthy_prediction(grid: Grid = HEAD_GRID) -> Prediction:
    """Return a prediction without any tumour."""
    nothing = np.zeros(grid.shape, np.bool_)
    return prediction_of(nothing, nothing, nothing, grid)


def head_volume(grid: Grid = HEAD_GRID, *, seed: int = 0) -> Volume:
    """A smooth head, brighter in the brain than in the scalp, with two ventricles and one bright ball on the left."""
    head = distance(grid, (0.0, 0.0, 0.0), np.array(BRAIN_RADII_MM) + 12.0)
    brain = distance(grid, (0.0, 0.0, 0.0), BRAIN_RADII_MM)
    voxels = 300.0 / (1.0 + np.exp((head - 1.0) * 40.0)) + 400.0 / (1.0 + np.exp((brain - 1.0) * 40.0))
    for x in (-12.0, 12.0):
        voxels -= 500.0 * ellipsoid(grid, (x, 5.0, 8.0), (6.0, 30.0, 9.0))
    voxels += 350.0 * ball(grid, LEFT_LESION_MM, 14.0)
    noise = np.random.default_rng(seed).normal(0.0, 8.0, grid.shape)
    return Volume(np.abs(voxels + noise).astype(np.float32), grid)


def turned_grid(
    grid: Grid,
    *,
    k_lps: ArrayLike,
    j_lps: ArrayLike,
    i_lps: ArrayLike,
    shape: tuple[int, int, int],
    spacing_mm: ArrayLike,
) -> Grid:
    """Grid of the same centre whose axes point along three LPS directions (made unit length)."""
    axes = np.stack([np.asarray(a, float) / np.linalg.norm(a) for a in (k_lps, j_lps, i_lps)], axis=1)
    lps_from_index = np.eye(4)
    lps_from_index[:3, :3] = axes * np.asarray(spacing_mm, float)
    lps_from_index[:3, 3] = grid.center_lps - lps_from_index[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, lps_from_index)


def orientations(grid: Grid = HEAD_GRID) -> dict[str, Grid]:
    """Grids of the five ways a study may be sliced, 4 mm slices of 1 mm pixels."""
    left, back, up = np.eye(3)
    tilt = np.deg2rad(14.0)
    tilted_up = np.array([0.17, np.sin(tilt), np.cos(tilt)])
    tilted_back = np.cross(tilted_up, left)
    axial, across, front = (42, 192, 160), (42, 168, 192), (50, 168, 160)
    thick = (4.0, 1.0, 1.0)
    return {
        "axial": turned_grid(grid, k_lps=up, j_lps=back, i_lps=left, shape=axial, spacing_mm=thick),
        "reversed": turned_grid(grid, k_lps=-up, j_lps=back, i_lps=left, shape=axial, spacing_mm=thick),
        "sagittal": turned_grid(grid, k_lps=left, j_lps=-up, i_lps=back, shape=across, spacing_mm=thick),
        "coronal": turned_grid(grid, k_lps=-back, j_lps=-up, i_lps=left, shape=front, spacing_mm=thick),
        "oblique": turned_grid(
            grid,
            k_lps=tilted_up,
            j_lps=tilted_back,
            i_lps=np.cross(tilted_back, tilted_up),
            shape=axial,
            spacing_mm=thick,
        ),
    }
