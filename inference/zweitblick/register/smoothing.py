"""Smoothing: a volume at the resolution of a coarser grid, on no more voxels than that needs."""

import numpy as np
from numpy.typing import NDArray

from zweitblick.compiled import compiled
from zweitblick.volume import Float32, Float64, Grid, Volume

FWHM = 2.355
"""Full width at half maximum of a Gaussian, in standard deviations."""

REACH = 3.0
"""Where a Gaussian is cut off, in standard deviations."""


def smoothed(volume: Volume, spacing_mm: float) -> Volume:
    """Fill up the difference to a coarser spacing with a Gaussian, axis by axis.

    The Gaussian's full width at half maximum and the voxel's own add up, as squares, to ``spacing_mm``. An axis of
    voxels finer than half of that is laid down anew at half of it: what is smoothed has no finer detail, and all that
    follows is faster. An axis of coarser voxels than ``spacing_mm`` stays as it is.

    Parameters
    ----------
    volume
        Any orientation.
    spacing_mm
        Of the grid that the result will be interpolated on.

    Returns
    -------
    Volume
        On its own grid along the same axes, which reaches as far as the given one.
    """
    voxels, first, steps = volume.voxels, np.zeros(3), np.ones(3)
    for axis, own_mm in enumerate(volume.spacing_mm):
        missing_mm2 = max(spacing_mm**2 - own_mm**2, 0.0) / FWHM**2
        if not missing_mm2:
            continue
        size, step = voxels.shape[axis], max(1.0, spacing_mm / 2 / own_mm)
        if step > 1:
            # Linear interpolation between places this far apart smooths, too.
            missing_mm2 -= (step * own_mm) ** 2 / 6
        count = int(np.ceil((size - 1) / step)) + 1
        first[axis], steps[axis] = (size - 1 - step * (count - 1)) / 2, step
        voxels = _means(voxels, axis, first[axis] + step * np.arange(count), np.sqrt(missing_mm2) / own_mm)
    own_from_new = np.diag([*steps, 1.0])
    own_from_new[:3, 3] = first
    return Volume(voxels, Grid(voxels.shape, volume.lps_from_index @ own_from_new))


def _means(voxels: Float32, axis: int, places: Float64, deviation: float) -> Float32:
    """Gaussian means around places along an axis, ``deviation`` in voxels; the outermost voxels go on outside."""
    reach = REACH * deviation
    taps = int(2 * reach) + 1
    lowest = np.ceil(places - reach).astype(np.intp)
    sources = lowest[:, np.newaxis] + np.arange(taps)
    away = (sources - places[:, np.newaxis]) / deviation
    weights = np.where(np.abs(away) <= REACH, np.exp(-0.5 * away**2), 0.0)
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    sources = np.clip(sources, 0, voxels.shape[axis] - 1)
    outer, inner = int(np.prod(voxels.shape[:axis])), int(np.prod(voxels.shape[axis + 1 :]))
    means = np.zeros((outer, len(places), inner), np.float32)
    _add_up(voxels.reshape(outer, -1, inner), sources, weights, means)
    return means.reshape(*voxels.shape[:axis], len(places), *voxels.shape[axis + 1 :])


@compiled
def _add_up(voxels: Float32, sources: NDArray[np.intp], weights: Float32, means: Float32) -> None:
    """Sum ``(outer, size, inner)`` voxels to ``(outer, places, inner)`` means, along rows of memory where there are."""
    for outer in range(voxels.shape[0]):
        for place in range(len(sources)):
            if voxels.shape[2] == 1:
                total = np.float32(0)
                for tap in range(sources.shape[1]):
                    total += weights[place, tap] * voxels[outer, sources[place, tap], 0]
                means[outer, place, 0] = total
                continue
            for tap in range(sources.shape[1]):
                source, weight = sources[place, tap], weights[place, tap]
                for n in range(voxels.shape[2]):
                    means[outer, place, n] += weight * voxels[outer, source, n]
