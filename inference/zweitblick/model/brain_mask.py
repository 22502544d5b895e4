"""Where the brain is: any one sequence, whole head or already stripped, on the volume's own grid.

The network looks at the head on a 2 mm grid along the patient's axes. Intensities are scaled by what is
above the mean, because air is not zero in stored heads and zeros alone do not tell stripped brains from whole ones.
Where it takes nearly all that stands out from an even background for brain, the head was stripped, and all of that is.
"""

import math

import numpy as np
from scipy import ndimage

from zweitblick.errors import NotAHeadError
from zweitblick.extent import box_around, filled
from zweitblick.model.runtime import Network
from zweitblick.volume import Bool, Float32, Grid, Volume, axis_aligned_grid, covering_grid

SPACING_MM = 2.0
"""Edge of the voxels that the network sees."""
STRIDE = 16
"""The network halves its grid four times, so sizes are multiples of this."""
SEARCH_MM = 4.0
"""Edge of the voxels on which the head is looked for first."""
MARGIN_MM = 16.0
"""Air around the head: at the border of its grid the network sees nothing on one side and errs."""
HEAD_HEIGHT_MM = 160.0
"""Looked at from the crown down, with the margin below: brains ended 139 to 154 mm under it, and necks mislead."""
LARGEST_GRID = 128
"""Voxels along one axis: 256 mm, above the longest adult head (about 225 mm, glabella to occiput)."""
LARGEST_VIEW_MM = 700.0
"""No scanner's bore shows more (60 to 70 cm wide); a larger picture has a wrong spacing."""
BRIGHTEST = 4.0
"""Multiples of the mean foreground at which intensities are cut: fat and vessels need no more."""
FOREGROUND = 0.3
"""Scaled intensity above which a voxel counts as tissue when the head is looked for."""
BRIDGE_VOXELS = 2
"""Bridges up to 8 mm thick are cut; on held-back whole heads this gained .007 Dice, on stripped ones it lost .002."""
SULCUS_VOXELS = 2
"""Gaps up to 8 mm wide are closed; gained .003 on held-back stripped heads."""
SMALLEST_BRAIN_ML = 500.0
"""Mean brain weight passes 500 g before the first birthday (Dekaban and Sadowsky, Ann Neurol 1978;4:345)."""
LARGEST_BRAIN_ML = 2300.0
"""Half as much again as the mean adult man's 1450 g in the same tables, with fluid and tumour."""

STRIPPED_SHARE = 0.8
"""Of what stands out from the background, taken for brain: .83 and more of a stripped head, if a tumour is missed,
and at most .7 of a whole one, where skull and scalp stand out too."""


def brain_mask(volume: Volume, network: Network) -> Bool:
    """Mask of the brain, tumour and ventricles included.

    Parameters
    ----------
    volume
        One sequence, T1, T1c, T2 or FLAIR, in any orientation; whole head or stripped.
    network
        Maps ``(1, 1, K, J, I)`` intensities of `network_input` to probabilities of the same shape.

    Returns
    -------
    ``(K, J, I)`` on the volume's own grid.

    Raises
    ------
    NotAHeadError
        If the picture is constant, larger than a scanner, or what was found is too small or large for a brain.
    """
    grid = network_grid(volume)
    probability = network(network_input(volume, grid)[None, None])[0, 0]
    body = _largest_body(probability > 0.5)
    found_ml = float(body.sum()) * grid.voxel_ml
    if not SMALLEST_BRAIN_ML <= found_ml <= LARGEST_BRAIN_ML:
        raise NotAHeadError(
            f"found {found_ml:.0f} ml of brain where {SMALLEST_BRAIN_ML:.0f} to {LARGEST_BRAIN_ML:.0f} ml "
            "are plausible; give a series that shows the whole head"
        )
    stripped = _stripped(volume, found_ml)
    if stripped is not None:
        # Asked of a stripped head, the network leaves out tumours that reach the surface, up to 45 ml.
        return stripped
    return _on_grid(Volume(_cleaned(probability, body), grid), body, volume.grid)


def network_grid(volume: Volume) -> Grid:
    """2 mm grid along the patient's axes, around the head and no more, on which the network looks at a volume.

    Raises
    ------
    NotAHeadError
        If the view is larger than a scanner's or its intensities are constant.
    """
    corners = volume.grid.corners_lps
    extent_mm = float((corners.max(axis=0) - corners.min(axis=0)).max())
    if extent_mm > LARGEST_VIEW_MM:
        raise NotAHeadError(
            f"the picture is {extent_mm:.0f} mm long, more than {LARGEST_VIEW_MM:.0f} mm; check its pixel spacing"
        )
    view = covering_grid(volume.grid, SEARCH_MM)
    return _head_window(view, network_input(volume, view) > FOREGROUND)


