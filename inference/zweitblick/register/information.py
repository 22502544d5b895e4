"""Normalised mutual information of two levels under a rigid map: what registration climbs, compiled.

Studholme 1999, Pattern Recognit 32:71. Unlike plain mutual information it does not grow as the overlap shrinks.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from zweitblick.compiled import compiled
from zweitblick.interpolation import linear_inside
from zweitblick.register.level import Level
from zweitblick.volume import Bool, Float32, Float64

BINS = 32
"""Histogram bins per image (Mattes 2003 used 50 on whole volumes; fewer samples want fewer)."""

MIN_SEEN = 0.05
"""Share of the samples that must fall into the other field of view; a chance match of fewer says nothing."""

NOTHING = 1.0
"""Normalised mutual information of images that tell nothing of each other; 2 is that of an image with itself."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Points of the fixed image, and the histogram bin of the grey value at each.

    Parameters
    ----------
    points_lps
        ``(n, 3)`` LPS mm.
    bins
        ``(n,)`` from 0 to `BINS` - 1.
    """

    points_lps: Float64
    bins: NDArray[np.int64]

    @classmethod
    def at_voxels(cls, level: Level, mask: Bool) -> Self:
        """Take the centre of every voxel in a mask."""
        indices = np.argwhere(mask)
        return cls(level.volume.grid.lps(indices), _nearest_bins(level.volume.voxels[mask], level))

    @classmethod
    def between_voxels(cls, level: Level, mask: Bool, count: int, seed: int) -> Self:
        """Take random places around up to ``count`` voxels of a mask.

        At voxel centres, interpolation would smooth the moving image least where both grids coincide, and the
        information would have false peaks there (Pluim 2000, Comput Vis Image Underst 77:211).
        """
        rng = np.random.default_rng(seed)
        indices = np.argwhere(mask)
        if len(indices) > count:
            indices = indices[np.sort(rng.choice(len(indices), count, replace=False))]
        places = np.clip(indices + rng.uniform(-0.5, 0.5, indices.shape), 0, np.array(mask.shape) - 1)
        values = np.empty(len(places), np.float32)
        _interpolate(places, level.volume.voxels, values)
        return cls(level.volume.grid.lps(places), _nearest_bins(values, level))


@dataclass(frozen=True, eq=False)
class Information:
    """Normalised mutual information between samples of one image and another image.

    Parameters
    ----------
    samples
        Of the fixed image.
    moving
        The other.
    """

    samples: Samples
    moving: Level

    @cached_property
    def _index_from_lps(self) -> Float64:
        return self.moving.volume.grid.index_from_lps

    @cached_property
    def _picture(self) -> Float32:
        """The moving image in units of bins, NaN where nothing was acquired."""
        scaled = _in_bins(self.moving.volume.voxels, *_range(self.moving))
        return np.where(self.moving.covered, scaled, np.float32(np.nan))

    def __call__(self, moving_from_fixed: Float64) -> float:
        """Return 1 (none) to 2 (identity) under a ``(4, 4)`` map from fixed to moving LPS mm.

        Only samples within the moving field of view count; `NOTHING` where those are fewer than `MIN_SEEN`.
        """
        joint = self._joint(moving_from_fixed)
        return _normalised(joint / joint.sum()) if self._is_enough(joint) else NOTHING

    def with_gradient(self, moving_from_fixed: Float64) -> tuple[float, Float64]:
        """Return the information, and its derivatives by the first three rows of the map, ``(3, 4)``.

        Samples that enter or leave the field of view are no part of the derivatives.
        """
        joint, count = np.zeros((BINS, BINS)), len(self.samples.bins)
        lower, slopes = np.empty(count, np.int64), np.empty((count, 3), np.float32)
        to_index = self._index_from_lps @ moving_from_fixed
        _count_with_slopes(self.samples.points_lps, self.samples.bins, to_index, self._picture, (joint, lower, slopes))
        if not self._is_enough(joint):
            return NOTHING, np.zeros((3, 4))
        value = _normalised(joint / joint.sum())
        rows = np.zeros((3, 4))
        _add_slopes(self.samples.points_lps, self.samples.bins, (lower, slopes), _worth(joint, value), rows)
        return value, self._index_from_lps[:3, :3].T @ rows

    def meets(self, moving_from_fixed: Float64) -> bool:
        """Whether enough samples fall into the other field of view."""
        return self._is_enough(self._joint(moving_from_fixed))

    def _joint(self, moving_from_fixed: Float64) -> Float64:
        to_index = self._index_from_lps @ moving_from_fixed
        joint = np.zeros((BINS, BINS))
        _count(self.samples.points_lps, self.samples.bins, to_index, self._picture, joint)
        return joint

    def _is_enough(self, joint: Float64) -> bool:
        return bool(joint.sum() >= max(MIN_SEEN * len(self.samples.bins), 1.0))


def information_of_foregrounds(fixed: Level, moving: Level) -> Information:
    """Over every voxel of the fixed foreground."""
    return Information(Samples.at_voxels(fixed, fixed.foreground), moving)


def _range(level: Level) -> tuple[float, float]:
    return float(level.volume.voxels.min()), float(level.volume.voxels.max())


def _nearest_bins(values: Float32, level: Level) -> NDArray[np.int64]:
    return np.rint(_in_bins(values, *_range(level))).astype(np.int64)


def _in_bins(values: Float32, low: float, high: float) -> Float32:
    scaled = (values - low) * np.float32((BINS - 1) / (high - low))
    return np.asarray(np.clip(scaled, 0, BINS - 1), np.float32)


def _normalised(joint: Float64) -> float:
    together = _entropy(joint.ravel())
    if together <= 0:
        return NOTHING
    return (_entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1))) / together


def _worth(joint: Float64, value: float) -> Float64:
    """Return what the information gains by a sample that moves from bin ``[b, l]`` to ``[b, l + 1]``.

    The derivative of (H(fixed) + H(moving)) / H(both) by the counts; what all counts have in common cancels out.
    """
    share = joint / joint.sum()
    logs, moving_logs = (np.log(np.maximum(one, 1e-9)) for one in (share, share.sum(axis=0)))
    gain = (value * logs - moving_logs) / (_entropy(share.ravel()) * joint.sum())
    return np.diff(gain, axis=1)


def _entropy(share: Float64) -> float:
    positive = share[share > 0]
    return float(-(positive * np.log(positive)).sum())


@compiled
def _interpolate(places: Float64, voxels: Float32, values: Float32) -> None:
    for n in range(len(places)):
        values[n] = linear_inside(voxels, places[n, 0], places[n, 1], places[n, 2])


@compiled
def _count(points: Float64, bins: NDArray[np.int64], to_index: Float64, picture: Float32, joint: Float64) -> None:
    """Add each sample to the joint histogram, shared between two bins of the moving image: the sum stays smooth."""
    last_k, last_j, last_i = picture.shape[0] - 1, picture.shape[1] - 1, picture.shape[2] - 1
    for n in range(len(points)):
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        k = to_index[0, 0] * x + to_index[0, 1] * y + to_index[0, 2] * z + to_index[0, 3]
        j = to_index[1, 0] * x + to_index[1, 1] * y + to_index[1, 2] * z + to_index[1, 3]
        i = to_index[2, 0] * x + to_index[2, 1] * y + to_index[2, 2] * z + to_index[2, 3]
        if not (0 <= k <= last_k and 0 <= j <= last_j and 0 <= i <= last_i):
            continue
        place = linear_inside(picture, k, j, i)
        if np.isnan(place):
            continue
        lower = min(int(place), joint.shape[1] - 2)
        joint[bins[n], lower] += 1 - (place - lower)
        joint[bins[n], lower + 1] += place - lower


Moves = tuple[NDArray[np.int64], Float32]
"""Of each sample its lower bin in the moving image, -1 where it is not seen, and the slope there along the axes."""


@compiled
def _count_with_slopes(
    points: Float64,
    bins: NDArray[np.int64],
    to_index: Float64,
    picture: Float32,
    out: tuple[Float64, NDArray[np.int64], Float32],
) -> None:
    """Do what `_count` does, and note of each sample its lower bin and the slope of the moving image."""
    joint, lowers, slopes = out
    last_k, last_j, last_i = picture.shape[0] - 1, picture.shape[1] - 1, picture.shape[2] - 1
    for n in range(len(points)):
        lowers[n] = -1
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        k = to_index[0, 0] * x + to_index[0, 1] * y + to_index[0, 2] * z + to_index[0, 3]
        j = to_index[1, 0] * x + to_index[1, 1] * y + to_index[1, 2] * z + to_index[1, 3]
        i = to_index[2, 0] * x + to_index[2, 1] * y + to_index[2, 2] * z + to_index[2, 3]
        if not (0 <= k <= last_k and 0 <= j <= last_j and 0 <= i <= last_i):
            continue
        k0, j0, i0 = min(int(k), last_k - 1), min(int(j), last_j - 1), min(int(i), last_i - 1)
        c, b, a = k - k0, j - j0, i - i0
        v000, v001 = picture[k0, j0, i0], picture[k0, j0, i0 + 1]
        v010, v011 = picture[k0, j0 + 1, i0], picture[k0, j0 + 1, i0 + 1]
        v100, v101 = picture[k0 + 1, j0, i0], picture[k0 + 1, j0, i0 + 1]
        v110, v111 = picture[k0 + 1, j0 + 1, i0], picture[k0 + 1, j0 + 1, i0 + 1]
        v00, v01 = v000 + a * (v001 - v000), v010 + a * (v011 - v010)
        v10, v11 = v100 + a * (v101 - v100), v110 + a * (v111 - v110)
        v0, v1 = v00 + b * (v01 - v00), v10 + b * (v11 - v10)
        place = v0 + c * (v1 - v0)
        if np.isnan(place):
            continue
        lower = min(int(place), joint.shape[1] - 2)
        joint[bins[n], lower] += 1 - (place - lower)
        joint[bins[n], lower + 1] += place - lower
        lowers[n] = lower
        slopes[n, 0] = v1 - v0
        slopes[n, 1] = (1 - c) * (v01 - v00) + c * (v11 - v10)
        slopes[n, 2] = (1 - c) * ((1 - b) * (v001 - v000) + b * (v011 - v010)) + c * (
            (1 - b) * (v101 - v100) + b * (v111 - v110)
        )


@compiled
def _add_slopes(points: Float64, bins: NDArray[np.int64], moves: Moves, worth: Float64, rows: Float64) -> None:
    """Sum up what each sample's move along k, j and i is worth, times its place ``(x, y, z, 1)``."""
    lowers, slopes = moves
    for n in range(len(points)):
        if lowers[n] < 0:
            continue
        gain = worth[bins[n], lowers[n]]
        for axis in range(3):
            along = gain * slopes[n, axis]
            rows[axis, 0] += along * points[n, 0]
            rows[axis, 1] += along * points[n, 1]
            rows[axis, 2] += along * points[n, 2]
            rows[axis, 3] += along
