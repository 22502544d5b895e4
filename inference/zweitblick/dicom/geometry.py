"""From parallel planes to one affine: order along the normal, even spacing, and the checks of both.

Source of the coordinates: PS3.3 C.7.6.2.1.1. The affine keeps the slices' own offset: where they are shifted against
the normal (gantry-like tilt), its k column is not at right angles to the planes, and nothing is resampled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low

import numpy as np

from zweitblick.errors import (
    DuplicatePositionError,
    LocalizerError,
    MissingGeometryError,
    MissingSliceError,
    MixedMatrixError,
    MixedOrientationError,
    NotAVolumeError,
    UnevenSpacingError,
)
from zweitblick.study import Frame, Series
from zweitblick.volume import Float64, Grid

MIN_SLICES = 3
"""Fewer show no second gap, so even spacing could not be checked."""

MAX_VOXELS = 2**29
"""2 GiB as float32, eight times a whole head at 0.5 mm; a header that claims more is damaged or hostile."""

ORTHONORMAL_TOLERANCE = 1e-3
"""On length and dot product of direction cosines (C.7.6.2.1.1 wants 1 and 0; highdicom allows the same)."""

ORIENTATION_TOLERANCE = 1e-4
"""On each direction cosine between slices: 0.03 mm across 256 mm (highdicom: 1e-4 for a matrix to be orthogonal)."""

MATRIX_TOLERANCE = 1e-4
"""Relative, on Pixel Spacing between slices: 0.03 mm across 256 mm."""

SAME_PLACE_MM = 0.01
"""Closer slices share a place; positions are often written with two decimals."""

SPACING_TOLERANCE = 0.01
"""How far a slice may lie from where the affine puts it, in slice distances: highdicom's tolerance for a regular stack
(1e-2; ITK warns from 1e-4 of the spacing, dcm2niix from 1e-4 mm), but never less than `SAME_PLACE_MM`."""

GAP_TOLERANCE = 0.05
"""A gap within 5 % of two or more slice distances is a missing slice; other uneven gaps are just uneven."""

_SCOUT_ORIENTATIONS = 3
_SCOUT_SLICES = 10


@dataclass(frozen=True)
class Stacked:
    """Frames in slice order and the grid they fill.

    Parameters
    ----------
    frames
        Sorted so that k grows along the normal (row × column direction).
    grid
        ``(K, J, I)`` and the affine.
    """

    frames: tuple[Frame, ...]
    grid: Grid


def stacked(series: Series) -> Stacked:
    """Order the frames of one volume and find their grid.

    Raises
    ------
    NotAVolumeError
        If there are fewer than `MIN_SLICES` slices or more than `MAX_VOXELS` voxels.
    MissingGeometryError
        If the direction cosines are no two orthogonal unit vectors.
    MixedMatrixError, MixedOrientationError, LocalizerError
        If slices differ in size, pixel spacing or orientation (the last: as scouts do).
    DuplicatePositionError, MissingSliceError, UnevenSpacingError
        If slices are not evenly spaced.
    """
    _check_planes(series)
    frames = tuple(series.frames[place] for place in np.argsort(_heights(series.frames), kind="stable"))
    _check_gaps(series, frames)
    return Stacked(frames, _grid(series, frames))


def share_places(frames: Sequence[Frame]) -> bool:
    """Whether two of these frames lie at one height along the first one's normal; not if it has none."""
    return _is_orthonormal(frames[0]) and bool((np.diff(np.sort(_heights(frames))) < SAME_PLACE_MM).any())


def directions(frame: Frame) -> tuple[Float64, Float64, Float64]:
    """Return unit vectors ``(3,)`` in LPS along k (the normal), j (down a column) and i (along a row)."""
    row, column = np.reshape(np.array(frame.orientation_lps, np.float64), (2, 3))
    i, j = row / np.linalg.norm(row), column / np.linalg.norm(column)
    normal = np.cross(i, j)
    return normal / np.linalg.norm(normal), j, i


def _heights(frames: Sequence[Frame]) -> Float64:
    """Positions ``(frames,)`` along the first one's normal, mm."""
    return np.asarray(np.array([frame.position_lps for frame in frames]) @ directions(frames[0])[0], np.float64)


def _check_planes(series: Series) -> None:
    if len(series.frames) < MIN_SLICES:
        raise NotAVolumeError(
            f"{series.name}: {len(series.frames)} slices; a volume needs at least {MIN_SLICES}", series_uid=series.uid
        )
    for frame in series.frames:
        _check_orthonormal(series, frame)
    _check_parallel(series)
    _check_matrix(series)


def _check_orthonormal(series: Series, frame: Frame) -> None:
    if not _is_orthonormal(frame):
        raise MissingGeometryError(
            f"{series.name}, {name(frame)}: Image Orientation (0020,0037) {frame.orientation_lps} is no pair of "
            "orthogonal unit vectors; export the series again",
            series_uid=series.uid,
        )


