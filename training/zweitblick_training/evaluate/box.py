"""The part of a label map in which there is tumour, drawn or found: all that overlap needs."""

import numpy as np
from scipy import ndimage

from zweitblick.prediction import Prediction, Region
from zweitblick.volume import Bool, Float64, Volume


def tumour_box(prediction: Prediction, labels: Volume) -> Volume:
    """Crop a label map to the smallest box that holds what was drawn and what was found.

    Parameters
    ----------
    prediction
        On any grid, in the patient coordinates of the labels.
    labels
        Label map; not 0 is tumour.

    Returns
    -------
    Volume
        One voxel if there is no tumour in either.
    """
    drawn = _corners(labels.voxels > 0)
    found = _corners(prediction.mask(Region.WT))
    inside = labels.grid.index(prediction.grid.lps(found)) if len(found) else found
    corners = np.concatenate([drawn, inside])
    if not len(corners):
        corners = np.zeros((1, 3))
    last = np.array(labels.shape) - 1
    low = np.clip(np.floor(corners.min(axis=0)), 0, last).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)), 0, last).astype(int)
    k, j, i = (int(size) for size in high - low + 1)
    cut = tuple(slice(start, stop + 1) for start, stop in zip(low, high, strict=True))
    return Volume(labels.voxels[cut], labels.grid.cropped(low.tolist(), (k, j, i)))


def _corners(mask: Bool) -> Float64:
    """Corners ``(8, 3)`` of a mask's bounding box, one voxel around it included; ``(0, 3)`` of an empty one."""
    found = ndimage.find_objects(mask.astype(np.uint8))
    if not found:
        return np.zeros((0, 3))
    low = np.array([side.start - 1 for side in found[0]])
    extent = np.array([side.stop - side.start + 1 for side in found[0]])
    return np.asarray(low + np.array(list(np.ndindex(2, 2, 2))) * extent, np.float64)
