"""Which frame of the reference series each slice of the reference grid was made from, found by where it lies."""

from collections.abc import Collection, Iterable

import numpy as np

from zweitblick.dicom.geometry import MATRIX_TOLERANCE, ORIENTATION_TOLERANCE, SPACING_TOLERANCE, directions
from zweitblick.errors import GeometryError
from zweitblick.reading import Reading
from zweitblick.study import Frame
from zweitblick.volume import Grid

TOLERANCE_MM = 0.05
"""A frame may lie this far from its place in the grid, or `SPACING_TOLERANCE` slice distances if that is more: never
less than what `geometry.stacked` let pass, so that a volume which could be read can be written, too."""


def reference_planes(reading: Reading) -> tuple[Frame, ...]:
    """Frames of the reference series in the order of the reference grid's slices, one for each.

    Neither file order nor instance numbers are trusted: a frame belongs to slice ``k`` when its first pixel lies
    where the grid has that of slice ``k``, and its rows and columns run the same way in the same steps (PS3.3
    C.7.6.2.1.1), within the tolerances of `geometry.stacked`.

    Raises
    ------
    GeometryError
        If a slice of the grid has no frame.
    """
    choice = reading.choices[reading.reference]
    series = reading.study.series_by_uid(choice.series_uid)
    grid = reading.reference_volume.grid
    found: dict[int, Frame] = {}
    for frame in _preferred_first(series.frames, choice.volume_keys):
        k = round(float(grid.index(frame.position_lps)[0]))
        if k not in found and _lies_on(frame, grid, k=k):
            found[k] = frame
    missing = [k for k in range(grid.shape[0]) if k not in found]
    if missing:
        raise GeometryError(f"{series.name} has no frame at slice {missing[0]} of the reference volume read from it")
    return tuple(found[k] for k in range(grid.shape[0]))


def _preferred_first(frames: Iterable[Frame], volume_keys: Collection[tuple[str, ...]]) -> list[Frame]:
    """Sort the chosen volume's frames first; the order of the rest is fixed, too."""
    return sorted(
        frames,
        key=lambda frame: (
            frame.volume_key not in volume_keys,
            frame.volume_key,
            frame.instance.number or 0,
            frame.instance.sop_instance_uid,
            frame.number,
        ),
    )


def _lies_on(frame: Frame, grid: Grid, *, k: int) -> bool:
    _, rows, columns = grid.shape
    if frame.shape != (rows, columns) or not 0 <= k < grid.shape[0]:
        return False
    away_mm = np.linalg.norm(np.array(frame.position_lps) - grid.lps((k, 0, 0)))
    return bool(away_mm <= max(TOLERANCE_MM, SPACING_TOLERANCE * grid.spacing_mm[0])) and _runs_along(frame, grid)


def _runs_along(frame: Frame, grid: Grid) -> bool:
    """Whether rows and columns agree; tolerances count twice, as two frames may differ from a third to either side."""
    _, j, i = directions(frame)
    in_grid = grid.lps_from_index[:3, 1:3] / grid.spacing_mm[1:]
    turned = np.abs(np.column_stack([j, i]) - in_grid).max()
    same_steps = np.allclose(frame.spacing_mm, grid.spacing_mm[1:], rtol=2 * MATRIX_TOLERANCE)
    return bool(turned <= 2 * ORIENTATION_TOLERANCE) and same_steps
