"""Key images: three planes through the head, grey with the outline over them, in radiological orientation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zweitblick.extent import row_ends
from zweitblick.overlay import coloured, grey, outlined, window
from zweitblick.reading import Reading
from zweitblick.volume import Float64, Grid

PIXEL_MM = 0.5
OUTLINE_PIXELS = 2
MARGIN_MM = 20.0
"""Shown around the brain's box: skull and scalp."""

_AXES = {
    # Where rows run to (down) and columns run to (right), in LPS: the patient's right is on the left of the picture.
    "axial": ((0, 1, 0), (1, 0, 0)),
    "coronal": ((0, 0, -1), (1, 0, 0)),
    "sagittal": ((0, 0, -1), (0, 1, 0)),
}
_LETTERS = {"axial": "ALPR", "coronal": "HLFR", "sagittal": "HPFA"}
"""Patient directions at the top, right, bottom and left edge (PS3.3 C.7.6.1.1.1)."""


@dataclass(frozen=True, eq=False)
class View:
    """One key image.

    Parameters
    ----------
    plane
        ``axial``, ``coronal`` or ``sagittal``.
    outlined, plain
        ``(H, W, 3)`` uint8 RGB with and without outline, square pixels of `PIXEL_MM`; H = W and one scale for all.
    letters
        Patient directions at the top, right, bottom and left edge.
    """

    plane: str
    outlined: NDArray[np.uint8]
    plain: NDArray[np.uint8]
    letters: str


def key_images(reading: Reading) -> tuple[View, ...]:
    """Axial, coronal and sagittal view through the largest lesion's centre, or the brain's middle where none is.

    The grey picture is the reference series as scanned, not the network's brain-only input: skull and scalp help to
    find one's way. The outline is the prediction, interpolated to the picture's pixels before it is cut at the
    threshold.
    """
    low, high = _brain_box(reading)
    center = np.array(reading.findings.lesions[0].center_lps) if reading.findings.lesions else (low + high) / 2
    side_mm = float((high - low).max()) + 2 * MARGIN_MM
    on_prediction = reading.reference_volume.resampled(reading.prediction.grid)
    shown = window(on_prediction.voxels, reading.prediction.brain)
    grids = {plane: _plane_grid(plane, center, middle=(low + high) / 2, side_mm=side_mm) for plane in _AXES}
    return tuple(_view(reading, plane, grid=grid, shown=shown) for plane, grid in grids.items())


def _view(reading: Reading, plane: str, *, grid: Grid, shown: tuple[float, float]) -> View:
    picture = grey(reading.reference_volume.resampled(grid).voxels[0], shown)
    labels = reading.prediction.resampled(grid).labels()[0]
    return View(plane, outlined(picture, labels, pixels=OUTLINE_PIXELS), coloured(picture), _LETTERS[plane])


def _plane_grid(plane: str, center: Float64, *, middle: Float64, side_mm: float) -> Grid:
    """One slice through ``center``, its picture centred on ``middle`` within the plane."""
    down, right = (np.array(axis, np.float64) for axis in _AXES[plane])
    normal = np.cross(down, right)
    count = round(side_mm / PIXEL_MM)
    in_plane = middle + normal * float((center - middle) @ normal)
    lps_from_index = np.eye(4)
    lps_from_index[:3, :3] = np.column_stack([normal, down, right]) * PIXEL_MM
    lps_from_index[:3, 3] = in_plane - (down + right) * PIXEL_MM * (count - 1) / 2
    return Grid((1, count, count), lps_from_index)


def _brain_box(reading: Reading) -> tuple[Float64, Float64]:
    """Lowest and highest LPS corner of the brain, or of the whole grid where no brain was marked."""
    prediction = reading.prediction
    index = row_ends(prediction.brain)
    lps = prediction.grid.lps(index) if len(index) else prediction.grid.corners_lps
    return lps.min(axis=0), lps.max(axis=0)
