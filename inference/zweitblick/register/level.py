"""One resolution of a volume, prepared for registration."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from zweitblick.errors import RegistrationError
from zweitblick.volume import Bool, Float32, Float64, Volume, covering_grid

MARGIN_MM = 8.0
"""Belt of background around the head that the metric sees, so that the outline counts."""

INSIDE_MM = 6.0
"""Rim of the foreground that `Level.inside` leaves out."""

SHADING_MM = 16.0
"""Width (standard deviation) of the mean that is taken for the receive coil's shading."""


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
    def points_lps(self) -> Float64:
        """Centres of the foreground's voxels, ``(n, 3)`` LPS mm."""
        return self.volume.grid.lps(np.argwhere(self.foreground))

    @cached_property
    def center_lps(self) -> Float64:
        """Centre of gravity of the foreground, ``(3,)`` LPS mm."""
        return np.asarray(self.points_lps.mean(axis=0), np.float64)

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


def level(volume: Volume, spacing_mm: float) -> Level:
    """Prepare a volume at one resolution.

    Raises
    ------
    RegistrationError
        If the volume shows no contrast, hence no head, or a head whose grey values are not positive.
    """
    grid = covering_grid(volume.grid, spacing_mm)
    smooth = Volume(_smoothed(volume, spacing_mm), volume.grid).resampled(grid)
    inside = Volume(np.ones(volume.shape, np.float32), volume.grid).resampled(grid)
    covered = inside.voxels > 0.99
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


def _smoothed(volume: Volume, spacing_mm: float) -> Float32:
    """Gaussian whose full width at half maximum fills up the difference to the wanted spacing, axis by axis."""
    own = np.array(volume.spacing_mm)
    missing_mm = np.sqrt(np.clip(spacing_mm**2 - own**2, 0.0, None)) / 2.355
    return np.asarray(ndimage.gaussian_filter(volume.voxels, missing_mm / own, truncate=3.0), np.float32)


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
    return np.asarray(ndimage.binary_fill_holes(labels == largest), np.bool_)
