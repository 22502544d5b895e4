"""Series to volumes: what a series holds (`examined`, `parts`) and its voxels (`stack`)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from zweitblick.dicom.frames import VolumeKey
from zweitblick.dicom.geometry import MIN_SLICES, Stacked, share_places, stacked
from zweitblick.dicom.pixels import stored_values
from zweitblick.errors import (
    LocalizerError,
    MissingGeometryError,
    NoPixelDataError,
    NotAVolumeError,
    NotMRError,
    PixelDecodeError,
    SecondaryCaptureError,
    SeriesError,
)
from zweitblick.study import Frame, Instance, Series
from zweitblick.volume import Float32, Volume

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
"""Root of the Secondary Capture storage classes, single and multi-frame (PS3.4 B.5)."""

_MR_IMAGES = (
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.4.1",
    "1.2.840.10008.5.1.4.1.1.4.4",
)
"""MR, Enhanced MR and Legacy Converted Enhanced MR Image Storage; only these must hold pixel data."""

_SCREENSHOT_WORDS = ("SCREEN", "SCREEN SAVE", "SCREENSAVE", "SCREENSHOT", "CSA REPORT")
"""What vendors write into Image Type (0008,0008) of pictures that are kept as MR images."""


@dataclass(frozen=True)
class Examined:
    """The volumes of a series, parted by whether their geometry is sound.

    Parameters
    ----------
    sound
        At least one, each a Series with the frames, instances and physics of its volume.
    errors
        Why each of the other volumes cannot be read, in the order of their first frames; often empty.
    """

    sound: tuple[Series, ...]
    errors: tuple[SeriesError, ...]


def examined(series: Series) -> Examined:
    """Part a series into its volumes and check the geometry of each; no pixels are decoded.

    Frames are parted by stack, and where they share places by what tells volumes apart (`VolumeKey`). Scout frames
    among others are left out, as are raw-data instances.

    Raises
    ------
    SeriesError
        A subclass that says why the series holds no volume; see `errors`.
    """
    _check_kind(series)
    _check_complete(series)
    frames = _without_scouts(series)
    sound, errors = [], []
    groups = [_part(series, group) for group in _groups(frames)]
    for part in groups:
        try:
            stacked(part)
        except SeriesError as error:
            errors.append((part, error))
        else:
            sound.append(part)
    if not sound:
        raise _reason(replace(series, frames=frames), errors)
    return Examined(tuple(sound), tuple(error for _, error in errors))


def parts(series: Series) -> tuple[Series, ...]:
    """Sound volumes that a series holds, at least one; see `examined`, which also tells why others are left out.

    Raises
    ------
    SeriesError
        A subclass that says why the series holds no volume; see `errors`.
    """
    return examined(series).sound


def stack(part: Series) -> Volume:
    """Voxels of one part: every instance decoded once, rescaled (slope × stored value + intercept), in slice order.

    The value is the displayed one (PS3.3 C.11.1), also for Philips, whose private Scale Slope (2005,100E) would give
    values comparable between series; intensities are normalised later, and within one series both differ by one
    factor only.

    Raises
    ------
    SeriesError
        If the part's geometry is no even stack.
    InstanceError
        If an instance is damaged or does not decode.
    """
    geometry = stacked(part)
    return Volume(_voxels(part, geometry), geometry.grid)


def _check_kind(series: Series) -> None:
    """Refuse what is no MR image by its own word."""
    if any(_is_secondary_capture(instance) for instance in series.instances) or _is_screenshot(series):
        raise SecondaryCaptureError(
            f"{series.name}: secondary captures are pictures, not measurements; leave it out", series_uid=series.uid
        )
    if series.modality != "MR":
        raise NotMRError(
            f"{series.name}: modality (0008,0060) is {series.modality or 'empty'}, not MR; leave it out",
            series_uid=series.uid,
        )
    if any(instance.samples_per_pixel > 1 for instance in series.instances):
        raise NotAVolumeError(f"{series.name}: pixels are in colour, not grey; leave it out", series_uid=series.uid)
    if any("MOSAIC" in frame.image_type for frame in series.frames):
        raise NotAVolumeError(
            f"{series.name}: Siemens mosaic (an echo-planar volume tiled into one plane) is not read; leave it out",
            series_uid=series.uid,
        )


def _is_secondary_capture(instance: Instance) -> bool:
    uid = instance.sop_class_uid
    return uid == _SECONDARY_CAPTURE or uid.startswith(_SECONDARY_CAPTURE + ".")


def _is_screenshot(series: Series) -> bool:
    return any(word in _SCREENSHOT_WORDS for word in series.physics.image_type)


def _check_complete(series: Series) -> None:
    """Every image has pixels, and all that has pixels has a place."""
    without = [one for one in series.instances if not one.samples_per_pixel and one.sop_class_uid in _MR_IMAGES]
    with_pixels = [one for one in series.instances if one.samples_per_pixel]
    if without or not with_pixels:
        raise NoPixelDataError(
            f"{series.name}: {len(without) or len(series.instances)} of {len(series.instances)} instances hold no "
            "pixel data; send the series again",
            series_uid=series.uid,
        )
    placed = {frame.instance for frame in series.frames}
    lost = [one for one in with_pixels if one not in placed]
    if lost:
        raise MissingGeometryError(
            f"{series.name}: {len(lost)} of {len(with_pixels)} instances have no complete position (0020,0032), "
            "orientation (0020,0037), pixel spacing (0028,0030) or size; export the original images",
            series_uid=series.uid,
        )


def _without_scouts(series: Series) -> tuple[Frame, ...]:
    frames = tuple(frame for frame in series.frames if "LOCALIZER" not in frame.image_type)
    if not frames:
        raise LocalizerError(
            f"{series.name}: Image Type (0008,0008) says LOCALIZER; leave it out", series_uid=series.uid
        )
    return frames


def _groups(frames: Sequence[Frame]) -> list[Sequence[Frame]]:
    """Frames of one volume each: parted by stack, then, while two share a place, by the next part of their key."""
    groups = _parted(frames, lambda frame: _key(frame).stack)
    for place in range(1, len(VolumeKey._fields)):
        groups = [part for group in groups for part in _parted_if_shared(group, place)]
    return groups


def _parted_if_shared(frames: Sequence[Frame], place: int) -> list[Sequence[Frame]]:
    return _parted(frames, lambda frame: _key(frame)[place]) if share_places(frames) else [frames]


def _key(frame: Frame) -> VolumeKey:
    return VolumeKey(*frame.volume_key)


def _parted(frames: Sequence[Frame], key: Callable[[Frame], str]) -> list[Sequence[Frame]]:
    groups: dict[str, list[Frame]] = {}
    for frame in frames:
        groups.setdefault(key(frame), []).append(frame)
    return list(groups.values())


def _part(series: Series, frames: Sequence[Frame]) -> Series:
    """Narrow a series to some of its frames, with their own echo time, b-value and image type."""
    key = _key(frames[0])
    physics = replace(
        series.physics,
        image_type=frames[0].image_type or series.physics.image_type,
        echo_time_ms=float(key.echo_time_ms) if key.echo_time_ms else series.physics.echo_time_ms,
        b_value=float(key.b_value) if key.b_value else series.physics.b_value,
    )
    instances = tuple(dict.fromkeys(frame.instance for frame in frames))
    return replace(series, frames=tuple(frames), instances=instances, physics=physics)


def _reason(whole: Series, errors: Sequence[tuple[Series, SeriesError]]) -> SeriesError:
    """Return the first error of a group that could be a volume, or else what is wrong with all frames together."""
    for part, error in errors:
        if len(part.frames) >= MIN_SLICES or len(errors) == 1:
            return error
    try:
        stacked(whole)
    except SeriesError as error:
        return error
    return errors[0][1]


def _voxels(part: Series, geometry: Stacked) -> Float32:
    voxels = np.empty(geometry.grid.shape, np.float32)
    places: dict[Instance, list[tuple[int, Frame]]] = {}
    for k, frame in enumerate(geometry.frames):
        places.setdefault(frame.instance, []).append((k, frame))
    for instance, planes in stored_values(places):
        for k, frame in places[instance]:
            if frame.number > len(planes) or planes.shape[1:] != frame.shape:
                raise PixelDecodeError(
                    f"{part.name}: pixel data of shape {planes.shape} where the header announces {frame.shape}; "
                    "send the instance again"
                )
            slope, intercept = frame.rescale
            voxels[k] = planes[frame.number - 1] * slope + intercept
    voxels.flags.writeable = False
    return voxels
