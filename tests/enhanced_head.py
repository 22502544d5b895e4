"""A head before and after contrast agent, as voxels."""

import numpy as np

from zweitblick.volume import Grid, Volume


def head(grid: Grid, *, enhanced: bool, seed: int) -> Volume:
    """A head of brain, dark skull and bright scalp with thin vessels, which shine after contrast agent."""
    rng = np.random.default_rng(seed)
    k, j, i = np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")
    x, y, z = np.moveaxis(grid.lps(np.stack([k, j, i], axis=-1)), -1, 0)
    radius = np.sqrt((x / 68) ** 2 + (y / 85) ** 2 + (z / 70) ** 2)
    values = np.where(radius < 1, 400.0, np.where(radius < 1.08, 40.0, np.where(radius < 1.2, 900.0, 0.0)))
    vessels = (np.hypot(x, y - 30) < 5) | (np.hypot(x - 20, z) < 4) | (np.hypot(x + 20, z) < 4)
    values[vessels & (radius < 1)] = 750.0 if enhanced else 150.0
    return Volume(np.abs(values + rng.normal(0, 15, grid.shape)).astype(np.float32), grid)


THICK = Grid((28, 128, 128), np.array([[0, 0, 1.8, -115], [0, 1.8, 0, -115], [5.0, 0, 0, -68], [0, 0, 0, 1]]))
NATIVE, ENHANCED = head(THICK, enhanced=False, seed=1), head(THICK, enhanced=True, seed=2)
SUBTRACTED = Volume(np.clip(ENHANCED.voxels - NATIVE.voxels, 0, None), THICK)
