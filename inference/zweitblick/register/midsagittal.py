"""The midsagittal plane of a brain: the mirror in which it looks most like itself.

The plane of greatest symmetry is sought directly, as in Ardekani 1997 (IEEE Trans Med Imaging 16:947) and Liu 2001
(IEEE Trans Med Imaging 20:175): two angles and an offset, hence a reflection by construction. Likeness is a mean
absolute difference that is cut off, so that a tumour, which has no counterpart on the other side, weighs no more
than its volume.
"""

import itertools
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage, optimize
from scipy.spatial.transform import Rotation

from zweitblick.register.level import Level, level
from zweitblick.volume import Bool, Float32, Float64, Volume, transformed

SPACING_MM = 4.0

ANGLES_DEG = (-24.0, -16.0, -8.0, 0.0, 8.0, 16.0, 24.0)
"""Starts of both angles: a head lies in its coil within about 20°."""

OFFSETS_MM = (-6.0, 0.0, 6.0)
"""Starts of the plane's distance from the brain's centre of gravity, which a tumour or a cut field of view moves."""

DESCENTS = 3
"""Starts that are followed down to a minimum."""

FEW, MANY = 2_000, 10_000
"""Brain points compared with their mirror images, first and last."""

LIMITS = ((-36.0, 36.0), (-36.0, 36.0), (-20.0, 20.0))
"""Of both angles and the offset: nearly round from front to back, a brain has false mirrors at right angles."""

ROUGH = {"xtol": 0.05, "ftol": 1e-3, "maxfev": 150}
EXACT = {"xatol": 0.01, "fatol": 1e-6, "maxfev": 150}
"""Tolerances of the searches, degrees and millimetres."""

CUT_OFF = 0.5
"""Differences count up to this share of the brain's median intensity."""


@dataclass(frozen=True, eq=False)
class _Plane:
    """A plane by its unit normal, towards the patient's left, and one of its points, both ``(3,)`` LPS."""

    normal: Float64
    point: Float64

    @property
    def mirror(self) -> Float64:
        """``(4, 4)`` reflection at the plane, LPS mm to LPS mm."""
        matrix = np.eye(4)
        matrix[:3, :3] -= 2 * np.outer(self.normal, self.normal)
        matrix[:3, 3] = 2 * (self.point @ self.normal) * self.normal
        return matrix

    def head_from_lps(self) -> Float64:
        """Smallest turn that lays the normal on x; points of the plane keep y and z about their common point."""
        axis = np.cross(self.normal, [1.0, 0.0, 0.0])
        sine = float(np.linalg.norm(axis))
        angle = np.arctan2(sine, self.normal[0])
        turn = Rotation.from_rotvec(axis / sine * angle if sine > 0 else np.zeros(3)).as_matrix()
        matrix = np.eye(4)
        matrix[:3, :3] = turn
        matrix[:3, 3] = self.point * [0, 1, 1] - turn @ self.point
        return matrix


def head_from_lps(volume: Volume, brain: Bool, *, seed: int = 0) -> Float64:
    """Find the midsagittal plane and lay head coordinates on it.

    Parameters
    ----------
    volume
        Any contrast, any orientation.
    brain
        ``(K, J, I)`` bool, where the brain is.
    seed
        Chooses the points compared; the same inputs and seed give the same bytes.

    Returns
    -------
    Float64
        ``(4, 4)`` rigid map from LPS mm to head mm: x = 0 is the plane, x to the left; y and z are as near to
        LPS as the smallest turn leaves them.

    Raises
    ------
    RegistrationError
        If there is no brain, or it shows one grey value only.
    """
    picture = level(Volume(np.where(brain, volume.voxels, 0.0), volume.grid), SPACING_MM)
    few, many = (_Likeness.sampled(picture, count, seed) for count in (FEW, MANY))
    starts = sorted(itertools.product(ANGLES_DEG, ANGLES_DEG, OFFSETS_MM), key=few.cost)
    near = [
        optimize.minimize(few.cost, start, method="Powell", bounds=LIMITS, options=ROUGH).x
        for start in starts[:DESCENTS]
    ]
    best = optimize.minimize(many.cost, min(near, key=many.cost), method="Nelder-Mead", bounds=LIMITS, options=EXACT).x
    return many.plane(best).head_from_lps()


@dataclass(frozen=True, eq=False)
class _Likeness:
    """How like its mirror image a brain is, at some of its voxels: ``(n, 3)`` indices and their ``(n,)`` values."""

    picture: Level
    index: Float64
    here: Float32

    @classmethod
    def sampled(cls, picture: Level, count: int, seed: int) -> Self:
        """At ``count`` voxels of the brain, or all of them."""
        index = np.argwhere(picture.foreground).astype(np.float64)
        chosen = np.random.default_rng(seed).permutation(len(index))[:count]
        index = index[np.sort(chosen)]
        k, j, i = index.astype(np.intp).T
        return cls(picture, index, picture.volume.voxels[k, j, i])

    def plane(self, at: ArrayLike) -> _Plane:
        """Plane of two angles (about z, then about y, degrees) and an offset from the brain's centre (mm)."""
        about_z, about_y, offset_mm = np.asarray(at, np.float64)
        turn = Rotation.from_euler("zy", [about_z, about_y], degrees=True)
        normal = np.asarray(turn.apply([1.0, 0.0, 0.0]), np.float64)
        return _Plane(normal, self.picture.center_lps + offset_mm * normal)

    def cost(self, at: ArrayLike) -> float:
        """Mean absolute difference between voxels and their mirror images, each cut off, in median intensities."""
        grid = self.picture.volume.grid
        mirrored = transformed(grid.index_from_lps @ self.plane(at).mirror @ grid.lps_from_index, self.index)
        there = ndimage.map_coordinates(self.picture.volume.voxels, mirrored.T, order=1, mode="constant")
        difference = np.abs(self.here - there) / np.median(self.here)
        return float(np.minimum(difference, CUT_OFF).mean())