def _is_orthonormal(frame: Frame) -> bool:
    row, column = np.reshape(np.array(frame.orientation_lps, np.float64), (2, 3))
    with np.errstate(over="ignore", invalid="ignore"):
        errors = (np.linalg.norm(row) - 1, np.linalg.norm(column) - 1, row @ column)
        return bool(np.abs(errors).max() <= ORTHONORMAL_TOLERANCE)


def _check_matrix(series: Series) -> None:
    first = series.frames[0]
    for frame in series.frames:
        if frame.shape != first.shape or not np.allclose(frame.spacing_mm, first.spacing_mm, rtol=MATRIX_TOLERANCE):
            raise MixedMatrixError(
                f"{series.name}: {name(frame)} has {frame.shape} pixels of {frame.spacing_mm} mm, {name(first)} "
                f"{first.shape} of {first.spacing_mm} mm; send each as a series of its own",
                series_uid=series.uid,
            )
    voxels = len(series.frames) * first.shape[0] * first.shape[1]
    if voxels > MAX_VOXELS:
        raise NotAVolumeError(f"{series.name}: {voxels} voxels; at most {MAX_VOXELS} are read", series_uid=series.uid)


def _check_parallel(series: Series) -> None:
    counts = _orientation_counts(series.frames)
    if len(counts) >= _SCOUT_ORIENTATIONS and max(counts) <= _SCOUT_SLICES:
        raise LocalizerError(
            f"{series.name}: {len(counts)} orientations of at most {max(counts)} slices are a localizer; leave it out",
            series_uid=series.uid,
        )
    if len(counts) > 1:
        raise MixedOrientationError(
            f"{series.name}: {len(counts)} orientations, of {counts} slices; send each as a series of its own",
            series_uid=series.uid,
        )


def _orientation_counts(frames: Sequence[Frame]) -> list[int]:
    """How many frames each orientation has."""
    kinds: list[Float64] = []
    counts: list[int] = []
    for frame in frames:
        cosines = np.array(frame.orientation_lps, np.float64)
        same = [place for place, kind in enumerate(kinds) if np.abs(cosines - kind).max() <= ORIENTATION_TOLERANCE]
        if same:
            counts[same[0]] += 1
        else:
            kinds.append(cosines)
            counts.append(1)
    return counts


def _check_gaps(series: Series, frames: Sequence[Frame]) -> None:
    gaps = np.diff(_heights(frames))
    distance = median_low(gaps.tolist())
    for gap, below, above in zip(gaps, frames[:-1], frames[1:], strict=True):
        pair = f"{name(below)} and {name(above)}"
        if gap < SAME_PLACE_MM:
            raise DuplicatePositionError(
                f"{series.name}: {pair} lie at one place; leave out one, or send them as series of their own",
                series_uid=series.uid,
            )
        ratio = float(gap) / distance
        if round(ratio) >= 2 and abs(ratio - round(ratio)) <= GAP_TOLERANCE * round(ratio):
            raise MissingSliceError(
                f"{series.name}: {round(ratio) - 1} slices missing between {pair} ({gap:.3f} mm apart, others "
                f"{distance:.3f} mm); send the whole series",
                series_uid=series.uid,
            )


def _grid(series: Series, frames: Sequence[Frame]) -> Grid:
    """Affine from the first and last position, checked against every one between."""
    positions = np.array([frame.position_lps for frame in frames])
    step = (positions[-1] - positions[0]) / (len(frames) - 1)
    normal, j, i = directions(frames[0])
    distance = float(normal @ step)
    residuals = np.linalg.norm(positions - positions[0] - np.arange(len(frames))[:, None] * step, axis=1)
    worst = int(residuals.argmax())
    if residuals[worst] > max(SAME_PLACE_MM, SPACING_TOLERANCE * distance):
        raise UnevenSpacingError(
            f"{series.name}: {name(frames[worst])} lies {residuals[worst]:.3f} mm from its place in an even stack of "
            f"{distance:.3f} mm; {SPACING_TOLERANCE:.0%} is allowed",
            series_uid=series.uid,
        )
    lps_from_index = np.eye(4)
    lps_from_index[:3, :3] = np.stack([step, j * frames[0].spacing_mm[0], i * frames[0].spacing_mm[1]], axis=1)
    lps_from_index[:3, 3] = positions[0]
    return Grid((len(frames), *frames[0].shape), lps_from_index)


def name(frame: Frame) -> str:
    """How messages call a frame: by Instance Number and, where it is not the first, its number within."""
    instance = "an instance without number" if frame.instance.number is None else f"instance {frame.instance.number}"
    return instance if frame.number == 1 else f"{instance} frame {frame.number}"
