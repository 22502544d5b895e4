"""Random geometry for property tests."""

from typing import Any

import numpy as np
import SimpleITK as sitk
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from zweitblick.volume import Grid, Volume

angles = st.floats(-180.0, 180.0)
spacings = st.floats(0.3, 8.0)
origins = st.floats(-300.0, 300.0)
sizes = st.integers(1, 9)


@st.composite
def rotations(draw: Any, largest_deg: float = 180.0) -> np.ndarray:
    """A (3, 3) proper rotation."""
    angle = st.floats(-largest_deg, largest_deg)
    # Rounded, since ITK returns NaN for a direction with a denormal number in it.
    return Rotation.from_euler("xyz", [draw(angle), draw(angle), draw(angle)], degrees=True).as_matrix().round(15)


@st.composite
def grids(draw: Any, min_size: int = 1) -> Grid:
    """An oblique grid with any spacing, origin and handedness."""
    directions = draw(rotations())
    flips = [draw(st.sampled_from([-1.0, 1.0])) for _ in range(3)]
    spacing = [draw(spacings) for _ in range(3)]
    affine = np.eye(4)
    affine[:3, :3] = directions * flips * spacing
    affine[:3, 3] = [draw(origins) for _ in range(3)]
    size = st.integers(min_size, 9)
    return Grid((draw(size), draw(size), draw(size)), affine)


def values(grid: Grid, seed: int) -> np.ndarray:
    """Reproducible noise on a grid, float32."""
    return np.random.default_rng(seed).uniform(-100.0, 1000.0, grid.shape).astype(np.float32)


def itk_image(volume: Volume) -> sitk.Image:
    """The same volume as SimpleITK holds it: LPS as ours, index order reversed, direction cosines as columns."""
    image = sitk.GetImageFromArray(volume.voxels)
    columns = volume.lps_from_index[:3, [2, 1, 0]]
    spacing = np.linalg.norm(columns, axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((columns / spacing).ravel().tolist())
    image.SetOrigin(volume.lps_from_index[:3, 3].tolist())
    return image
