"""Defacing: in the images of a head everything but the brain and a little around it becomes background.

Who has a whole head can draw its face, and find it among photographs (Schwarz, N Engl J Med 2019;381:1684). PS3.15
section E.3.2 asks that such features be removed; what lies within millimetres of the brain shows none.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from zweitblick.dicom.geometry import stacked
from zweitblick.dicom.pixels import stored_values
from zweitblick.dicom.stack import parts, stack
from zweitblick.errors import NotDeidentifiableError
from zweitblick.study import Frame, Instance, Series
from zweitblick.volume import Bool, Volume

MARGIN_MM = 5.0
"""Kept around the mask, whose border is seldom off by more; the skin is 10 mm and more away (scalp and skull)."""

BACKGROUND_PERCENT = 1.0
"""Percentile of intensities that is taken for air, as `zweitblick.model.brain_mask` does."""


def defaced(series: Series, brain_of: Callable[[Volume], Bool]) -> Iterator[tuple[Instance, NDArray[np.integer]]]:
    """Clear the images of a series of everything that is no brain.

    Parameters
    ----------
    series
        Of classic images, one frame each; it may hold several volumes.
    brain_of
        Finds the brain in a volume, as `zweitblick.model.brain_mask.brain_mask` does.

    Yields
    ------
    tuple
        Each image that is part of a volume, and its stored values ``(rows, columns)`` as they are to be written.

    Raises
    ------
    NotDeidentifiableError
        If an image has several frames.
    SeriesError, InstanceError, NotAHeadError
        If the series is no volume, does not decode, or shows no whole brain. Nothing of it must be passed on then.
    """
    for part in parts(series):
        if any(frame.number != 1 for frame in part.frames) or len(part.frames) != len(part.instances):
            raise NotDeidentifiableError(f"{series.name}: images of several frames are not defaced; leave it out")
        volume = stack(part)
        near = _near(brain_of(volume), volume)
        air = float(np.percentile(volume.voxels, BACKGROUND_PERCENT))
        yield from _cleared(part, near, air)


def _near(brain: Bool, volume: Volume) -> Bool:
    distance_mm = ndimage.distance_transform_edt(~brain, sampling=volume.spacing_mm)
    near: Bool = distance_mm <= MARGIN_MM
    return near


def _cleared(part: Series, near: Bool, air: float) -> Iterator[tuple[Instance, NDArray[np.integer]]]:
    places = {frame.instance: (k, frame) for k, frame in enumerate(stacked(part).frames)}
    for instance, planes in stored_values(places):
        k, frame = places[instance]
        values = planes[0].copy()
        values[~near[k]] = _background(values, frame, air)
        yield instance, values


def _background(values: NDArray[np.integer], frame: Frame, air: float) -> int:
    """Return the stored value of air, within what the image holds, so that it fits its bits."""
    slope, intercept = frame.rescale
    stored = round((air - intercept) / slope) if slope else 0
    return int(np.clip(stored, values.min(), values.max()))
