"""Connected parts of a mask, and what can be said of one without knowing what it is."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from zweitblick.findings import Point
from zweitblick.volume import Bool, Float64, Grid

CONNECTED_26 = np.ones((3, 3, 3), np.bool_)
"""Voxels that share a face, an edge or a corner belong together."""


@dataclass(frozen=True, eq=False)
class Component:
    """One connected part of a mask, cut out of it.

    Parameters
    ----------
    mask
        ``(k, j, i)`` bool, the component alone within its bounding box.
    box
        Where the bounding box lies in the mask that it was cut from.
    grid
        The bounding box in space.
    """

    mask: Bool
    box: tuple[slice, slice, slice]
    grid: Grid

    @property
    def volume_ml(self) -> float:
        """Number of voxels times their size."""
        return float(np.count_nonzero(self.mask)) * self.grid.voxel_ml

    @cached_property
    def points_lps(self) -> Float64:
        """Centres of its voxels, ``(n, 3)`` LPS mm."""
        return self.grid.lps(np.argwhere(self.mask))

    @property
    def center_lps(self) -> Point:
        """Centroid, LPS mm."""
        return as_point(self.points_lps.mean(axis=0))

    @property
    def max_3d_mm(self) -> float:
        """Largest distance between the middles of two outer voxel faces, mm: from edge to edge."""
        surface = self.grid.lps(outer_faces(self.mask))
        return float(pdist(surface[ConvexHull(surface).vertices]).max())


def components(mask: Bool, grid: Grid) -> tuple[Component, ...]:
    """All 26-connected parts of a mask, largest first; equal ones in the order of their first voxel."""
    labels, _ = ndimage.label(mask, CONNECTED_26)
    found = [
        Component(np.asarray(labels[box] == number, np.bool_), box, _boxed(grid, box))
        for number, box in enumerate(ndimage.find_objects(labels), 1)
    ]
    return tuple(sorted(found, key=lambda component: -component.volume_ml))


def outer_faces(mask: Bool) -> Float64:
    """Middles of all faces between a voxel of the mask and one outside, as continuous indices ``(n, mask.ndim)``."""
    padded = np.pad(mask, 1)
    faces = []
    for axis in range(mask.ndim):
        for step in (-1, 1):
            outside = ~np.roll(padded, -step, axis)
            faces.append(np.argwhere(padded & outside) - 1 + 0.5 * step * np.eye(mask.ndim)[axis])
    return np.concatenate(faces)


def as_point(lps: ArrayLike) -> Point:
    """Three numbers as a plain tuple, LPS mm."""
    x, y, z = (float(value) for value in np.asarray(lps))
    return x, y, z


def _boxed(grid: Grid, box: tuple[slice, ...]) -> Grid:
    k, j, i = (side.stop - side.start for side in box)
    return grid.cropped([side.start for side in box], (k, j, i))