def network_input(volume: Volume, grid: Grid) -> Float32:
    """Intensities on a grid, ``(K, J, I)``: 0 is air, 1 the mean of what is brighter than the volume's mean.

    Raises
    ------
    NotAHeadError
        If the volume's intensities are constant.
    """
    air, tissue = intensity_range(volume)
    values = volume.resampled(grid, fill=air).voxels
    scaled: Float32 = np.clip((values - air) / (tissue - air), -1.0, BRIGHTEST).astype(np.float32)
    return scaled


def intensity_range(volume: Volume) -> tuple[float, float]:
    """First percentile and mean of the voxels above the mean, from about every 2 mm.

    Raises
    ------
    NotAHeadError
        If both are equal.
    """
    steps = [max(1, round(SPACING_MM / spacing)) for spacing in volume.spacing_mm]
    sample = volume.voxels[:: steps[0], :: steps[1], :: steps[2]]
    air = float(np.percentile(sample, 1))
    above = sample[sample > sample.mean(dtype=np.float64)]
    tissue = float(above.mean(dtype=np.float64)) if above.size else air
    if not tissue > air:
        raise NotAHeadError(f"intensities are constant at {air:g}; choose another series")
    return air, tissue


def _head_window(view: Grid, tissue: Bool) -> Grid:
    """Box of the tissue with air around it: the crown and what hangs below it, then back, front and sides of that."""
    if not tissue.any():
        raise NotAHeadError("nothing stands out from the background; choose another series")
    start, size = [0, 0, 0], [0, 0, 0]
    for axis in range(3):
        first, last = _tissue_ends(tissue, axis)
        if axis == 0:
            first = max(first, last - round(HEAD_HEIGHT_MM / SEARCH_MM))
        tissue = tissue.take(range(first, last), axis)
        start[axis], size[axis] = first, last - first
    k, j, i = (_voxels_for(count * SEARCH_MM + 2 * MARGIN_MM) for count in size)
    center = view.lps(np.array(start) + (np.array(size) - 1) / 2)
    return axis_aligned_grid(center, (k, j, i), SPACING_MM)


def _voxels_for(length_mm: float) -> int:
    """Voxels of 2 mm for a length, in steps of the network's stride."""
    return min(LARGEST_GRID, math.ceil(length_mm / SPACING_MM / STRIDE) * STRIDE)


def _tissue_ends(tissue: Bool, axis: int) -> tuple[int, int]:
    """First and one past the last slice along an axis, one tissue voxel in two hundred left out at either end."""
    others = tuple({0, 1, 2} - {axis})
    share = np.cumsum(tissue.sum(axis=others)) / tissue.sum()
    return int(np.searchsorted(share, 0.005)), int(np.searchsorted(share, 0.995)) + 1


def _stripped(volume: Volume, found_ml: float) -> Bool | None:
    """Mark what stands out from an even background, holes filled, if nearly all of it was found to be brain."""
    faces = [volume.voxels.take([0, -1], axis=axis).ravel() for axis in range(3)]
    tissue = volume.voxels != np.median(np.concatenate(faces))
    most = found_ml / STRIPPED_SHARE / volume.grid.voxel_ml
    # Filling only adds, and takes the time: most whole heads are told before it.
    if tissue.sum() > most:
        return None
    brain = filled(tissue)
    return brain if brain.sum() <= most else None


def _largest_body(mask: Bool) -> Bool:
    """Keep the largest part once bridges to scalp and orbit are cut, close its sulci and fill its cavities."""
    core: Bool = ndimage.binary_erosion(mask, iterations=BRIDGE_VOXELS)
    labels, count = ndimage.label(core)
    if count == 0:
        return core
    largest = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    body = ndimage.binary_dilation(largest, iterations=BRIDGE_VOXELS + 1) & mask
    # Dilation and erosion apart: closing would eat what lies at the border of the grid.
    grown = ndimage.binary_dilation(body, iterations=SULCUS_VOXELS)
    closed = body | ndimage.binary_erosion(grown, iterations=SULCUS_VOXELS)
    return filled(closed)


def _cleaned(probability: Float32, body: Bool) -> Float32:
    """Probabilities with other parts set to 0 and filled cavities to 1, smooth at the body's own border."""
    border = ndimage.binary_dilation(body) & ~body
    outside = np.where(border, np.minimum(probability, 0.5), 0.0)
    return np.where(body, np.where(probability > 0.5, probability, 1.0), outside).astype(np.float32)


def _on_grid(probability: Volume, body: Bool, grid: Grid) -> Bool:
    """Probabilities above one half on another grid; only the body's box is interpolated."""
    box = box_around(body, grid.index_from_lps @ probability.lps_from_index, grid.shape)
    mask = np.zeros(grid.shape, np.bool_)
    if mask[box].size:
        k, j, i = mask[box].shape
        mask[box] = probability.resampled(grid.cropped([one.start for one in box], (k, j, i))).voxels > 0.5
    return mask
