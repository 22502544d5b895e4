"""One resolution of a volume, prepared for registration."""

from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock
from typing import Self

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from zweitblick.errors import RegistrationError
from zweitblick.extent import filled, row_ends
from zweitblick.register.smoothing import smoothed
from zweitblick.volume import Bool, Float32, Float64, Volume, covering_grid

MARGIN_MM = 8.0
"""Belt of background around the head that the metric sees, so that the outline counts."""

INSIDE_MM = 12.0
"""Rim of the foreground, along each axis, that `Level.inside` leaves out: scalp and skull."""

HEAD_MM = 6.0
"""Spacing at which the head is told from the air, and the coil's shading measured: scalp and brain are one piece, as at
4 mm they may not be."""

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
        """Leave out the foreground's rim, so that the outline itself tells nothing."""
        steps = round(INSIDE_MM / self.volume.spacing_mm[0])
        # What was not acquired is no outline: a thin slab must not vanish.
        inside = ndimage.minimum_filter(self.foreground | ~self.covered, size=2 * steps + 1, mode="nearest")
        return replace(self, foreground=inside & self.foreground)

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


@dataclass(frozen=True, eq=False)
class Head:
    """What every level of a volume shares, found at `HEAD_MM`.

    Parameters
    ----------
    source
        The volume.
    smooth
        Its smoothed intensities on an isotropic grid along the patient axes.
    foreground
        ``(K, J, I)`` bool on that grid, see `Level`.
    shading
        What the intensities are divided by, on a grid of its own.
    """

    source: Volume
    smooth: Volume
    foreground: Bool
    shading: Volume

    @classmethod
    def of(cls, volume: Volume) -> Self:
        """Find the head; raises what `level` does."""
        grid = covering_grid(volume.grid, HEAD_MM)
        smooth = smoothed(volume, HEAD_MM).resampled(grid)
        foreground = _foreground(smooth.voxels, grid.inside(volume.grid, border=BORDER))
        return cls(volume, smooth, foreground, _shading(smooth, foreground))

    def level(self, spacing_mm: float) -> Level:
        """Prepare the volume at a resolution."""
        grid = covering_grid(self.source.grid, spacing_mm)
        smooth = self.smooth if spacing_mm == HEAD_MM else smoothed(self.source, spacing_mm).resampled(grid)
        covered = grid.inside(self.source.grid, border=BORDER)
        head = Volume(self.foreground.astype(np.float32), self.smooth.grid).resampled(grid)
        foreground = (head.voxels > 0.5) & covered
        flat = smooth.voxels / self.shading.resampled(grid, fill=1.0).voxels
        low, high = np.percentile(flat[foreground], [1, 99])
        return Level(Volume(np.clip(flat, min(low, 0.0), high), grid), covered, foreground)


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
                self._levels[spacing_mm] = self._head.level(spacing_mm)
            return self._levels[spacing_mm]

    @cached_property
    def _head(self) -> Head:
        return Head.of(self._volume)


def level(volume: Volume, spacing_mm: float) -> Level:
    """Prepare a volume at one resolution.

    Raises
    ------
    RegistrationError
        If the volume shows no contrast, hence no head, or a head whose grey values are not positive.
    """
    return Head.of(volume).level(spacing_mm)


def as_image(voxels: Float32, volume: Volume) -> sitk.Image:
    """ITK's view of an axis-aligned volume: ITK reads ``(K, J, I)`` arrays and holds origin and spacing as x, y, z."""
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing([float(size) for size in volume.spacing_mm[::-1]])
    image.SetOrigin([float(value) for value in volume.grid.lps([0, 0, 0])])
    return image


def _shading(volume: Volume, foreground: Bool) -> Volume:
    """Return the coil's shading, taken as the foreground's mean over `SHADING_MM`, relative to the whole head's.

    Mutual information joins grey values over the whole head: left in, a shading of 30 % pulls the result off by 1 mm.
    """
    weight = Volume(foreground.astype(np.float32), volume.grid)
    shine = Volume(volume.voxels * weight.voxels, volume.grid)
    overall = float(shine.voxels.sum(dtype=np.float64) / weight.voxels.sum(dtype=np.float64))
    if overall < np.finfo(np.float32).tiny:
        raise RegistrationError(f"a head's mean grey value is {overall:g}, not positive; leave the series out")
    deviation = SHADING_MM / volume.spacing_mm[0]
    total, share = (ndimage.gaussian_filter(each.voxels, deviation) for each in (shine, weight))
    shading = np.where(share > 0.01, total / np.maximum(share, 0.01) / overall, 1.0)
    return Volume(np.maximum(shading, 0.1), volume.grid)


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
