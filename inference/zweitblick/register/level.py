"""One resolution of a volume, prepared for registration."""

from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from zweitblick.errors import RegistrationError
from zweitblick.extent import filled, row_ends
from zweitblick.volume import Bool, Float32, Float64, Grid, Volume, covering_grid

MARGIN_MM = 8.0
"""Belt of background around the head that the metric sees, so that the outline counts."""

INSIDE_MM = 6.0
"""Rim of the foreground that `Level.inside` leaves out."""

SHADING_MM = 16.0
"""Width (standard deviation) of the mean that is taken for the receive coil's shading."""

BORDER = 0.01
"""What rounding may put a voxel outside of the field of view, in voxels."""

MIN_CONTRAST = 0.02
"""Range of grey values, as a share of the largest, of a picture; interpolation at its rim makes up to 1 %."""


@dataclass(frozen=True, eq=False)
class Level:
    """A volume smoothed and resampled to an isotropic grid along the patient axes.

    Parameters
    ----------
    volume
        Intensities, clipped to the foreground's 1st and 99th percentile (bright fat and vessels would
        otherwise take most of the histogram).
    covered
        ``(K, J, I)`` bool, voxels within the acquired field of view.
    foreground
        ``(K, J, I)`` bool, head (or brain, where the skull is stripped) within the field of view.
    """

    volume: Volume
    covered: Bool
    foreground: Bool

    @cached_property
    def rim_lps(self) -> Float64:
        """Voxel centres of the foreground, ``(n, 3)`` LPS mm, than which none lies further out."""
        return self.volume.grid.lps(row_ends(self.foreground))

    @cached_property
    def center_lps(self) -> Float64:
        """Centre of gravity of the foreground, ``(3,)`` LPS mm."""
        return np.asarray(self.volume.grid.lps(np.argwhere(self.foreground).mean(axis=0)), np.float64)

    def inside(self) -> "Level":
        """Leave out `INSIDE_MM` of the foreground's rim, so that the outline itself tells nothing."""
        steps = round(INSIDE_MM / self.volume.spacing_mm[0])
        return replace(self, foreground=ndimage.binary_erosion(self.foreground, iterations=steps))

    @cached_property
    def image(self) -> sitk.Image:
        """The intensities for ITK."""
        return as_image(self.volume.voxels, self.volume)

    @cached_property
    def covered_image(self) -> sitk.Image:
        """Mask of the field of view for ITK."""
        return as_image(self.covered.astype(np.uint8), self.volume)

    @cached_property
    def region(self) -> Bool:
        """The foreground and a belt around it, within the field of view, ``(K, J, I)`` bool."""
        steps = max(1, round(MARGIN_MM / self.volume.spacing_mm[0]))
        return np.asarray(ndimage.binary_dilation(self.foreground, iterations=steps) & self.covered, np.bool_)

    @cached_property
    def region_image(self) -> sitk.Image:
        """`region` for ITK."""
        return as_image(self.region.astype(np.uint8), self.volume)


class Pyramid:
    """A volume's levels, each prepared once for all the series that are aligned to it, from any thread.

    Parameters
    ----------
    volume
        Any contrast, any orientation.
    """

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._levels: dict[float, Level] = {}
        self._lock = Lock()

    def __getitem__(self, spacing_mm: float) -> Level:
        """Level of a spacing; raises what `level` does."""
        with self._lock:
            if spacing_mm not in self._levels:
                self._levels[spacing_mm] = level(self._volume, spacing_mm)
            return self._levels[spacing_mm]


def level(volume: Volume, spacing_mm: float) -> Level:
    """Prepare a volume at one resolution.

    Raises
    ------
    RegistrationError
        If the volume shows no contrast, hence no head, or a head whose grey values are not positive.
    """
    grid = covering_grid(volume.grid, spacing_mm)
    smooth = _smoothed(volume, spacing_mm).resampled(grid)
    covered = grid.inside(volume.grid, border=BORDER)
    foreground = _foreground(smooth.voxels, covered)
    flat = _flattened(smooth, foreground)
    low, high = np.percentile(flat[foreground], [1, 99])
    return Level(Volume(np.clip(flat, min(low, 0.0), high), grid), covered, foreground)


