"""Which of two T1 images was taken after contrast agent, and which is no image of tissue but a difference."""

import math

import numpy as np
from scipy import ndimage

from zweitblick.volume import Bool, Float32, Grid, Volume

STEP_MM = 2.0
"""Working resolution; vessels, choroid plexus and mucosa are larger."""

SCALP_MM, DEEP_MM = 14.0, 25.0
"""Depth below the skin from which there is no scalp or marrow, whose brightness depends on fat suppression, and from
which most tissue is white matter."""

TISSUE = (0.55, 1.45)
"""Signal of brain relative to its median in a T1 image, before contrast agent."""

FEWEST_VOXELS = 500


def brightening(image: Volume, reference: Volume) -> float:
    """How much more small structures inside the head shine in one T1 image than in another, in [-1, 1].

    Both are scaled to the same brain level, subtracted, and the two tails of the differences compared: vessels,
    choroid plexus, mucosa and a tumour's rim make a tail on one side only, noise and motion on both sides alike.

    Parameters
    ----------
    image, reference
        Volumes of the same patient in one frame of reference.

    Returns
    -------
    float
        ``(P99.5 + P0.5) / (P99.5 - P0.5)`` of the difference around its median: positive if ``image`` shines more,
        not a number where too little of the brain is in both to compare them.
    """
    grid = _coarse(reference.grid)
    first, second = _averaged(image, grid), _averaged(reference, grid)
    depth = _depth_mm(_head(first) & _head(second), grid)
    deep = depth > DEEP_MM
    if deep.sum() < FEWEST_VOXELS:
        return math.nan
    first, second = first / _level(first, deep), second / _level(second, deep)
    brain = _brain(first, second, depth)
    if brain.sum() < FEWEST_VOXELS:
        return math.nan
    difference = first[brain] / _level(first, brain) - second[brain] / _level(second, brain)
    low, middle, high = np.percentile(difference, (0.5, 50.0, 99.5))
    return float((high + low - 2.0 * middle) / max(high - low, 1e-6))


def tissue_level(image: Volume, reference: Volume) -> float:
    """Signal of the deep brain relative to the brightest parts of the head: near 0 in a subtraction.

    Parameters
    ----------
    image
        Volume that may be a difference of two others; negative values count as dark.
    reference
        A T1 image of the same head in the same frame of reference, which shows where the brain is.

    Returns
    -------
    float
        Median inside the brain over the 99th percentile of the head; 1 where the two hardly overlap.
    """
    grid = _coarse(reference.grid)
    values, tissue = _averaged(image, grid), _averaged(reference, grid)
    head, covered = _head(tissue), _covered(image, grid)
    deep = (_depth_mm(head, grid) > DEEP_MM) & covered
    if deep.sum() < FEWEST_VOXELS:
        return 1.0
    top = float(np.percentile(values[head & covered], 99.0))
    return float(np.median(values[deep])) / top if top > 0 else 0.0


def _coarse(grid: Grid) -> Grid:
    """Keep every n-th voxel so that steps come near `STEP_MM`."""
    strides = [max(1, round(STEP_MM / spacing)) for spacing in grid.spacing_mm]
    shape = [max(1, size // stride) for size, stride in zip(grid.shape, strides, strict=True)]
    scale = np.diag([*strides, 1.0])
    scale[:3, 3] = (np.array(strides) - 1) / 2.0
    return Grid((shape[0], shape[1], shape[2]), grid.lps_from_index @ scale)


def _averaged(volume: Volume, grid: Grid) -> Float32:
    widths = [max(1, round(STEP_MM / spacing)) for spacing in volume.spacing_mm]
    smooth = Volume(ndimage.uniform_filter(volume.voxels, widths), volume.grid)
    return smooth.resampled(grid).voxels


def _covered(image: Volume, grid: Grid) -> Bool:
    """Where the grid lies inside the image, beyond which resampling gives zero."""
    return Volume(np.ones_like(image.voxels), image.grid).resampled(grid).voxels > 0.5


def _head(values: Float32) -> Bool:
    """Largest connected object above the background, holes filled slice by slice."""
    return _largest(_filled(values > 0.6 * values.mean()))


def _filled(mask: Bool) -> Bool:
    return np.stack([ndimage.binary_fill_holes(plane) for plane in mask])


def _largest(mask: Bool) -> Bool:
    parts, count = ndimage.label(mask)
    if count == 0:
        return mask
    return np.asarray(parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]), np.bool_)


def _depth_mm(head: Bool, grid: Grid) -> Float32:
    padded = ndimage.distance_transform_edt(np.pad(head, 1), sampling=grid.spacing_mm)
    return np.asarray(padded[1:-1, 1:-1, 1:-1], np.float32)


def _level(values: Float32, where: Bool) -> float:
    return max(float(np.median(values[where])), 1e-6)


def _brain(first: Float32, second: Float32, depth: Float32) -> Bool:
    """Brain without its rim: what is of tissue's signal in both images, closed over the vessels in it."""
    low, high = TISSUE
    inside = depth > SCALP_MM
    like = inside & (first > low) & (first < high) & (second > low) & (second < high)
    core = _largest(ndimage.binary_opening(like, np.ones((1, 5, 5))))
    return np.asarray(ndimage.binary_closing(core, np.ones((1, 3, 3)), iterations=5) & inside, np.bool_)
