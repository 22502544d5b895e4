"""Which frame of the reference series each slice of the reference grid was made from, found by where it lies."""

from collections.abc import Collection, Iterable

import numpy as np

from zweitblick.errors import GeometryError
from zweitblick.reading import Reading
from zweitblick.study import Frame
from zweitblick.volume import Grid

TOLERANCE_MM = 0.05
"""A plane's corners may lie this far from the grid's: headers round positions to 1e-2 mm or finer."""


def reference_planes(reading: Reading) -> tuple[Frame, ...]:
    """Frames of the reference series in the order of the reference grid's slices, one for each.

    Neither file order nor instance numbers are trusted: a frame belongs to slice ``k`` when its four corner pixels lie
    where the grid has those of slice ``k`` (PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1).

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
    along_row, down_column = np.array(frame.orientation_lps).reshape(2, 3)
    corners = np.array([(j, i) for j in (0, rows - 1) for i in (0, columns - 1)])
    pixels_mm = corners * np.array(frame.spacing_mm)
    in_frame = np.array(frame.position_lps) + pixels_mm @ np.stack([down_column, along_row])
    in_grid = grid.lps(np.column_stack([np.full(4, k), corners]))
    return float(np.abs(in_frame - in_grid).max()) <= TOLERANCE_MM