def as_image(voxels: Float32, volume: Volume) -> sitk.Image:
    """ITK's view of an axis-aligned volume: ITK reads ``(K, J, I)`` arrays and holds origin and spacing as x, y, z."""
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing([float(size) for size in volume.spacing_mm[::-1]])
    image.SetOrigin([float(value) for value in volume.grid.lps([0, 0, 0])])
    return image


def _smoothed(volume: Volume, spacing_mm: float) -> Volume:
    """Gaussian whose full width at half maximum fills up the difference to the wanted spacing, axis by axis.

    An axis of fine voxels keeps only every so many that their distance is half the wanted spacing at most: what is
    smoothed has no finer detail, and all that follows is faster.
    """
    voxels, shift, steps = volume.voxels, np.zeros(3), np.ones(3)
    for axis, own_mm in enumerate(volume.spacing_mm):
        variance = max(spacing_mm**2 - own_mm**2, 0.0) / 2.355**2
        step = max(1, int(spacing_mm / 2 / own_mm))
        if step > 1:
            # Linear interpolation between places this far apart smooths, too.
            deviation = np.sqrt(max(variance - (step * own_mm) ** 2 / 6, 0.0)) / own_mm
            voxels = _thinned(voxels, axis, step, deviation)
            shift[axis], steps[axis] = (step - 1) / 2 - step, step
        elif variance:
            voxels = ndimage.gaussian_filter1d(voxels, np.sqrt(variance) / own_mm, axis, truncate=3.0)
    thinner = np.diag([*steps, 1.0])
    thinner[:3, 3] = shift
    return Volume(voxels, Grid(voxels.shape, volume.lps_from_index @ thinner))


def _thinned(voxels: Float32, axis: int, step: int, deviation: float) -> Float32:
    """Gaussian means ``step`` voxels apart along an axis, from one before its first voxels to one after its last."""
    size = voxels.shape[axis]
    centers = (step - 1) / 2 + step * np.arange(-1, -(-size // step) + 1)
    away = np.arange(size) - np.clip(centers, 0, size - 1)[:, np.newaxis]
    weights = np.exp(-0.5 * (away / deviation) ** 2)
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return np.moveaxis(np.tensordot(weights, voxels, axes=(1, axis)), 0, axis)


def _flattened(volume: Volume, foreground: Bool) -> Float32:
    """Divide by the coil's shading, taken as the foreground's mean over `SHADING_MM`.

    Mutual information joins grey values over the whole head: left in, a shading of 30 % pulls the result off by 1 mm.
    """
    coarse = covering_grid(volume.grid, SHADING_MM / 4)
    weight = Volume(foreground.astype(np.float32), volume.grid)
    shine = Volume(volume.voxels * weight.voxels, volume.grid)
    total, share = (ndimage.gaussian_filter(each.resampled(coarse).voxels, 4.0) for each in (shine, weight))
    overall = float(shine.voxels.sum(dtype=np.float64) / weight.voxels.sum(dtype=np.float64))
    if overall < np.finfo(np.float32).tiny:
        raise RegistrationError(f"a head's mean grey value is {overall:g}, not positive; leave the series out")
    shading = np.where(share > 0.01, total / np.maximum(share, 0.01), overall)
    field = Volume(np.maximum(shading, overall / 10), coarse).resampled(volume.grid, fill=overall)
    return np.asarray(volume.voxels * (overall / field.voxels), np.float32)


def _foreground(voxels: Float32, covered: Bool) -> Bool:
    """Largest connected part brighter than half the mean of all that is brighter than the mean; holes filled."""
    values = voxels[covered]
    if not values.size:
        raise RegistrationError("a series is too thin to hold a head; leave it out")
    if np.ptp(values) <= MIN_CONTRAST * np.abs(values).max():
        raise RegistrationError(f"a series shows one grey value only, {values.max():g}; leave it out")
    bright = float(values[values > values.mean(dtype=np.float64)].mean(dtype=np.float64))
    if bright <= 0:
        raise RegistrationError(f"the brighter part of a series has mean {bright:g}, not positive; leave it out")
    labels, _ = ndimage.label((voxels > bright / 2) & covered)
    largest = int(np.bincount(labels.ravel())[1:].argmax()) + 1
    return filled(labels == largest)
